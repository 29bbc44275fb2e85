//! The binary from outside, where no cluster is needed: usage, kubeconfigs, servers that do not answer.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::PathBuf,
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

#[test]
fn wrong_usage_is_2_and_names_what_is_wrong() {
    let wrong: [(&[&str], &str); 9] = [
        (&[], "Usage"),
        (&["instal"], "install"),
        (&["status", "-o", "xml"], "xml"),
        (&["install", "--timeout", "soon"], "`soon` is not a duration"),
        (&["install", "--timeout", "0"], "a wait needs an end"),
        (&["status", "--request-timeout=-1s"], "`-1s` is not a duration"),
        (&["uninstall", "everything"], "everything"),
        (&["status", "--color", "sometimes"], "sometimes"),
        (&["version", "--client", "--nothing"], "--nothing"),
    ];
    for (arguments, word) in wrong {
        refused(&plugin("/nonexistent", arguments), &[word]);
    }
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
fn without_a_kubeconfig_it_says_how_to_name_one() {
    refused(
        &plugin("/nonexistent", &["status"]),
        &["No cluster is configured", "--kubeconfig"],
    );
    refused(
        &plugin("/nonexistent", &["status", "--kubeconfig", "/nowhere/config"]),
        &["/nowhere/config"],
    );
    let mut named = command("/nonexistent", &["status"]);
    let output = named
        .env("KUBECONFIG", "/nowhere/other")
        .output()
        .expect("the plugin runs");
    refused(&output, &["/nowhere/other"]);
}

#[test]
fn broken_kubeconfigs_are_refused() {
    let file = folder("broken").join("config.yaml");
    let cases = [
        ("clusters: [", "cannot be used"),
        ("just text", "cannot be used"),
        ("", "no current context"),
        ("current-context: gone\ncontexts: []", "no context gone"),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: none}}]",
            "none",
        ),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {}}]",
            "cluster url",
        ),
    ];
    for (text, word) in cases {
        fs::write(&file, text).expect("written");
        refused(
            &plugin("/nonexistent", &["status", "--kubeconfig", &file.to_string_lossy()]),
            &[word],
        );
    }
}

#[test]
fn a_wrong_context_lists_the_right_ones() {
    let config = kubeconfig("context", closed_port());
    let output = plugin("/nonexistent", &["status", "--kubeconfig", &config, "--context", "red"]);
    refused(&output, &["no context red", "blue, green"]);
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
