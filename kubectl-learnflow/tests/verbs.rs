//! The binary from outside: the ways to a cluster that a kubeconfig knows, help, completion.

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

fn plugin(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-learnflow"));
    command.args(arguments).env_clear().env("HOME", "/nonexistent");
    command.stdin(Stdio::null()).output().expect("the plugin runs")
}

/// A kubeconfig for a server, with more in its user and its cluster.
fn kubeconfig(name: &str, port: u16, user: &Value, cluster: &Value) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("verbs");
    fs::create_dir_all(&folder).expect("a folder");
    let mut at = json!({ "server": format!("http://127.0.0.1:{port}") });
    for (key, value) in cluster.as_object().into_iter().flatten() {
        at[key] = value.clone();
    }
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "blue",
        "clusters": [{ "name": "c", "cluster": at }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "blue", "context": { "cluster": "c", "user": "u" } },
            { "name": "green", "context": { "cluster": "c", "user": "u" } }],
    });
    let file = folder.join(format!("{name}.json"));
    fs::write(&file, config.to_string()).expect("written");
    file.to_string_lossy().into_owned()
}

/// Every verb's help and that of the verbs below it, as it was last agreed on: LEARNFLOW_UPDATE=1 writes it anew.
#[test]
fn help_says_what_it_said() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/help");
    let update = std::env::var_os("LEARNFLOW_UPDATE").is_some();
    let mut open: Vec<Vec<String>> = verbs_of(&help(&[])).into_iter().map(|verb| vec![verb]).collect();
    assert!(open.len() >= 10, "{open:?}");
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    while let Some(verb) = open.pop() {
        let said = help(&verb);
        open.extend(verbs_of(&said).into_iter().map(|below| [&verb[..], &[below]].concat()));
        let name = format!("{}.txt", verb.join("-"));
        let file = folder.join(&name);
        if update {
            fs::write(&file, &said).expect("written");
        }
        if fs::read_to_string(&file).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", verb.join(" ")));
        }
        seen.push(name);
    }
    assert!(
        wrong.is_empty(),
        "changed; LEARNFLOW_UPDATE=1 accepts it:\n{}",
        wrong.join("\n")
    );
    assert!(seen.iter().any(|name| name == "dlq-replay.txt"), "{seen:?}");
    let files = fs::read_dir(&folder).expect("the folder").flatten();
    let files = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let old: Vec<String> = files.filter(|file| !seen.contains(file)).collect();
    assert!(old.is_empty(), "of no verb: {old:?}");
}

fn help(verb: &[String]) -> String {
    let mut arguments: Vec<&str> = verb.iter().map(String::as_str).collect();
    arguments.push("--help");
    let output = plugin(&arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Those that a help lists.
fn verbs_of(help: &str) -> Vec<String> {
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // What is further to the right is the rest of a description.
    let lines = commands.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|verb| *verb != "help").map(str::to_owned).collect()
}

/// Answers like an API server that knows its version and has nothing in it; tells each request's head.
fn server() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (heads, seen) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let heads = heads.clone();
            thread::spawn(move || while answer(&connection, &heads).is_some() {});
        }
    });
    (port, seen)
}

