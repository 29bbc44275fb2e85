//! Every verb does its work with exactly the permissions that `rbac` prints for it, and says which one it misses.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{OUR_NAMESPACES, SERVICES_NAMESPACE, Target};
use serde_json::{Value, json};

use crate::{Test, verbs::Dashboard};

/// Before the tests of the other verbs: they look at what this has installed.
pub const FIRST: &[(&str, Test)] = &[("rbac::install_under_its_role", install_under_its_role)];
pub const LAST: &[(&str, Test)] = &[
    (
        "rbac::every_verb_that_looks_under_its_role",
        every_verb_that_looks_under_its_role,
    ),
    (
        "rbac::each_missing_permission_is_named",
        each_missing_permission_is_named,
    ),
    ("rbac::uninstall_under_its_role", uninstall_under_its_role),
];

/// What a verb can do without: it then says less, and says so.
const HELPFUL: &[&str] = &[
    "list events",
    "list nodes",
    "list prometheuses",
    "list services",
    "list statefulsets",
    "list resourcequotas",
    "list storageclasses",
    "list limitranges",
    "list *",
    "get namespaces",
    "get pods/portforward in check",
    "get pods/portforward in bundle",
    "get pods/portforward in diff",
    "get pods/portforward in install",
    "get services/proxy in install",
    "get services/proxy in enroll",
    "get services/proxy in unenroll",
    "get services/proxy in diff",
    // KEDA shows in its autoscaler as well.
    "list scaledobjects",
    // Whether there is another kube-state-metrics; ours is there already.
    "list pods in render",
    "list horizontalpodautoscalers in status",
    "list horizontalpodautoscalers in check",
    "list poddisruptionbudgets in check",
    "list subscriptions in check",
    // Only where something is not ready.
    "list pods in learnflow-system for status",
    // From Kubernetes 1.35 on.
    "create pods/portforward",
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    namespace: Option<String>,
    group: String,
    resource: String,
    verb: String,
    name: Option<String>,
}

impl Rule {
    /// Whether `verb` works without it.
    fn is_helpful(&self, task: &str) -> bool {
        let what = format!("{} {}", self.verb, self.resource);
        let looks = matches!(task, "status" | "check" | "uninstall");
        let ours = OUR_NAMESPACES.map(Some).contains(&self.namespace.as_deref());
        let stack_pods = what == "list pods" && ours && looks;
        let measured = self.group == "metrics.k8s.io";
        // These are for a budget, and none is installed here.
        let budget = matches!(self.resource.as_str(), "resourcequotas" | "limitranges")
            // To create something is never allowed by name.
            && (self.name.is_some() || self.verb == "create")
            && task != "uninstall";
        // It is looked for where no choice of a Grafana is noted, and here one is.
        let grafana = what == "get deployments" && self.name.as_deref() == Some("grafana");
        let pods = what == "list pods" && task == "uninstall";
        // These are for another profile than the one that is installed here.
        let volume = self.resource == "persistentvolumeclaims";
        // The only consumer here must run alone, so that nobody is scaled by lag, and the adapter is not there. Nor is KEDA.
        let kinds = ["apiservices", "scaledobjects", "tokenreviews", "subjectaccessreviews"];
        let adapter = kinds.contains(&self.resource.as_str())
            || self.name.as_deref().is_some_and(|name| {
                name.ends_with("prometheus-adapter") || name == "extension-apiserver-authentication"
            });
        let production = matches!(self.name.as_deref(), Some("collector-spans" | "prometheus-b"));
        stack_pods
            || measured
            || budget
            || volume
            || production
            || adapter
            || grafana
            || pods
            || HELPFUL.contains(&what.as_str())
            || HELPFUL.contains(&format!("{what} in {task}").as_str())
    }

    /// Whether one line says that just this is missing.
    fn is_named(&self, said: &str) -> bool {
        let resource = self.resource.split('/').next().unwrap_or_default();
        let words = [
            Some(resource),
            Some(&self.verb),
            self.namespace.as_deref(),
            self.name.as_deref(),
        ];
        said.lines()
            .any(|line| words.iter().flatten().all(|word| line.contains(*word)))
    }
}

