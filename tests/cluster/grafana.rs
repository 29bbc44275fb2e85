//! Grafana, as far as a cluster that cannot have its image shows it: its pod is let in and waits, and that is said; and one of
//! somebody else is told of the boards.

use anyhow::{Context, Result, ensure};
use learnflow_tests::{STACK_NAMESPACE, Target};
use serde_json::Value;

use crate::{Test, expect, objects, stack_is_gone};

pub const TESTS: &[(&str, Test)] = &[
    (
        "grafana::an_image_that_cannot_be_pulled_is_named",
        an_image_that_cannot_be_pulled_is_named,
    ),
    (
        "grafana::an_existing_one_gets_the_boards",
        an_existing_one_gets_the_boards,
    ),
];

const IMAGE: &str = "grafana/grafana:12.4.2";
const THEIRS: &str = include_str!("../cases/existing-grafana.yaml");

fn an_image_that_cannot_be_pulled_is_named(target: &Target) -> Result<()> {
    let install = ["install", "--only=grafana", "--grafana=own", "--timeout=30s"];
    let (_, said) = expect(target, &install, 1)?;
    ensure!(said.contains("chose a password for Grafana"), "{said}");
    let late = said.lines().find(|line| line.contains("not ready after"));
    let late = late.with_context(|| said.clone())?;
    ensure!(late.contains("grafana") && late.contains(IMAGE), "{late}");
    ensure!(said.contains("Name a registry that has it with --registry"), "{said}");

    // Pod Security let it in.
    let pods = [
        "get",
        "pods",
        "--selector=app.kubernetes.io/name=grafana",
        "--output=name",
    ];
    let pods = target.run_kubectl(&[&["--namespace", STACK_NAMESPACE][..], &pods].concat())?;
    ensure!(pods.lines().count() == 1, "{pods}");

    let (table, _) = expect(target, &["status"], 1)?;
    let reason = format!("Deployment {STACK_NAMESPACE}/grafana has 0 of 1 pods ready: container grafana");
    ensure!(table.contains(&reason) && table.contains(IMAGE), "{table}");
    expect(target, &["dashboard", "grafana"], 2)?;

    let first = password(target)?;
    ensure!(first.len() >= 24, "a password of {} characters", first.len());
    expect(target, &["diff", "--only=grafana"], 0)?;
    let (_, said) = expect(target, &["install", "--only=grafana", "--no-wait"], 0)?;
    ensure!(!said.contains("password"), "{said}");
    ensure!(password(target)? == first, "an install has changed the password");

    expect(target, &["uninstall", "--unenroll"], 0)?;
    stack_is_gone(target)
}

/// As the hint of `dashboard` reads it.
fn password(target: &Target) -> Result<String> {
    let template = "--output=go-template={{.data.password | base64decode}}";
    target.run_kubectl(&["--namespace", STACK_NAMESPACE, "get", "secret", "grafana", template])
}

fn an_existing_one_gets_the_boards(target: &Target) -> Result<()> {
    target.deploy_services()?;
    target.apply(None, THEIRS)?;
    let result = told(target);
    let gone = expect(target, &["uninstall", "--unenroll"], 0).map(|_| ());
    let removed = target
        .run_kubectl(&["delete", "namespace", "boards", "--wait"])
        .map(|_| ());
    result.and(gone).and(removed)
}

fn told(target: &Target) -> Result<()> {
    let before = objects(target)?;
    let (stdout, _) = expect(target, &["check", "--pre"], 0)?;
    ensure!(stdout.contains("√ Grafana boards/main can show the boards"), "{stdout}");
    let (_, said) = expect(target, &["install", "--only=grafana"], 0)?;
    let sentence = "√ Grafana boards/main shows the boards (a ConfigMap in boards, labelled grafana_dashboard=1)";
    ensure!(said.contains(sentence), "{said}");
    let maps = ["--namespace", "boards", "get", "configmaps", "--output=json"];
    let of = |label: &str| -> Result<Value> {
        let list = target.run_kubectl(&[&maps[..], &["--selector", label]].concat())?;
        let list: Value = serde_json::from_str(&list)?;
        ensure!(
            list["items"].as_array().is_some_and(|items| items.len() == 1),
            "{label}: {list}"
        );
        Ok(list["items"][0]["data"].clone())
    };
    let boards = of("grafana_dashboard=1")?;
    ensure!(boards["learnflow-overview.json"].is_string(), "{boards}");
    of("grafana_datasource=1")?;

    // It stays that one, and nothing of it is left.
    let (_, said) = expect(target, &["install", "--only=grafana"], 0)?;
    ensure!(!said.contains("(changed)") && !said.contains("(created)"), "{said}");
    expect(target, &["uninstall", "--unenroll"], 0)?;
    let after = objects(target)?;
    let left: Vec<_> = after.iter().filter(|object| !before.contains(object)).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}