fn answer(mut connection: &TcpStream, heads: &Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 0 && !head.ends_with("\r\n\r\n") {}
    if head.is_empty() {
        return None;
    }
    // Before the answer: whoever has that may be gone at once.
    heads.send(head.to_lowercase()).ok()?;
    let version = json!({ "gitVersion": "v1.34.4", "major": "1", "minor": "34", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "" });
    let (code, body) = match head.split(' ').nth(1)? {
        "/version" => ("200 OK", version),
        path if path.contains("/deployments?") => ("200 OK", json!({ "metadata": {}, "items": [] })),
        path if path.contains("/namespaces?") || path.ends_with("/namespaces") => {
            let name = |name: &str| json!({ "metadata": { "name": name } });
            (
                "200 OK",
                json!({ "metadata": {}, "items": [name("shop"), name("store"), name("x")] }),
            )
        }
        _ => (
            "404 Not Found",
            json!({ "kind": "Status", "apiVersion": "v1", "code": 404, "reason": "NotFound", "message": "no" }),
        ),
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(answer.as_bytes()).ok()
}

/// Runs `version` and gives back the heads of all its requests.
fn version(arguments: &[&str], seen: &Receiver<String>) -> Vec<String> {
    let output = plugin(&[&["version"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let heads: Vec<String> = seen.try_iter().collect();
    assert!(heads.len() >= 3, "{heads:?}");
    heads
}

#[test]
fn another_user_is_acted_as_in_every_request() {
    let (port, seen) = server();
    let config = kubeconfig("as", port, &json!({}), &json!({}));
    let flags = [
        "--as",
        "eve",
        "--as-group",
        "devs",
        "--as-group=ops",
        "--kubeconfig",
        &config,
    ];
    for head in version(&flags, &seen) {
        for header in [
            "impersonate-user: eve\r\n",
            "impersonate-group: devs\r\n",
            "impersonate-group: ops\r\n",
        ] {
            assert!(head.contains(header), "{header:?} is missing in {head}");
        }
    }
}

#[test]
fn a_login_program_gives_the_token() {
    let (port, seen) = server();
    let script = r#"printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t-%s"}}' "$WHO""#;
    let user = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
        "args": ["-c", script], "env": [{ "name": "WHO", "value": "123" }], "interactiveMode": "Never" } });
    let config = kubeconfig("exec", port, &user, &json!({}));
    for head in version(&["--kubeconfig", &config], &seen) {
        assert!(head.contains("authorization: bearer t-123\r\n"), "{head}");
    }
}

/// A proxy that tells whom it was asked to reach, and reaches it.
fn proxy() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (asked, seen) = channel();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = String::new();
            let mut byte = [0];
            while !head.ends_with("\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n > 0) {
                head.push(char::from(byte[0]));
            }
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            drop(asked.send(head));
            let Ok(mut server) = TcpStream::connect(&target) else {
                continue;
            };
            drop(client.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
            let (mut from, mut to) = (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (port, seen)
}

#[test]
fn a_proxy_of_the_kubeconfig_is_used() {
    let (port, seen) = server();
    let (proxy, asked) = proxy();
    let cluster = json!({ "proxy-url": format!("http://127.0.0.1:{proxy}") });
    let config = kubeconfig("proxy", port, &json!({}), &cluster);
    version(&["--kubeconfig", &config], &seen);
    let first = asked.recv_timeout(Duration::from_secs(5)).expect("the proxy was asked");
    assert!(first.starts_with(&format!("CONNECT 127.0.0.1:{port} ")), "{first}");
}

#[test]
fn rbac_needs_no_cluster_when_it_knows_the_namespace() {
    let output = plugin(&["rbac", "install", "-n", "shop", "-o", "json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let kinds: Vec<&str> = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|r| r["kind"].as_str())
        .collect();
    // The namespace of the services, and two of ours. Dapr's needs none: who gives kube-state-metrics its role may list
    // Deployments everywhere.
    assert_eq!(kinds, ["ClusterRole", "Role", "Role", "Role"]);
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = plugin(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("kubectl-learnflow"),
            "{shell}"
        );
    }
}

/// Started as kubectl starts it: by another name, with the words of the line so far.
fn complete(words: &[&str]) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("completer-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let link = folder.join("kubectl_complete-learnflow");
    if !link.exists() {
        // Another test may be as fast.
        drop(fs::hard_link(env!("CARGO_BIN_EXE_kubectl-learnflow"), &link));
    }
    let mut command = Command::new(&link);
    command.args(words).env_clear().env("HOME", "/nonexistent");
    let output = command.output().expect("it runs");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some(":4"), "cobra's directive comes last");
    lines
        .into_iter()
        .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn kubectl_completes_verbs_flags_values_and_what_is_in_the_cluster() {
    let verbs = complete(&[""]);
    for verb in ["install", "status", "check", "rbac", "bundle"] {
        assert!(verbs.iter().any(|word| word == verb), "{verb} is missing in {verbs:?}");
    }
    assert!(!verbs.iter().any(|word| word == "man-pages"), "hidden: {verbs:?}");
    assert_eq!(complete(&["st"]), ["status"]);
    assert_eq!(complete(&["dashboard", "g"]), ["grafana"]);
    assert!(
        complete(&["status", "--wa"])
            .iter()
            .any(|word| word.starts_with("--watch"))
    );
    assert_eq!(complete(&["check", "-o", "j"]), ["json"]);

    let (port, _seen) = server();
    let config = kubeconfig("complete", port, &json!({}), &json!({}));
    assert_eq!(
        complete(&["--kubeconfig", &config, "status", "-n", "s"]),
        ["shop", "store"]
    );
    assert_eq!(
        complete(&["status", "--kubeconfig", &config, "--context", "b"]),
        ["blue"]
    );
    // Nobody there: nothing to offer, and soon.
    let closed = kubeconfig("complete-closed", 1, &json!({}), &json!({}));
    assert_eq!(complete(&["--kubeconfig", &closed, "status", "-n", "s"]), [""; 0]);
}
