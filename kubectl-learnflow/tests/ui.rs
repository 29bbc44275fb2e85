//! The page's server from outside: who gets what. What a browser makes of it is in tests/page.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/records.text.log");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-learnflow"));
    command
        .arg("ui")
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The plugin, and the address that it printed.
struct Ui {
    plugin: Child,
    host: String,
    page: String,
}

impl Drop for Ui {
    fn drop(&mut self) {
        let _ = self.plugin.kill();
        let _ = self.plugin.wait();
    }
}

fn ui(arguments: &[&str]) -> Ui {
    let mut plugin = command(&[&["--file", LOG], arguments].concat())
        .spawn()
        .expect("the plugin runs");
    let mut line = String::new();
    let mut out = BufReader::new(plugin.stdout.take().expect("its output"));
    out.read_line(&mut line).expect("an address");
    let address = line.trim().strip_prefix("http://").expect("an address");
    let (host, page) = address.split_at(address.find('/').expect("a path"));
    Ui {
        plugin,
        host: host.to_owned(),
        page: page.to_owned(),
    }
}

impl Ui {
    /// The head and the body of an answer.
    fn ask(&self, path: &str, headers: &str) -> (String, String) {
        self.ask_as(&self.host, path, headers)
    }

    fn ask_as(&self, host: &str, path: &str, headers: &str) -> (String, String) {
        let mut connection = TcpStream::connect(&self.host).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
        connection.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("it answers");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    }

    fn cookie(&self) -> String {
        let (head, _) = self.ask(&self.page, "");
        assert!(
            head.starts_with("http/1.1 303 ") && head.contains("location: /\r\n"),
            "{head}"
        );
        let set = head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .expect("a cookie");
        assert!(set.contains("httponly") && set.contains("samesite=lax"), "{set}");
        format!("Cookie: {}\r\n", set.split(';').next().unwrap_or_default())
    }
}

#[test]
fn it_listens_to_this_machine_alone_and_lets_in_who_was_told_the_address() {
    let ui = ui(&[]);
    assert!(ui.host.starts_with("127.0.0.1:"), "{}", ui.host);
    for path in ["/", "/page.js", "/page.wasm", "/events", "/?token=", "/nowhere"] {
        let (head, body) = ui.ask(path, "");
        assert!(
            head.starts_with("http/1.1 403 ") && !body.contains("lesson"),
            "{path}: {head}"
        );
    }
    let cookie = ui.cookie();
    let (head, _) = ui.ask(&ui.page, "");
    assert!(head.starts_with("http/1.1 403 "), "the address works once: {head}");
    let (head, body) = ui.ask("/", &cookie);
    assert!(
        head.starts_with("http/1.1 200 ") && body.contains("data-mode=\"saved\""),
        "{head}"
    );
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval';",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "`{header}` is missing in:\n{head}");
    }
    // A name that leads here, and is not ours.
    let (head, _) = ui.ask_as("evil.example", "/", &cookie);
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    let (head, _) = ui.ask("/events", &format!("{cookie}Sec-Fetch-Site: cross-site\r\n"));
    assert!(head.starts_with("http/1.1 403 "), "{head}");
}

#[test]
fn events_come_from_the_one_that_is_asked_for_and_end_with_the_log() {
    let ui = ui(&[]);
    let cookie = ui.cookie();
    let records = include_str!("../../tests/cases/records.jsonl").lines().count();
    let lines = |body: &str| body.lines().filter(|line| line.starts_with("{\"app_id\"")).count();
    let (head, body) = ui.ask("/events?from=0", &cookie);
    assert!(head.contains("learnflow-first: 0"), "{head}");
    assert_eq!(lines(&body), records);
    let (head, body) = ui.ask("/events?from=3", &cookie);
    assert!(head.contains("learnflow-first: 3"), "{head}");
    assert_eq!(lines(&body), records - 3);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = command(&["--file", LOG, "--port", &port])
        .output()
        .expect("the plugin runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&format!("Cannot listen on 127.0.0.1:{port}")) && said.contains("--port"),
        "{said}"
    );
}

#[test]
fn an_export_is_one_file_with_the_events_in_it() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exported.html");
    let output = command(&["--file", LOG, "--export", &file.to_string_lossy()])
        .output()
        .expect("the plugin runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let records = include_str!("../../tests/cases/records.jsonl").lines().count();
    assert!(said.contains(&format!("{records} events")), "{said}");
    let html = fs::read_to_string(&file).expect("written");
    assert!(html.contains("data-mode=\"whole\"") && !html.contains("src=\"page.js\""));
}
