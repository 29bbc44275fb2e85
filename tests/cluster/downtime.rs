//! Nobody notices: lessons are asked for all the time while LearnFlow is installed, changed and removed, and while each of that is
//! killed half way and done again. And what the same objects do when they are just applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{Failure, Load, Progress, SERVICES_NAMESPACE, Tally, Target, Timeline, progress_of};
use serde_json::{Map, Value, json};

use crate::{Test, expect};

const PER_SECOND: u32 = 50;
const BYSTANDER_PER_SECOND: u32 = 10;
const BYSTANDER: &str = include_str!("../cases/downtime/bystander.yaml");
/// A consumer may take so long.
const STORED: Duration = Duration::from_secs(90);
/// How a team runs its services that must not lose a call when pods are replaced.
const CAREFUL: &str = include_str!("../cases/downtime/careful.json");
const PLAIN_CONFIGURATION: &str = include_str!("../cases/downtime/plain-configuration.yaml");
const PLAIN_COMPONENT: &str = include_str!("../cases/downtime/plain-component.yaml");
/// Where the careful user-progress keeps its database, on the node.
const DATA: &str = "/var/lib/learnflow-test";
/// Seconds that a sidecar waits before it ends, and its app: not at all, less than callers remember an address, and as in
/// `careful.json`.
const ENDINGS: &[(u32, u32)] = &[(0, 0), (10, 15), CAREFULLY];
const CAREFULLY: (u32, u32) = (30, 35);
/// Between which moments each command is killed, in milliseconds: after its checks, which write nothing, and before it has ended.
const KILLED_AFTER: &[(&str, [u64; 2])] = &[
    ("install", [2_000, 45_000]),
    ("upgrade", [2_000, 18_000]),
    ("downgrade", [2_000, 18_000]),
    ("unenroll", [300, 2_500]),
    ("enroll", [1_000, 30_000]),
    ("uninstall", [500, 30_000]),
];

pub const TESTS: &[(&str, Test)] = &[("downtime::install_and_uninstall", install_and_uninstall)];
/// By name only.
pub const LONG: &[(&str, Test)] = &[
    ("downtime::nobody_notices", nobody_notices),
    (
        "downtime::a_plain_restart_for_comparison",
        a_plain_restart_for_comparison,
    ),
    (
        "downtime::plainly_applied_it_is_an_outage",
        plainly_applied_it_is_an_outage,
    ),
];

/// The part of the next one for which every run of the tests has the time.
fn install_and_uninstall(target: &Target) -> Result<()> {
    let line = Line::set_up(target)?;
    line.step("install", target, &["install", "--exclude=bystander"])?;
    line.step("uninstall", target, &["uninstall", "--unenroll"])?;
    line.take_down()
}

fn nobody_notices(target: &Target) -> Result<()> {
    let line = Line::set_up(target)?;
    let later = later(target)?;
    let install = ["install", "--exclude=bystander"];
    line.step("install", target, &install)?;
    line.step("upgrade", &later, &install)?;
    line.step("downgrade", target, &install)?;
    line.step("unenroll", target, &["unenroll", "deployment/course-agent"])?;
    line.step("enroll", target, &["enroll", "course-agent"])?;
    line.step("uninstall", target, &["uninstall", "--unenroll"])?;
    line.take_down()
}

/// What a plain `kubectl rollout restart` costs, by how long sidecars wait before they end: the same without LearnFlow.
fn a_plain_restart_for_comparison(target: &Target) -> Result<()> {
    let line = Line::set_up(target)?;
    for (block, prestop) in ENDINGS {
        for service in ["frontend", "course-agent"] {
            line.end_pods_after(service, *block, *prestop)?;
        }
        line.wait_until_settled()?;
        let (tally, ..) = line.watched(|| {
            for service in ["frontend", "course-agent"] {
                let deployment = format!("deployment/{service}");
                target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "rollout", "restart", &deployment])?;
                target.wait_rolled_out(SERVICES_NAMESPACE, &deployment)?;
            }
            line.wait_until_settled()
        })?;
        let name = match block {
            0 => "kubectl rollout restart, sidecars end at once".to_owned(),
            block => format!("kubectl rollout restart, sidecars wait {block} s"),
        };
        report(&name, &tally, None, 0);
        explain(&tally.failures, &[]);
        ensure!(
            tally.failures.is_empty() || (*block, *prestop) != CAREFULLY,
            "{name}: calls failed"
        );
    }
    line.take_down()
}

