//! What every verb prints, in table and in JSON, compared with what was kept: tests/cases/golden.yaml.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{OUR_NAMESPACES, Target};
use regex::{Captures, Regex};
use serde::Deserialize;

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[("golden::every_verb_in_every_form", every_verb_in_every_form)];

const CASES: &str = include_str!("../cases/golden.yaml");

#[derive(Deserialize)]
struct Cases {
    before: Vec<Case>,
    installed: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    run: Vec<String>,
    #[serde(default)]
    code: i32,
}

/// What is another one at each run, and what stands for it. In this order: what is longer comes first.
const VARIES: &[(&str, &str)] = &[
    (r"\x1b\[[0-9;]*m", ""),
    (r"(127\.0\.0\.1|localhost):\d+", "$1:PORT"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "UID",
    ),
    (r"\b(learnflow(?:-wasm)?)-[0-9a-f]{12}\b", "$1-HASH"),
    (r#"("?learnflow\.dev/[a-z]+"?: +"?)[0-9a-f-]{12,}"#, "${1}HASH"),
    (
        r"\b(course-agent|frontend|user-progress|collector-gateway|kube-state-metrics|prometheus)-[0-9a-f]{5,10}-[a-z0-9]{5}\b",
        "$1-POD",
    ),
    (r"\bcollector-agent-[a-z0-9]{5}\b", "collector-agent-POD"),
    // How many events there were, and how fast: what came before is not this test's.
    (
        r#""?\b(count|per_second|p\d\d_seconds|age_p95_seconds|success_ratio)"?: +[^,\n]+"#,
        "$1: N",
    ),
    // An autoscaler has figures when the metrics server has.
    (
        r#"\b(current|desired|load_percent|target_percent|now|limited_by|trouble)("?: +)[^,\n]+"#,
        "$1${2}N",
    ),
    // What the stack takes, and whether that is measured yet.
    (r"Memory: [^;\n]+", "Memory: N"),
    (r"\b\d+Mi/(\d+Mi)\b", "N/$1"),
    (r#"\b(used)("?: +)\d+"#, "$1${2}N"),
    (r#"\b(source"?: +"?)(metrics|requests)\b"#, "${1}SOURCE"),
    (r#""[0-9a-f]{12}""#, "\"HASH\""),
    (r"\b\d+(\.\d+)?(ms|s|m|h)\b", "DURATION"),
    // A table is as wide as what stands in it.
    (r" {2,}", "  "),
];

fn every_verb_in_every_form(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let gone = ["delete", "namespace", "--ignore-not-found", "--wait"];
    target.run_kubectl(&[&gone[..], &OUR_NAMESPACES].concat())?;
    let Cases { before, installed } = serde_saphyr::from_str(CASES).context("tests/cases/golden.yaml")?;
    compare(target, &before)?;
    expect(target, &["install"], 0)?;
    let compared = compare(target, &installed);
    expect(target, &["uninstall", "--unenroll"], 0)?;
    compared
}

fn compare(target: &Target, cases: &[Case]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/golden");
    let mut wrong = Vec::new();
    for Case { name, run, code } in cases {
        let arguments: Vec<&str> = run.iter().map(String::as_str).collect();
        let output = target.run_plugin(&arguments)?;
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.code() != Some(*code) {
            wrong.push(format!("{name} ended with {}, not {code}:\n{out}{err}", output.status));
            continue;
        }
        let line = arguments.join(" ");
        let said = normal(&format!("$ kubectl learnflow {line}\n{out}--- stderr\n{err}"))?;
        let file = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &said)?;
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        if kept != said {
            wrong.push(format!("{name} is not what was kept:\n{}", difference(&kept, &said)));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{}\nUPDATE_EXPECT=1 writes them anew",
        wrong.join("\n")
    );
    Ok(())
}

/// Without what varies. Rows of topics and autoscalers go: what they say is not this test's.
fn normal(text: &str) -> Result<String> {
    let mut text = text.to_owned();
    for section in ["AUTOSCALING", "TOPICS of"] {
        let rows = Regex::new(&format!(r"(?s)(\n{section}[^\n]*\n).*?(\n\n)"))?;
        text = rows.replace_all(&text, "${1}…$2").into_owned();
    }
    let topics = Regex::new(r#"(?s)("?topics"?:)( \[\]| \[\n.*?\n  \]|\n(?:- [^\n]*\n|  [^\n]*\n)+)"#)?;
    let rows = |found: &Captures<'_>| {
        let end = if found[2].ends_with('\n') { "\n" } else { "" };
        format!("{} …{end}", &found[1])
    };
    text = topics.replace_all(&text, rows).into_owned();
    for (pattern, name) in VARIES {
        text = Regex::new(pattern)?.replace_all(&text, *name).into_owned();
    }
    Ok(text)
}

/// The first lines that differ.
fn difference(kept: &str, said: &str) -> String {
    let (kept, said): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), said.lines().collect());
    let at = kept.iter().zip(&said).take_while(|(kept, said)| kept == said).count();
    let lines = |lines: &[&str], mark: &str| -> String {
        lines
            .iter()
            .skip(at)
            .take(8)
            .map(|line| format!("{mark} {line}\n"))
            .collect()
    };
    format!("at line {}\n{}{}", at + 1, lines(&kept, "-"), lines(&said, "+"))
}
