//! What is installed, changed and removed on a real API server: differences, conflicts, pruning, interrupted runs.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{AGENT_NAMESPACE, SERVICES_NAMESPACE, STACK_NAMESPACE, Target};
use serde_json::Value;

use crate::{Test, expect, objects, stack_is_gone};

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
    ("changes::a_budget_is_kept_and_changed", a_budget_is_kept_and_changed),
    ("changes::pod_security_holds", pod_security_holds),
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
    Ok(())
}

/// The memory limit of a workload's first container, in MiB.
fn limit_of(target: &Target, namespace: &str, workload: &str) -> Result<u64> {
    let path = "--output=jsonpath={.spec.template.spec.containers[0].resources.limits.memory}";
    let limit = target.run_kubectl(&["--namespace", namespace, "get", workload, path])?;
    limit
        .trim_end_matches("Mi")
        .parse()
        .with_context(|| format!("{workload} has {limit}"))
}

/// What the quota of a namespace allows and has, in MiB.
fn quota_of(target: &Target, namespace: &str) -> Result<(u64, u64)> {
    let path = "--output=jsonpath={.status.hard.limits\\.memory} {.status.used.limits\\.memory}";
    let text = target.run_kubectl(&["--namespace", namespace, "get", "resourcequota/learnflow", path])?;
    let (hard, used) = text.split_once(' ').context("two figures")?;
    let mib = |text: &str| {
        text.trim_end_matches("Mi")
            .parse::<u64>()
            .with_context(|| format!("{text}: Mi"))
    };
    Ok((mib(hard)?, if used == "0" { 0 } else { mib(used)? }))
}

/// A budget over a stack that is there, a smaller one, and none again: pods are replaced, and quotas never keep them.
fn a_budget_is_kept_and_changed(target: &Target) -> Result<()> {
    let (_, stderr) = expect(target, &["install", "--budget=300Mi"], 2)?;
    ensure!(
        stderr.contains("A budget of 300Mi is too small for 1 node") && stderr.contains("Raise it to"),
        "{stderr}"
    );
    for budget in [1200, 1024] {
        let flag = format!("--budget={budget}Mi");
        let (_, stderr) = expect(target, &["install", &flag, "--skip=kafka"], 0)?;
        ensure!(stderr.contains("with room for the pods that go"), "{stderr}");
        expect(target, &["diff", &flag, "--skip=kafka"], 0)?;
        let (system, agents) = (quota_of(target, STACK_NAMESPACE)?, quota_of(target, AGENT_NAMESPACE)?);
        ensure!(system.0 + agents.0 == budget, "{system:?} {agents:?}");
        ensure!(
            0 < system.1 && system.1 <= system.0 && 0 < agents.1 && agents.1 <= agents.0,
            "{system:?} {agents:?}"
        );
        let mut sum = limit_of(target, AGENT_NAMESPACE, "daemonset/collector-agent")?;
        for name in ["collector-gateway", "kube-state-metrics", "prometheus", "traces"] {
            sum += limit_of(target, STACK_NAMESPACE, &format!("deployment/{name}"))?;
        }
        ensure!(
            sum == system.1 + agents.1,
            "{sum}, and the quotas count {system:?} {agents:?}"
        );
        // The gateway's old pod sleeps for 10 s before it ends, and takes its memory until then.
        let memory = settled_memory(target, sum)?;
        ensure!(memory["budget"] == budget << 20, "{memory}");
        ensure!(
            memory["used"]
                .as_u64()
                .is_some_and(|used| 0 < used && used <= budget << 20),
            "{memory}"
        );
    }
    // A pod that goes while the quota is full comes again.
    in_stack(
        target,
        &[
            "delete",
            "pod",
            "--selector=app.kubernetes.io/name=prometheus",
            "--wait=false",
        ],
    )?;
    expect(target, &["status", "--wait=120s"], 0)?;
    let (_, stderr) = expect(target, &["install"], 0)?;
    ensure!(stderr.contains("there is no budget"), "{stderr}");
    let left = target.run_kubectl(&["get", "resourcequotas,limitranges", "--all-namespaces", "--output=name"])?;
    ensure!(!left.contains("/learnflow"), "{left}");
    expect(target, &["diff"], 0).map(|_| ())
}