fn plainly_applied_it_is_an_outage(target: &Target) -> Result<()> {
    let line = Line::set_up(target)?;
    let apply = |manifest: &str, seconds: u64| {
        line.watched(|| {
            target.apply(Some(SERVICES_NAMESPACE), manifest)?;
            thread::sleep(Duration::from_secs(seconds));
            Ok(())
        })
    };
    let (tally, bystander, dark) = apply(PLAIN_CONFIGURATION, 20)?;
    report("kubectl apply of a Configuration", &tally, Some(&bystander), dark.len());
    ensure!(
        !dark.is_empty(),
        "a Configuration is harmless: then it need not come quietly"
    );
    let (tally, bystander, dark) = apply(PLAIN_COMPONENT, 40)?;
    report("kubectl apply of a Component", &tally, Some(&bystander), dark.len());
    ensure!(
        !tally.failures.is_empty(),
        "a Component is harmless: then it needs no care"
    );
    line.take_down()
}

/// Runs a command and kills it at some point, then once more to its end.
fn done(target: &Target, step: &str, arguments: &[&str]) -> Result<()> {
    let (_, moments) = KILLED_AFTER
        .iter()
        .find(|(name, _)| *name == step)
        .context(step.to_owned())?;
    let [least, most] = moments.map(|millis| millis as f64);
    let moment = Duration::from_millis((least + (most - least) * chance()) as u64);
    let mut child = target
        .plugin(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    while began.elapsed() < moment && child.try_wait()?.is_none() {
        thread::sleep(Duration::from_millis(20));
    }
    let killed = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    ensure!(killed, "{step} had ended before it was killed, after {moment:?}");
    let again = Instant::now();
    expect(target, arguments, 0)?;
    eprintln!(
        "    {step}: killed after {moment:.1?}, and run again in {:.1?}",
        again.elapsed()
    );
    Ok(())
}

/// The plugin with another guest in it.
fn later(target: &Target) -> Result<Target> {
    let plugin = std::env::var_os("LEARNFLOW_TEST_LATER_PLUGIN").context("LEARNFLOW_TEST_LATER_PLUGIN is not set")?;
    Ok(Target::named(
        target.kubeconfig().to_owned(),
        None,
        None,
        PathBuf::from(plugin),
    ))
}

/// Three services under load, and one that has nothing to do with them.
struct Line<'a> {
    target: &'a Target,
    lab: String,
    frontend: String,
    bystander: String,
    /// The bystander's pods.
    pods: String,
}

