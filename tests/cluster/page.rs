//! What the page of `ui` is sent on a cluster: what was, and what happens while it is open, each event once; and its link to
//! the traces. What a browser shows of it is in tests/page.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_core::Direction;
use learnflow_tests::{
    Frontend, Target,
    process::{Folder, Process},
    records,
};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn the_page_is_sent_each_event_once(target: &Target) -> Result<()> {
    let folder = Folder::new()?;
    let mut command = target.plugin(&["ui", "--since=1h"]);
    let ui = Process::start("kubectl learnflow ui", &mut command, folder.path())?;
    let url = ui.wait("address", || ui.output().lines().next().map(str::to_owned))?;
    let rest = url.strip_prefix("http://").context("an address")?;
    let (host, page) = rest.split_at(rest.find('/').context("a path")?);
    let mut opened = String::new();
    ask(host, page, "Connection: close\r\n")?.read_to_string(&mut opened)?;
    let cookie = opened.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie
        .and_then(|cookie| cookie.split(';').next())
        .context(opened.clone())?;

    let mut html = String::new();
    let as_ever = format!("Cookie: {cookie}\r\nConnection: close\r\n");
    ask(host, "/", &as_ever)?.read_to_string(&mut html)?;
    let traces = html
        .split_once("data-traces=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let (traces, _) = traces.context("no link to the traces")?;
    let services = ureq::get(format!("{traces}/api/services"))
        .call()?
        .body_mut()
        .read_to_string()?;
    ensure!(services.contains("course-agent"), "{services}");

    let mut stream = ask(host, "/events?from=0", &format!("Cookie: {cookie}\r\n"))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    Frontend::of(target)?.request_lessons(10)?;
    let began = Instant::now();
    let mut sent = Vec::new();
    loop {
        let mut piece = vec![0; 65536];
        // Nothing for a while is no error.
        let length = stream.read(&mut piece).unwrap_or_default();
        sent.extend_from_slice(&piece[..length]);
        let counts = [
            ("course-agent", Direction::Publish),
            ("user-progress", Direction::Deliver),
        ]
        .map(|(app, direction)| -> Result<(usize, usize)> {
            Ok((shown(&sent, app, direction), records(target, app, direction)?.len()))
        });
        let [published, delivered] = counts;
        let (published, delivered) = (published?, delivered?);
        if length == 0 && published.0 == published.1 && delivered.0 == delivered.1 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "sent and written: publishes {published:?}, deliveries {delivered:?}"
        );
    }
}

fn ask(host: &str, path: &str, headers: &str) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(host)?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")?;
    Ok(connection)
}

fn shown(sent: &[u8], app: &str, direction: Direction) -> usize {
    let (app, direction) = (
        format!("{{\"app_id\":\"{app}\""),
        format!("\\\"dir\\\":\\\"{}\\\"", direction.as_str()),
    );
    let lines = String::from_utf8_lossy(sent);
    let of = |line: &&str| line.starts_with(&app) && line.contains(&direction);
    lines.lines().filter(of).count()
}
