//! The binary from outside, where no cluster is needed: usage, kubeconfigs, servers that do not answer.

use serde::Deserialize;
use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs the plugin as a user with nothing but `home` would.
fn plugin(home: &str, arguments: &[&str]) -> Output {
    command(home, arguments).output().expect("the plugin runs")
}

fn command(home: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-learnflow"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null());
    command
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A kubeconfig with context `blue` for a server at `port` of this machine.
fn kubeconfig(name: &str, port: u16) -> String {
    let file = folder(name).join("config.yaml");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: blue\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
         contexts: [{{name: blue, context: {{cluster: c, user: u}}}}, {{name: green, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n"
    );
    fs::write(&file, text).expect("written");
    file.to_string_lossy().into_owned()
}

/// A port of this machine on which nothing listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "an error is no data");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in:\n{said}");
    }
}

/// A case of `tests/cases/bad-input.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    run: Vec<String>,
    file: Option<String>,
    kubeconfig: Option<String>,
    says: Vec<String>,
}

#[test]
fn bad_input_is_2_and_says_what_is_wrong_and_where() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../tests/cases/bad-input.yaml")).expect("cases");
    let folder = folder("bad-input");
    let (file, config) = (folder.join("learnflow.yaml"), folder.join("config"));
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let mut wrong = Vec::new();
    for case in &cases {
        fs::write(&file, case.file.as_deref().unwrap_or_default()).expect("written");
        fs::write(&config, case.kubeconfig.as_deref().unwrap_or_default()).expect("written");
        let real = |word: &String| match word.as_str() {
            "KUBECONFIG" => shown(&config),
            word => word.replace("FILE", &shown(&file)),
        };
        let arguments: Vec<String> = case.run.iter().map(real).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = plugin("/nonexistent", &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let missing: Vec<String> = case
            .says
            .iter()
            .map(real)
            .filter(|words| !said.contains(words))
            .collect();
        let raw = said.chars().any(|c| c.is_control() && c != '\n');
        if output.status.code() != Some(2) || !output.stdout.is_empty() || !missing.is_empty() || raw {
            let code = output.status.code();
            wrong.push(format!("{:?} ({code:?}) does not say {missing:?}:\n{said}", case.run));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(cases.len() >= 60, "{} cases", cases.len());
}

#[test]
fn help_and_version_need_no_cluster() {
    for arguments in [
        &["--help"][..],
        &["install", "--help"],
        &["help", "status"],
        &["--version"],
    ] {
        let output = plugin("/nonexistent", arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
    let output = plugin("/nonexistent", &["version", "--client", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["plugin"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_kubeconfig_may_be_named_by_the_environment() {
    let mut named = command("/nonexistent", &["status"]);
    let output = named
        .env("KUBECONFIG", "/nowhere/other")
        .output()
        .expect("the plugin runs");
    refused(&output, &["/nowhere/other"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = closed_port();
    let config = kubeconfig("closed", port);
    for verb in ["install", "status", "uninstall", "version"] {
        let output = plugin("/nonexistent", &[verb, "--kubeconfig", &config]);
        refused(
            &output,
            &["Cannot reach the API server", &port.to_string(), "refused", "blue"],
        );
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_beyond_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = kubeconfig("silent", listener.local_addr().expect("an address").port());
    // Accepts, and never answers.
    thread::spawn(move || {
        let connections: Vec<_> = listener.incoming().collect();
        drop(connections);
    });
    let began = Instant::now();
    let output = plugin(
        "/nonexistent",
        &["status", "--kubeconfig", &config, "--request-timeout", "1s"],
    );
    refused(&output, &["does not answer in time", "--request-timeout"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_is_no_kubernetes_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = kubeconfig("web", listener.local_addr().expect("an address").port());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let page = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
            let _ = std::io::Write::write_all(&mut connection, page.as_bytes());
        }
    });
    let output = plugin("/nonexistent", &["status", "--kubeconfig", &config]);
    refused(&output, &["is a Kubernetes API server"]);
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let mut child = command("/nonexistent", &["version", "--client"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the plugin runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
