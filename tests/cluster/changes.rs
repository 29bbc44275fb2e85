//! What is installed, changed and removed on a real API server: differences, conflicts, pruning, interrupted runs.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{STACK_NAMESPACE, Target};
use serde_json::Value;

use crate::{Test, expect, objects};

const SET: &str = "configmap/learnflow";

pub const TESTS: &[(&str, Test)] = &[
    ("changes::diff_of_nothing_is_1", diff_of_nothing_is_1),
    (
        "changes::an_interrupted_install_goes_on",
        an_interrupted_install_goes_on,
    ),
    ("changes::diff_after_an_install_is_0", diff_after_an_install_is_0),
    (
        "changes::rendered_files_are_what_is_installed",
        rendered_files_are_what_is_installed,
    ),
    (
        "changes::a_foreign_field_differs_and_is_named",
        a_foreign_field_differs_and_is_named,
    ),
    (
        "changes::what_is_no_longer_wanted_is_removed",
        what_is_no_longer_wanted_is_removed,
    ),
    ("changes::production_needs_storage", production_needs_storage),
    ("changes::uninstall", uninstall),
];

fn in_stack(target: &Target, arguments: &[&str]) -> Result<String> {
    target.run_kubectl(&[&["--namespace", STACK_NAMESPACE][..], arguments].concat())
}

/// As another version of the plugin would.
fn apply_as_ours(target: &Target, object: &Value) -> Result<()> {
    let file = std::env::temp_dir().join(format!("learnflow-older-{}.json", std::process::id()));
    std::fs::write(&file, object.to_string())?;
    let name = file.to_string_lossy().into_owned();
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=kubectl-learnflow",
        "--filename",
    ];
    let applied = target.run_kubectl(&[&apply[..], &[&name]].concat());
    std::fs::remove_file(&file)?;
    applied.map(|_| ())
}

fn diff_of_nothing_is_1(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let before = objects(target)?;
    let (stdout, _) = expect(target, &["diff"], 1)?;
    ensure!(stdout.contains("+ Namespace learnflow-system"), "{stdout}");
    let (stdout, _) = expect(target, &["install", "--dry-run=client"], 0)?;
    ensure!(stdout.contains("create Namespace learnflow-system"), "{stdout}");
    expect(target, &["install", "--dry-run"], 0)?;
    ensure!(objects(target)? == before, "something was left behind");
    Ok(())
}

/// Killed at different moments; each next run starts from what is there.
fn an_interrupted_install_goes_on(target: &Target) -> Result<()> {
    for milliseconds in [150, 300, 600, 1000, 1500, 2500, 4000, 8000] {
        let mut child = target
            .plugin(&["install"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        thread::sleep(Duration::from_millis(milliseconds));
        child.kill()?;
        child.wait()?;
    }
    expect(target, &["install"], 0)?;
    Ok(())
}

fn diff_after_an_install_is_0(target: &Target) -> Result<()> {
    let (stdout, stderr) = expect(target, &["diff"], 0)?;
    ensure!(
        stdout.is_empty() && stderr.contains("No difference"),
        "{stdout}{stderr}"
    );
    let (stdout, _) = expect(target, &["diff", "--output=json"], 0)?;
    let entries: Vec<Value> = serde_json::from_str(&stdout)?;
    ensure!(entries.is_empty(), "{stdout}");
    let (stdout, _) = expect(target, &["install", "--dry-run"], 0)?;
    ensure!(stdout.lines().all(|line| line.starts_with("keep ")), "{stdout}");
    Ok(())
}

fn rendered_files_are_what_is_installed(target: &Target) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("learnflow-rendered-{}", std::process::id()));
    let name = folder.to_string_lossy().into_owned();
    let arguments = [
        "render",
        "--skip=middleware,resilience,autoscaling",
        "--output-dir",
        name.as_str(),
    ];
    expect(target, &arguments, 0)?;
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=kubectl-learnflow",
        "--filename",
        &name,
    ];
    let applied = target.run_kubectl(&apply);
    std::fs::remove_dir_all(&folder)?;
    let applied = applied?;
    ensure!(applied.lines().count() > 10, "{applied}");
    expect(target, &["diff"], 0)?;
    Ok(())
}