fn user(task: &str) -> String {
    format!("learnflow-test-{task}")
}

/// What `kubectl learnflow rbac` prints for a verb, one permission at a time.
fn rules_of(target: &Target, task: &str) -> Result<Vec<Rule>> {
    let output = target.run_plugin(&["rbac", task, "--output=json"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout)?;
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut rules = Vec::new();
    for role in list["items"].as_array().context("a list")? {
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().context("rules")? {
            let names = texts(rule, "resourceNames");
            let names: Vec<Option<String>> = if names.is_empty() {
                vec![None]
            } else {
                names.into_iter().map(Some).collect()
            };
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        rules.extend(names.iter().map(|name| Rule {
                            namespace: namespace.clone(),
                            group: group.clone(),
                            resource: resource.clone(),
                            verb: verb.clone(),
                            name: name.clone(),
                        }));
                    }
                }
            }
        }
    }
    ensure!(!rules.is_empty(), "{task} needs nothing at all");
    Ok(rules)
}

/// Gives a user exactly these permissions, without those `left_out`.
fn grant(target: &Target, user: &str, rules: &[Rule], left_out: &[&Rule]) -> Result<()> {
    let namespaces: BTreeSet<Option<String>> = rules.iter().map(|rule| rule.namespace.clone()).collect();
    let api = "rbac.authorization.k8s.io/v1";
    let mut items = Vec::new();
    for namespace in namespaces {
        let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
        let mut metadata = json!({ "name": user });
        if let Some(namespace) = &namespace {
            metadata["namespace"] = namespace.as_str().into();
        }
        let given = rules
            .iter()
            .filter(|rule| !left_out.contains(rule) && rule.namespace == namespace);
        let given: Vec<Value> = given
            .map(|rule| {
                let names: Vec<&String> = rule.name.iter().collect();
                json!({ "apiGroups": [rule.group], "resources": [rule.resource], "verbs": [rule.verb], "resourceNames": names })
            })
            .collect();
        items.push(json!({ "apiVersion": api, "kind": kind, "metadata": metadata, "rules": given }));
        items.push(json!({
            "apiVersion": api, "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": user },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user }],
        }));
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    target.apply(None, &list.to_string())
}

