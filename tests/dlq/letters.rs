//! `dlq ls` and `dlq show`, and what cannot be done.

use std::fs;

use anyhow::{Result, ensure};
use learnflow_tests::{
    process::{Folder, free_port},
    sidecar::{PUBSUB, Rig},
};
use serde_json::json;

use crate::{
    Test,
    bench::{Said, Shop, plugin},
};

pub const TESTS: &[(&str, Test)] = &[
    ("letters::are_listed_and_shown", listed),
    ("letters::hostile_ones_stay_text", hostile),
    ("letters::what_is_not_there_is_said", absent),
];

fn listed(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "listed", json!({}))?;
    shop.publish(0..5, |n| format!("metadata.partitionKey=k{}", n % 2))?;
    shop.wait_for_dead(5)?;
    let list = shop.plugin(&["ls", "--topic", &shop.dead])?.ended(0)?;
    println!("{}", list.out);
    ensure!(list.out.contains("listed.events (5)"), "{list:?}");
    let all = shop.plugin(&["show", &shop.dead])?.ended(0)?;
    println!("{}", all.out);
    ensure!(all.out.lines().count() == 6, "{all:?}");
    let place = all.out.lines().nth(1).and_then(|line| line.split_whitespace().next());
    let place = format!("{}/{}", shop.dead, place.unwrap_or_default());
    let one = shop.plugin(&["show", &place])?.ended(0)?;
    println!("{}", one.out);
    for part in [
        "From:        listed.events/",
        "\"specversion\": \"1.0\"",
        "Header:      __offset: ",
    ] {
        ensure!(one.out.contains(part), "{part}: {one:?}");
    }
    let limited = shop.plugin(&["show", &shop.dead, "--limit", "2"])?.ended(0)?;
    ensure!(limited.out.lines().count() == 3, "{limited:?}");
    let raw = shop.plugin(&["show", &place, "--raw", "-"])?.ended(0)?;
    ensure!(raw.out.starts_with('{') && !raw.out.ends_with('\n'), "{raw:?}");
    let folder = Folder::new()?;
    let file = folder.path().join("body");
    shop.plugin(&["show", &place, "--raw", &file.to_string_lossy()])?
        .ended(0)?;
    ensure!(fs::read_to_string(&file)? == raw.out);
    Ok(())
}

fn hostile(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "hostile", json!({}))?;
    let mut client = shop.sidecar.client()?;
    let path = format!(
        "/v1.0/publish/{PUBSUB}/{}?metadata.rawPayload=true&metadata.partitionKey=%1b%5b31mkey&metadata.x=%1b%5d0;title%07\
         &metadata.__topic=%1b%5b2J&metadata.__offset=-1",
        shop.dead
    );
    let big = [&b"\x1b[31mred\x07 \xff\xfe\xe2\x80\xae"[..], &vec![b'x'; 200_000]].concat();
    let answer = client.send(
        "POST",
        &path,
        &[("content-type", "application/octet-stream")],
        &big,
        false,
    )?;
    ensure!(answer.status() == 204, "{answer:?}");
    shop.wait_for_dead(1)?;
    let list = shop.plugin(&["ls", "--topic", &shop.dead])?.ended(0)?;
    let all = shop.plugin(&["show", &shop.dead])?.ended(0)?;
    let shown = shop.plugin(&["show", &shop.dead, "-o", "json"])?.ended(0)?;
    let letter = shown.json()?["deadLetters"][0].clone();
    let place = format!("{}/{}/{}", shop.dead, letter["partition"], letter["offset"]);
    let one = shop.plugin(&["show", &place])?.ended(0)?;
    let replay = shop.replay(&[])?.ended(1)?;
    for said in [&list, &all, &shown, &one, &replay] {
        let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        ensure!(!said.out.contains(harmful) && !said.err.contains(harmful), "{said:?}");
    }
    ensure!(
        one.out.len() < 40_000 && one.err.contains("--raw"),
        "{} bytes",
        one.out.len()
    );
    ensure!(one.out.contains("\\u{1b}[31mred"), "{}", &one.out[..600]);
    let folder = Folder::new()?;
    let file = folder.path().join("body");
    shop.plugin(&["show", &place, "--raw", &file.to_string_lossy()])?
        .ended(0)?;
    ensure!(fs::read(&file)? == big, "--raw changed it");
    Ok(())
}

fn absent(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "absent", json!({}))?;
    let none = shop.plugin(&["ls"])?.ended(0)?;
    ensure!(none.err.contains("deadLetterTopic"), "{none:?}");
    let not_yet = shop.plugin(&["ls", "--topic", &shop.dead])?.ended(0)?;
    ensure!(not_yet.out.contains("not in Kafka yet"), "{not_yet:?}");
    let listed = rig.kafka().tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--bootstrap-server", &rig.kafka().address().to_string(), "--list"],
    )?;
    ensure!(!listed.contains(&shop.dead), "asking for a topic has made it: {listed}");
    for verb in ["show", "replay"] {
        let said = shop.plugin(&[verb, &shop.dead])?.ended(2)?;
        ensure!(said.err.contains("has no topic"), "{said:?}");
    }
    shop.publish(0..1, |_| String::new())?;
    shop.wait_for_dead(1)?;
    for (place, part) in [("/9", "no partition 9"), ("/0/77", "no message at")] {
        let said = shop.plugin(&["show", &format!("{}{place}", shop.dead)])?.ended(2)?;
        ensure!(said.err.contains(part), "{said:?}");
    }
    let said = shop.plugin(&["show", &shop.dead, "--raw", "-"])?.ended(2)?;
    ensure!(said.err.contains("/PARTITION/OFFSET"), "{said:?}");

    let nobody = free_port()?.to_string();
    let said = asked(&nobody, "5s")?;
    println!("{}", said.err);
    ensure!(
        said.err.contains("onnection refused") && said.err.contains(&nobody),
        "{said:?}"
    );
    // Something that accepts, and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = mute.local_addr()?.to_string();
    let said = asked(&address, "1s")?;
    ensure!(said.err.contains("does not answer within 1s"), "{said:?}");
    Ok(())
}

/// What is said when the broker at this address does not help.
fn asked(broker: &str, timeout: &str) -> Result<Said> {
    let arguments = [
        "dlq",
        "ls",
        "--topic",
        "a",
        "--bootstrap",
        broker,
        "--request-timeout",
        timeout,
    ];
    Said::of(plugin()?.args(arguments).output()?)?.ended(2)
}