fn a_foreign_field_differs_and_is_named(target: &Target) -> Result<()> {
    let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"collector","imagePullPolicy":"Always"}]}}}}"#;
    // Paused: the change is there to be seen, and no pod is replaced for it.
    in_stack(target, &["rollout", "pause", "deployment/collector-gateway"])?;
    in_stack(target, &["patch", "deployment/collector-gateway", "--patch", patch])?;
    let (stdout, stderr) = expect(target, &["diff"], 1)?;
    for words in [
        "~ Deployment learnflow-system/collector-gateway",
        "belongs to kubectl-patch, who set it to \"Always\"; LearnFlow wants \"IfNotPresent\"",
        "spec.template.spec.containers[name=collector].imagePullPolicy:",
        "      - \"Always\"\n      + \"IfNotPresent\"",
    ] {
        ensure!(stdout.contains(words), "`{words}` is missing in {stdout}{stderr}");
    }
    let (stdout, stderr) = expect(target, &["install"], 2)?;
    ensure!(
        stderr.contains("imagePullPolicy belongs to kubectl-patch") && stderr.contains("--force-conflicts"),
        "{stdout}{stderr}"
    );
    in_stack(target, &["rollout", "resume", "deployment/collector-gateway"])?;
    let (_, stderr) = expect(target, &["install", "--force-conflicts"], 0)?;
    ensure!(stderr.contains("Taken over"), "{stderr}");
    let policy = "--output=jsonpath={.spec.template.spec.containers[0].imagePullPolicy}";
    let policy = in_stack(target, &["get", "deployment/collector-gateway", policy])?;
    ensure!(policy == "IfNotPresent", "{policy}");
    expect(target, &["diff"], 0)?;
    Ok(())
}

/// Also of a kind that this version does not have at all, and nothing that is not ours.
fn what_is_no_longer_wanted_is_removed(target: &Target) -> Result<()> {
    let set = in_stack(target, &["get", SET, "--output=json"])?;
    let set: Value = serde_json::from_str(&set)?;
    let id = set["metadata"]["labels"]["applyset.kubernetes.io/id"]
        .as_str()
        .context("the set has no id")?;
    let kinds = set["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"]
        .as_str()
        .context("the set has no kinds")?;
    // What an older version could have left.
    let mut older = set.clone();
    let metadata = &mut older["metadata"];
    metadata["annotations"]["applyset.kubernetes.io/contains-group-kinds"] =
        format!("{kinds},NetworkPolicy.networking.k8s.io").into();
    for ours in ["managedFields", "resourceVersion", "uid", "creationTimestamp"] {
        metadata.as_object_mut().context("metadata")?.remove(ours);
    }
    apply_as_ours(target, &older)?;
    let labels = |set: &str| {
        format!("{{app.kubernetes.io/managed-by: kubectl-learnflow, applyset.kubernetes.io/part-of: {set}}}")
    };
    let object = |kind: &str, name: &str, labels: &str, spec: &str| {
        format!("---\napiVersion: {kind}\nmetadata: {{name: {name}, labels: {labels}}}\n{spec}\n")
    };
    let policy = "spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}";
    let manifest = [
        object("v1\nkind: ConfigMap", "old", &labels(id), ""),
        object("networking.k8s.io/v1\nkind: NetworkPolicy", "old", &labels(id), policy),
        object("v1\nkind: ConfigMap", "theirs", "{}", ""),
        object("v1\nkind: ConfigMap", "of-another-set", &labels("applyset-x-v1"), ""),
    ];
    target.apply(Some(STACK_NAMESPACE), &manifest.concat())?;

    let (stdout, _) = expect(target, &["diff"], 1)?;
    ensure!(
        stdout.contains("- ConfigMap learnflow-system/old") && stdout.contains("- NetworkPolicy learnflow-system/old"),
        "{stdout}"
    );
    let (_, stderr) = expect(target, &["install"], 0)?;
    ensure!(stderr.contains("removed ConfigMap learnflow-system/old"), "{stderr}");
    let left = in_stack(target, &["get", "configmaps,networkpolicies", "--output=name"])?;
    ensure!(!left.contains("/old"), "{left}");
    ensure!(left.contains("/theirs") && left.contains("/of-another-set"), "{left}");
    in_stack(target, &["delete", "configmap/theirs", "configmap/of-another-set"])?;
    expect(target, &["diff"], 0)?;
    Ok(())
}

fn production_needs_storage(target: &Target) -> Result<()> {
    let classes = target.run_kubectl(&["get", "storageclasses", "--output=name"])?;
    if !classes.is_empty() {
        return Ok(());
    }
    let (_, stderr) = expect(target, &["install", "--profile=production"], 2)?;
    ensure!(stderr.contains("no default StorageClass"), "{stderr}");
    let (_, stderr) = expect(target, &["install", "--budget=500Mi"], 2)?;
    ensure!(stderr.contains("of the budget of 500Mi"), "{stderr}");
    Ok(())
}

fn uninstall(target: &Target) -> Result<()> {
    expect(target, &["uninstall", "--unenroll"], 0)?;
    let namespaces = target.run_kubectl(&["get", "namespaces", "--output=name"])?;
    ensure!(!namespaces.contains(STACK_NAMESPACE), "{namespaces}");
    Ok(())
}
