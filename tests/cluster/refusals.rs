//! What `install` refuses, on a cluster that has something wrong: exit code 2, a sentence that names it, nothing applied.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
use serde_json::{Value, json};

use crate::{Test, objects};

pub const TESTS: &[(&str, Test)] = &[
    ("refusals::a_namespace_without_kafka", a_namespace_without_kafka),
    ("refusals::nobody_may_install", nobody_may_install),
    ("refusals::an_older_dapr", an_older_dapr),
    ("refusals::another_configuration", another_configuration),
];

fn a_namespace_without_kafka(target: &Target) -> Result<()> {
    refused(
        target,
        target.plugin_in("default", &["install"]),
        &["pubsub.kafka", "default"],
    )
}

fn nobody_may_install(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let namespace = ["--namespace", SERVICES_NAMESPACE];
    target.run_kubectl(&[&namespace[..], &["create", "serviceaccount", "nobody"]].concat())?;
    let token = target.run_kubectl(&[&namespace[..], &["create", "token", "nobody"]].concat())?;
    let text = target.run_kubectl(&["config", "view", "--raw", "--minify", "--output=json"])?;
    let mut config: Value = serde_json::from_str(&text)?;
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = std::env::temp_dir().join(format!("learnflow-nobody-{}.json", std::process::id()));
    fs::write(&file, config.to_string())?;
    let mut command = target.plugin(&["install"]);
    command.env("KUBECONFIG", &file);
    let result = refused(target, command, &["permission", "nobody"]);
    fs::remove_file(&file)?;
    target.run_kubectl(&[&namespace[..], &["delete", "serviceaccount", "nobody"]].concat())?;
    result
}

fn an_older_dapr(target: &Target) -> Result<()> {
    let label = |version: &str| {
        target.run_kubectl(&[
            "--namespace=dapr-system",
            "label",
            "--overwrite",
            "deployment/dapr-operator",
            &format!("app.kubernetes.io/version={version}"),
        ])
    };
    let version = target.run_kubectl(&[
        "--namespace=dapr-system",
        "get",
        "deployment/dapr-operator",
        "--output=jsonpath={.metadata.labels.app\\.kubernetes\\.io/version}",
    ])?;
    label("1.9.0")?;
    let result = refused(target, target.plugin(&["install"]), &["1.9.0", "Dapr"]);
    label(&version)?;
    result
}

fn another_configuration(target: &Target) -> Result<()> {
    let patch = |value: Value| {
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"dapr.io/config": value}}}}});
        target.run_kubectl(&[
            "--namespace",
            SERVICES_NAMESPACE,
            "patch",
            "deployment/course-agent",
            &format!("--patch={patch}"),
        ])
    };
    // Paused: the change is there to be seen, and no pod is replaced for it.
    let pause = |verb: &str| {
        target.run_kubectl(&[
            "--namespace",
            SERVICES_NAMESPACE,
            "rollout",
            verb,
            "deployment/course-agent",
        ])
    };
    pause("pause")?;
    patch(json!("appconfig"))?;
    let result = refused(target, target.plugin(&["install"]), &["course-agent", "appconfig"]);
    patch(Value::Null)?;
    pause("resume")?;
    target.wait_for_services()?;
    result
}

/// The command must end with 2, name all `words`, and leave the cluster as it was.
fn refused(target: &Target, mut command: Command, words: &[&str]) -> Result<()> {
    let before = objects(target)?;
    let output = command.output().context("cannot run kubectl-learnflow")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(2),
        "it ended with {}:\n{said}",
        output.status
    );
    for word in words {
        ensure!(said.contains(word), "`{word}` is not named:\n{said}");
    }
    let after = objects(target)?;
    let new: Vec<_> = after.iter().filter(|object| !before.contains(object)).collect();
    let gone: Vec<_> = before.iter().filter(|object| !after.contains(object)).collect();
    ensure!(
        before == after,
        "it changed the cluster: new {new:?}, gone {gone:?}\n{said}"
    );
    Ok(())
}