/// What `status` says of memory, when the limits of all pods have come to this many MiB.
fn settled_memory(target: &Target, limits: u64) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let (stdout, _) = expect(target, &["status", "--wait=120s", "--output=json"], 0)?;
        let memory = serde_json::from_str::<Value>(&stdout)?["memory"].clone();
        if memory["limits"] == limits << 20 {
            return Ok(memory);
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(40),
            "{limits} MiB are wanted: {memory}"
        );
        thread::sleep(Duration::from_secs(2));
    }
}

/// Pod Security is enforced where the stack is, and one pod alone is outside of it; what a service gets is let in as well.
fn pod_security_holds(target: &Target) -> Result<()> {
    let level = |namespace: &str| {
        let path = "--output=jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}";
        target.run_kubectl(&["get", "namespace", namespace, path])
    };
    ensure!(level(STACK_NAMESPACE)? == "restricted", "the stack");
    ensure!(level(AGENT_NAMESPACE)? == "privileged", "the agents");
    let pods = [
        "--namespace",
        AGENT_NAMESPACE,
        "get",
        "pods",
        "--output=jsonpath={.items[*].metadata.labels.app\\.kubernetes\\.io/name}",
    ];
    let pods = target.run_kubectl(&pods)?;
    ensure!(pods.split_whitespace().all(|name| name == "collector-agent"), "{pods}");
    // What the agent cannot have in `restricted`: all of it, and nothing else.
    let label = [
        "label",
        "--dry-run=server",
        "--overwrite",
        "namespace",
        AGENT_NAMESPACE,
        "pod-security.kubernetes.io/enforce=restricted",
    ];
    let output = target.kubectl().args(label).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let violations = said
        .lines()
        .find(|line| line.contains("collector-agent-"))
        .unwrap_or_default();
    for violation in ["restricted volume types", "runAsUser=0"] {
        ensure!(violations.contains(violation), "{said}");
    }
    for met in [
        "capabilities",
        "seccompProfile",
        "allowPrivilegeEscalation",
        "privileged",
        "host namespaces",
        "hostPort",
    ] {
        ensure!(!violations.contains(met), "{said}");
    }
    // The services, where Dapr is told to make its sidecars so: all pods are made anew under the strictest level.
    let injector = |value: &str| -> Result<()> {
        let set = [
            "--namespace=dapr-system",
            "set",
            "env",
            "deployment/dapr-sidecar-injector",
            value,
        ];
        target.run_kubectl(&set)?;
        let rolled = [
            "--namespace=dapr-system",
            "rollout",
            "status",
            "deployment/dapr-sidecar-injector",
            "--timeout=120s",
        ];
        target.run_kubectl(&rolled).map(|_| ())
    };
    let enforce = |level: &str| {
        target
            .run_kubectl(&["label", "--overwrite", "namespace", SERVICES_NAMESPACE, level])
            .map(|_| ())
    };
    injector("SIDECAR_DROP_ALL_CAPABILITIES=true")?;
    enforce("pod-security.kubernetes.io/enforce=restricted")?;
    let services = [
        "--namespace",
        SERVICES_NAMESPACE,
        "rollout",
        "restart",
        "deployment/frontend",
        "deployment/course-agent",
        "deployment/user-progress",
    ];
    let came_up = target
        .run_kubectl(&services)
        .and_then(|_| expect(target, &["status", "--wait=180s"], 0));
    enforce("pod-security.kubernetes.io/enforce-")?;
    injector("SIDECAR_DROP_ALL_CAPABILITIES-")?;
    came_up.map(|_| ())
}

fn uninstall(target: &Target) -> Result<()> {
    expect(target, &["uninstall", "--unenroll"], 0)?;
    stack_is_gone(target)
}