/// Waits until the API server knows that a user may do this, or no longer may.
fn wait_until(target: &Target, user: &str, rule: &Rule, allowed: bool) -> Result<()> {
    let (resource, subresource) = rule.resource.split_once('/').unwrap_or((&rule.resource, ""));
    let dot = if rule.group.is_empty() { "" } else { "." };
    let mut what = format!("{resource}{dot}{}", rule.group);
    if let Some(name) = &rule.name {
        what = format!("{what}/{name}");
    }
    let mut arguments = vec!["auth", "can-i", &rule.verb, &what, "--as", user];
    let subresource = format!("--subresource={subresource}");
    if subresource.len() > "--subresource=".len() {
        arguments.push(&subresource);
    }
    let namespace = rule
        .namespace
        .as_deref()
        .map(|namespace| format!("--namespace={namespace}"));
    arguments.extend(namespace.as_deref());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let output = target.kubectl().args(&arguments).output()?;
        if (String::from_utf8_lossy(&output.stdout).trim() == "yes") == allowed {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{rule:?} of {user} does not become {allowed}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// A user with the role of a verb.
pub fn user_of(target: &Target, task: &str) -> Result<String> {
    let rules = rules_of(target, task)?;
    let user = user(task);
    grant(target, &user, &rules, &[])?;
    wait_until(target, &user, rules.last().context("a rule")?, true)?;
    Ok(user)
}

/// Gives a verb its role, and runs it under it.
fn run(target: &Target, task: &str, arguments: &[&str], code: i32) -> Result<()> {
    let user = user_of(target, task)?;
    crate::expect(target, &[arguments, &["--as", &user]].concat(), code).map(|_| ())
}

fn install_under_its_role(target: &Target) -> Result<()> {
    target.deploy_services()?;
    // A Role needs its namespace, and one that is there already is used as it is.
    for name in OUR_NAMESPACES {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        target.apply(None, &namespace.to_string())?;
    }
    run(target, "install", &["install"], 0)
}

fn every_verb_that_looks_under_its_role(target: &Target) -> Result<()> {
    run(target, "version", &["version"], 0)?;
    // Others may have had their hands on something: that differs, and is no failure.
    run(target, "diff", &["diff"], 0).or_else(|_| run(target, "diff", &["diff"], 1))?;
    run(target, "enroll", &["enroll", "course-agent"], 0)?;
    run(target, "status", &["status", "--wait=60s"], 0)?;
    run(target, "check", &["check"], 0)?;
    run(target, "coverage", &["coverage", "--window=2s"], 0)?;
    let file = std::env::temp_dir().join(format!("learnflow-rbac-{}.tar.gz", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    let bundled = run(target, "bundle", &["bundle", "--since=1m", "--output", &path], 0);
    std::fs::remove_file(&file)?;
    bundled?;
    let dashboard = Dashboard::open(target, &["prometheus", "--as", &user_of(target, "dashboard")?])?;
    ensure!(dashboard.get("/-/ready")?.contains("Ready"), "no page");
    Ok(())
}

fn each_missing_permission_is_named(target: &Target) -> Result<()> {
    // `install` asks about everything first: a dry run tells as much.
    let verbs: [(&str, &[&str]); 10] = [
        ("version", &["version"]),
        ("status", &["status"]),
        ("check", &["check", "--output=short"]),
        ("dashboard", &["dashboard", "prometheus", "--port=0"]),
        ("install", &["install", "--dry-run"]),
        ("enroll", &["enroll", "course-agent", "--dry-run"]),
        ("unenroll", &["unenroll", "course-agent", "--dry-run"]),
        ("diff", &["diff"]),
        ("render", &["render"]),
        ("uninstall", &["uninstall", "--unenroll"]),
    ];
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (task, arguments) in verbs {
        let rules = rules_of(target, task)?;
        let user = user(task);
        // The dashboard finds out when somebody opens the page.
        let late = |rule: &Rule| task == "dashboard" && rule.resource == "pods/portforward";
        let mut missing: Vec<&Rule> = rules
            .iter()
            .filter(|rule| !rule.is_helpful(task) && !late(rule))
            .collect();
        // All at once; what it does not name yet, again without the others.
        while let Some(one) = missing.first() {
            grant(target, &user, &rules, &missing)?;
            wait_until(target, &user, one, false)?;
            let output = target.run_plugin(&[arguments, &["--as", &user]].concat())?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let before = missing.len();
            missing.retain(|rule| !rule.is_named(&said));
            if output.status.code() != Some(2) || missing.len() == before {
                wrong.push(format!("{task} without {missing:?}: {}\n{said}", output.status));
                break;
            }
            tried += before - missing.len();
        }
        grant(target, &user, &rules, &[])?;
    }
    eprintln!("{tried} permissions were taken away");
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    ensure!(tried > 60, "only {tried}");
    Ok(())
}

fn uninstall_under_its_role(target: &Target) -> Result<()> {
    run(target, "uninstall", &["uninstall", "--unenroll"], 0)?;
    // It was not ours, so it stayed, with the Roles in it.
    let users: Vec<String> = [
        "bundle",
        "check",
        "dashboard",
        "install",
        "status",
        "uninstall",
        "version",
    ]
    .iter()
    .map(|task| user(task))
    .collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let of_cluster = [
        &["delete", "clusterrole,clusterrolebinding", "--ignore-not-found"],
        users.as_slice(),
    ]
    .concat();
    target.run_kubectl(&of_cluster)?;
    let namespace = format!("--namespace={SERVICES_NAMESPACE}");
    let of_services = [
        &["delete", "role,rolebinding", "--ignore-not-found", &namespace],
        users.as_slice(),
    ]
    .concat();
    target.run_kubectl(&of_services)?;
    target
        .run_kubectl(&[&["delete", "namespace", "--wait"], &OUR_NAMESPACES[..]].concat())
        .map(|_| ())
}
