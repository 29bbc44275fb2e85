//! `explain` of files, by the binary: what it finds, how it looks, and how it ends.

use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    metadata: Vec<Value>,
    #[serde(default)]
    component: Option<Value>,
    policies: Value,
    targets: Value,
    #[serde(default)]
    subscription: Option<Value>,
    codes: Vec<String>,
    exit: i32,
}

/// What only a cluster shows: elsewhere it is bad input, or not known. commands/explain/tests.rs has it.
const OF_CLUSTERS: [&str; 5] = ["LF101", "LF103", "LF104", "LF308", "LF403"];
/// Every Kafka component has it.
const ALWAYS: &str = "LF401";

fn cases() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/cases")
}

fn explain(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-learnflow"));
    command.arg("explain").args(arguments).current_dir(folder);
    command.env_clear().env("HOME", "/nonexistent");
    command.stdin(Stdio::null()).output().expect("the plugin runs")
}

fn objects(case: &Case) -> Value {
    let mut component = json!({ "type": "pubsub.kafka", "version": "v1", "metadata": case.metadata });
    if let Some(more) = case.component.as_ref().and_then(Value::as_object) {
        for (key, value) in more {
            component[key] = value.clone();
        }
    }
    let object = |version: &str, kind: &str, name: &str, spec: Value| json!({ "apiVersion": format!("dapr.io/{version}"), "kind": kind, "metadata": { "name": name }, "spec": spec });
    let policies = json!({ "policies": case.policies, "targets": case.targets });
    let mut items = vec![
        object("v1alpha1", "Component", "kafka", component),
        object("v1alpha1", "Resiliency", "policies", policies),
    ];
    if let Some(subscription) = &case.subscription {
        let mut spec = json!({ "pubsubname": "kafka", "routes": { "default": "/" } });
        for (key, value) in subscription.as_object().expect("a map") {
            spec[key] = value.clone();
        }
        items.push(object("v2alpha1", "Subscription", "events", spec));
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

#[test]
fn every_case_is_found_and_every_code_has_one() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../tests/cases/explain.yaml")).expect("cases");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("explain");
    fs::create_dir_all(&folder).expect("a folder");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::from([ALWAYS.to_owned()]);
    for (n, case) in cases.iter().enumerate() {
        let file = format!("{n}.json");
        fs::write(folder.join(&file), objects(case).to_string()).expect("written");
        let mut arguments = vec!["-o", "json", "-f", &file];
        arguments.extend(case.args.iter().map(String::as_str));
        let output = explain(&folder, &arguments);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let found = document["findings"].as_array().into_iter().flatten();
        let mut found: Vec<&str> = found.filter_map(|finding| finding["code"].as_str()).collect();
        found.retain(|code| *code != ALWAYS);
        found.sort_unstable();
        if found != case.codes || output.status.code() != Some(case.exit) {
            let said = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!("{}: {found:?}, {:?} {said}", case.name, output.status.code()));
        }
        seen.extend(case.codes.iter().cloned());
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    for code in codes() {
        assert!(
            seen.contains(&code) || OF_CLUSTERS.contains(&code.as_str()),
            "no case finds {code}"
        );
    }
}

/// All there are, as SARIF lists them.
fn codes() -> Vec<String> {
    let output = explain(&cases(), &["-o", "sarif", "-f", "explain/textbook.yaml"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("SARIF");
    let rules = document["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules");
    rules
        .iter()
        .filter_map(|rule| Some(rule["id"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn the_docs_have_every_code() {
    let docs = fs::read_to_string(cases().join("../../docs/explain.md")).expect("docs");
    let output = explain(&cases(), &["-o", "sarif", "-f", "explain/textbook.yaml"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("SARIF");
    let rules = document["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules");
    for rule in rules {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = text(&rule["shortDescription"]["text"]);
        let line = format!("| `{}` {} | {about} |", text(&rule["id"]), text(&rule["name"]));
        assert!(docs.contains(&line), "docs/explain.md lacks:\n{line}");
    }
    let documented = docs.lines().filter(|line| line.starts_with("| `LF")).count();
    assert_eq!(documented, rules.len());
}

/// LEARNFLOW_UPDATE=1 writes it anew.
#[test]
fn it_looks_as_it_did() {
    let update = std::env::var_os("LEARNFLOW_UPDATE").is_some();
    let mut wrong = Vec::new();
    let rate = ["--rate", "5/s"];
    for (name, arguments, exit) in [
        (
            "textbook.txt",
            &["-o", "table", "-f", "explain/textbook.yaml", rate[0], rate[1]][..],
            1,
        ),
        ("textbook.wide.txt", &["-o", "wide", "-f", "explain/textbook.yaml"], 0),
        ("textbook.json", &["-o", "json", "-f", "explain/textbook.yaml"], 0),
        (
            "textbook.sarif",
            &["-o", "sarif", "-f", "explain/textbook.yaml", rate[0], rate[1]],
            1,
        ),
        (
            "textbook.junit.xml",
            &["-o", "junit", "-f", "explain/textbook.yaml", rate[0], rate[1]],
            1,
        ),
    ] {
        let output = explain(&cases(), arguments);
        assert_eq!(output.status.code(), Some(exit), "{name}");
        let file = cases().join("explain").join(name);
        if update {
            fs::write(&file, &output.stdout).expect("written");
        }
        if fs::read(&file).unwrap_or_default() != output.stdout {
            wrong.push(format!("{name}:\n{}", String::from_utf8_lossy(&output.stdout)));
        }
    }
    assert!(
        wrong.is_empty(),
        "changed; LEARNFLOW_UPDATE=1 accepts it:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_shipped_policies_have_no_error() {
    let root = cases().join("../..");
    for rate in ["0.1/s", "5/s", "50/s"] {
        let arguments = [
            "-f",
            "manifests/resilience",
            "-n",
            "learnflow",
            "--rate",
            rate,
            "--outage",
            "30s",
        ];
        let output = explain(&root, &arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "at {rate}:\n{said}");
    }
}

#[test]
fn standard_input_and_folders_are_read() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("explain-folder");
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(cases().join("explain/textbook.yaml"), folder.join("a.yml")).expect("copied");
    fs::write(folder.join("notes.txt"), "no YAML: [").expect("written");
    let output = explain(&folder, &["-f", "."]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("./a.yml:"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-learnflow"));
    command.args(["explain", "-f", "-"]).env_clear();
    let file = fs::File::open(folder.join("a.yml")).expect("opened");
    let output = command.stdin(file).output().expect("the plugin runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("standard input:36"));
}