impl<'a> Line<'a> {
    fn set_up(target: &'a Target) -> Result<Self> {
        let lab = std::env::var("LEARNFLOW_TEST_LAB").context("a lab is needed")?;
        target.run_kubectl(&[
            "delete",
            "namespace",
            SERVICES_NAMESPACE,
            "--ignore-not-found",
            "--wait",
        ])?;
        let node = learnflow_lab::Lab::find(&lab)?.context("the lab is gone")?;
        ensure!(
            node.inside("rm")?.args(["-rf", DATA]).status()?.success(),
            "cannot remove {DATA}"
        );
        target.deploy_services()?;
        let patches: Map<String, Value> = serde_json::from_str(CAREFUL)?;
        for (service, patch) in &patches {
            let (object, patch) = (format!("deployment/{service}"), format!("--patch={patch}"));
            target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "patch", &object, &patch])?;
        }
        target.apply(Some(SERVICES_NAMESPACE), BYSTANDER)?;
        target.wait_for_services()?;
        target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/bystander")?;
        let address = |service: &str| -> Result<String> {
            let ip = target.run_kubectl(&[
                "--namespace",
                SERVICES_NAMESPACE,
                "get",
                "service",
                service,
                "--output=jsonpath={.spec.clusterIP}",
            ])?;
            Ok(format!("http://{ip}/lessons"))
        };
        let line = Self {
            target,
            lab,
            frontend: address("frontend")?,
            bystander: address("bystander")?,
            pods: bystander_pods(target)?,
        };
        line.warm_up()?;
        Ok(line)
    }

    /// Until no call is lost while nothing is done: a pod that is just gone may be asked for a while yet, by name or by address.
    fn warm_up(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let before = progress_of(self.target, 0, Duration::ZERO)?.lessons;
            let services = Load::on(&self.lab, &self.frontend, PER_SECOND)?;
            thread::sleep(Duration::from_secs(3));
            let tally = services.stop()?;
            if tally.failures.is_empty() {
                // None is on its way when the first command begins.
                let stored = progress_of(self.target, before + tally.accepted, STORED)?.lessons - before;
                let accepted = tally.accepted;
                ensure!(stored >= accepted, "{accepted} lessons accepted, {stored} stored");
                return Ok(());
            }
            explain(&tally.failures, &[]);
            ensure!(Instant::now() < deadline, "calls fail before anything is done");
        }
    }

    /// Does something under load. Returns what became of the calls to the services and to the bystander, and the sidecars without
    /// metrics afterwards.
    fn watched(&self, act: impl FnOnce() -> Result<()>) -> Result<(Tally, Tally, Vec<String>)> {
        let services = Load::on(&self.lab, &self.frontend, PER_SECOND)?;
        let bystander = Load::on(&self.lab, &self.bystander, BYSTANDER_PER_SECOND)?;
        thread::sleep(Duration::from_secs(2));
        let acted = act();
        thread::sleep(Duration::from_secs(2));
        let (services, bystander) = (services.stop()?, bystander.stop()?);
        acted?;
        Ok((services, bystander, self.without_metrics()?))
    }

    fn step(&self, name: &str, plugin: &Target, arguments: &[&str]) -> Result<()> {
        let before = progress_of(self.target, 0, Duration::ZERO)?.lessons;
        let timeline = Timeline::of_pods(self.target, SERVICES_NAMESPACE)?;
        let (tally, bystander, dark) = self.watched(|| done(plugin, name, arguments))?;
        report(name, &tally, Some(&bystander), dark.len());
        let pods = timeline.stop();
        for (who, tally) in [("the services", &tally), ("the bystander", &bystander)] {
            explain(&tally.failures, &pods);
            let number = tally.failures.len();
            ensure!(number == 0, "{name}: {number} calls to {who} failed");
        }
        ensure!(dark.is_empty(), "{name}: no metrics from {dark:?}");
        let Progress { lessons, .. } = progress_of(self.target, before + tally.accepted, STORED)?;
        let stored = lessons - before;
        if stored != tally.accepted {
            let (dead, _) = expect(self.target, &["dlq", "ls", "--component=kafka-pubsub"], 0)?;
            bail!("{name}: {} lessons accepted, {stored} stored\n{dead}", tally.accepted);
        }
        ensure!(
            bystander_pods(self.target)? == self.pods,
            "{name}: the bystander was replaced"
        );
        let log = self.target.run_kubectl(&[
            "--namespace",
            SERVICES_NAMESPACE,
            "logs",
            "deployment/bystander",
            "--container=daprd",
        ])?;
        ensure!(
            !log.contains("hangup"),
            "{name}: the bystander's sidecar was restarted in place"
        );
        Ok(())
    }

    /// How the pods of a service end: seconds until its sidecar does, and its app.
    fn end_pods_after(&self, service: &str, block: u32, prestop: u32) -> Result<()> {
        let annotation = (block > 0).then(|| format!("{block}s"));
        let lifecycle = (prestop > 0).then(|| json!({"preStop": {"sleep": {"seconds": prestop}}}));
        let patch = json!({"spec": {"template": {
            "metadata": {"annotations": {"dapr.io/block-shutdown-duration": annotation}},
            "spec": {"containers": [{"name": service, "lifecycle": lifecycle}]},
        }}});
        let (object, patch) = (format!("deployment/{service}"), format!("--patch={patch}"));
        self.target
            .run_kubectl(&["--namespace", SERVICES_NAMESPACE, "patch", &object, &patch])
            .map(|_| ())
    }

    /// Until everything is rolled out and no pod is ending.
    fn wait_until_settled(&self) -> Result<()> {
        self.target.wait_for_services()?;
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let ending = self.target.run_kubectl(&[
                "--namespace",
                SERVICES_NAMESPACE,
                "get",
                "pods",
                "--output=jsonpath={.items[*].metadata.deletionTimestamp}",
            ])?;
            if ending.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "pods do not end");
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn without_metrics(&self) -> Result<Vec<String>> {
        let text = self.target.run_kubectl(&[
            "--namespace",
            SERVICES_NAMESPACE,
            "get",
            "pods",
            "--selector=dapr.io/sidecar-injected=true",
            "--output=json",
        ])?;
        let pods: Value = serde_json::from_str(&text)?;
        let all = pods["items"].as_array().context("a list of pods")?;
        let staying = all.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let names: BTreeSet<&str> = staying.filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        let dark = |name: &&&str| {
            let path = format!("/api/v1/namespaces/{SERVICES_NAMESPACE}/pods/{name}:9090/proxy/metrics");
            self.target.run_kubectl(&["get", "--raw", &path]).is_err()
        };
        Ok(names.iter().filter(dark).map(|name| (*name).to_owned()).collect())
    }

    fn take_down(self) -> Result<()> {
        self.target
            .run_kubectl(&["delete", "namespace", SERVICES_NAMESPACE, "--wait"])
            .map(|_| ())
    }
}

