use super::*;
use crate::{
    cli::{Cli, Verb},
    printer::tests::captured,
    testing::same_as_file,
};
use clap::Parser;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What it printed on stdout and stderr, by a clock that nobody waits for; `None` where it had to be ended.
fn demo(line: &[&str], patience: Duration) -> (Option<Result<Outcome, Problem>>, String, String) {
    let (printer, out, err) = captured();
    let printer = Arc::new(printer);
    let cli = Cli::try_parse_from([&["x", "demo"], line].concat()).expect("good flags");
    let Verb::Demo(args) = cli.verb else {
        panic!("another verb")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let ended = runtime.block_on(async { timeout(patience, run(args, &cli.global, &printer)).await });
    (ended.ok(), out.text(), err.text())
}

fn shown(line: &[&str]) -> String {
    let (ended, out, err) = demo(line, Duration::from_secs(60));
    assert_eq!(ended, Some(Ok(Outcome::Good)), "{line:?}: {err}");
    out
}

#[test]
fn what_is_printed() {
    for (name, line) in [
        ("story.txt", &[][..]),
        ("flow.txt", &["flow", "--last", "30"]),
        (
            "flow.jsonl",
            &["flow", "-o", "jsonl", "--outcome", "retry", "--outcome", "drop"],
        ),
        ("top.txt", &["top", "services"]),
        ("graph.txt", &["graph"]),
    ] {
        same_as_file(&format!("tests/cases/demo/{name}"), &shown(line));
    }
}

#[test]
fn the_verbs_say_that_it_is_a_rehearsal() {
    for verb in ["flow", "top", "graph"] {
        let (_, _, err) = demo(&[verb], Duration::from_secs(60));
        assert!(err.contains("A rehearsal"), "{verb}: {err}");
    }
    assert!(shown(&[]).starts_with("This is a rehearsal"));
}

#[test]
fn each_record_in_the_log_is_an_event() {
    let log = shown(&["log"]);
    let events = shown(&["flow", "-o", "jsonl"]);
    assert_eq!(log.lines().count(), events.lines().count());
    let first: Value = serde_json::from_str(events.lines().next().expect("an event")).expect("JSON");
    assert!(
        first["pod"].as_str().is_some_and(|pod| pod.contains("rehearsal")),
        "{first}"
    );
}

#[test]
fn filters_and_since_are_about_the_rehearsals_own_time() {
    let all = shown(&["flow", "-o", "jsonl"]).lines().count();
    let late = shown(&["flow", "-o", "jsonl", "--since", "5s"]).lines().count();
    assert!(late > 0 && late < all, "{late} of {all}");
    let dropped = shown(&["flow", "--topic", "lesson.*", "--outcome", "drop"]);
    assert!(
        dropped.lines().count() > 0 && dropped.lines().all(|line| line.contains("drop (200)")),
        "{dropped}"
    );
}

#[test]
fn followed_it_goes_on_round_after_round() {
    let (ended, out, _) = demo(&["flow", "-f", "-o", "jsonl", "--seed", "4"], Duration::from_secs(90));
    assert_eq!(ended, None, "only Ctrl-C ends it");
    let once = shown(&["flow", "-o", "jsonl", "--seed", "4"]).lines().count();
    assert!(
        out.lines().count() > 2 * once,
        "{} lines, {once} in a round",
        out.lines().count()
    );
    let faster = demo(&["flow", "-f", "--speed", "10", "--seed", "4"], Duration::from_secs(9));
    assert!(faster.1.lines().count() > 2 * once);
}

#[test]
fn the_story_takes_as_long_as_it_says() {
    let (ended, _, _) = demo(&["--speed", "1"], Duration::from_secs(15));
    assert_eq!(ended, None);
    let (ended, _, _) = demo(&["--speed", "10"], Duration::from_secs(4));
    assert_eq!(ended, Some(Ok(Outcome::Good)));
}

#[test]
fn it_has_no_files_and_no_namespaces() {
    for line in [&["flow", "--file", "x"][..], &["top", "-A"], &["graph", "-A"]] {
        let (ended, out, _) = demo(line, Duration::from_secs(60));
        let problem = ended.expect("an end").expect_err("refused");
        assert!(
            problem.what.contains("events of its own") && out.is_empty(),
            "{problem}"
        );
    }
}