fn bystander_pods(target: &Target) -> Result<String> {
    target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "get",
        "pods",
        "--selector=app=bystander",
        "--output=jsonpath={.items[*].metadata.name}",
    ])
}

fn report(step: &str, services: &Tally, bystander: Option<&Tally>, dark: usize) {
    let line = |tally: &Tally| {
        json!({"accepted": tally.accepted, "failed": tally.failures.len(), "slowest_ms": tally.slowest.as_millis(),
            "failed_from_s": tally.failures.first().map(|f| f.at.as_secs_f32()),
            "failed_to_s": tally.failures.last().map(|f| f.at.as_secs_f32())})
    };
    let bystander = bystander.map(|tally| format!(", bystander {}", line(tally)));
    eprintln!(
        "    {step}: services {}{}, {dark} sidecars without metrics",
        line(services),
        bystander.unwrap_or_default()
    );
}

/// Which errors at which moments, and what pods did around them.
fn explain(failures: &[Failure], pods: &[(Duration, String)]) {
    let mut moments: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for failure in failures {
        moments.entry(&failure.what).or_default().push(failure.at.as_secs_f32());
    }
    for (what, moments) in moments {
        eprintln!("      {} x at {moments:.1?} s: {what}", moments.len());
    }
    let (Some(first), Some(last)) = (failures.first(), failures.last()) else {
        return;
    };
    let around = first.at.saturating_sub(Duration::from_secs(60))..last.at + Duration::from_secs(5);
    for (at, line) in pods.iter().filter(|(at, _)| around.contains(at)) {
        eprintln!("      {:6.1} s  {line}", at.as_secs_f32());
    }
}

/// Between 0 and 1. Another each time: the point of a kill must not be one that happens to be harmless.
fn chance() -> f64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    f64::from(now.subsec_nanos() % 1_000) / 1_000.0
}
