//! Nothing is lost, or it is said where, on a cluster: real sidecars under load, a real kubelet that rotates and deletes their
//! logs, and each part killed or replaced meanwhile. By name only: `cargo xtask test faults-table`. tests/stack/faults.rs has
//! more faults, and more often.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use learnflow_tests::{AGENT_NAMESPACE, Load, Prometheus, SERVICES_NAMESPACE, STACK_NAMESPACE, Target};
use serde_json::Value;

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[("faults-table::nothing_is_lost", nothing_is_lost)];

/// Each is published once and delivered once: two records.
const LESSONS_PER_SECOND: u32 = 100;
/// From one scrape to the next, and two batches.
const SINCE_THE_LAST_SCRAPE: u64 = LESSONS_PER_SECOND as u64 * 2 * 6;
/// A kubelet rotates at 10 MiB.
const UNTIL_ROTATED: Duration = Duration::from_secs(400);

struct Fault {
    name: &'static str,
    act: fn(&Line) -> Result<()>,
    lost: u64,
    twice: u64,
}

const FAULTS: &[Fault] = &[
    Fault::exact("none", |_| Ok(())),
    Fault {
        twice: LESSONS_PER_SECOND as u64,
        ..Fault::exact("agent killed", |line| {
            line.kill(AGENT_NAMESPACE, "collector-agent", "collector")
        })
    },
    Fault {
        lost: SINCE_THE_LAST_SCRAPE,
        ..Fault::exact("gateway killed", |line| {
            line.kill(STACK_NAMESPACE, "collector-gateway", "collector")
        })
    },
    Fault::exact("Prometheus killed", |line| {
        line.kill(STACK_NAMESPACE, "prometheus", "prometheus")
    }),
    Fault::exact("agent rolled out", |line| {
        line.roll(AGENT_NAMESPACE, "daemonset/collector-agent")
    }),
    Fault::exact("gateway rolled out", |line| {
        line.roll(STACK_NAMESPACE, "deployment/collector-gateway")
    }),
    Fault::exact("sidecar killed", |line| {
        line.kill(SERVICES_NAMESPACE, "course-agent", "daprd")
    }),
    Fault::exact("pod moved", |line| {
        line.roll(SERVICES_NAMESPACE, "deployment/course-agent")
    }),
    Fault::exact("log rotated by the kubelet", |line| line.wait_for_a_rotation()),
];

impl Fault {
    const fn exact(name: &'static str, act: fn(&Line) -> Result<()>) -> Fault {
        Fault {
            name,
            act,
            lost: 0,
            twice: 0,
        }
    }
}

fn nothing_is_lost(target: &Target) -> Result<()> {
    let lab = std::env::var("LEARNFLOW_TEST_LAB").context("a lab is needed")?;
    target.deploy_services()?;
    let folder = learnflow_lab::cache()?.join("labs").join(&lab).join("fs/var-log");
    let truth = Truth::keep(folder.join("pods"), folder.join("kept"))?;
    expect(target, &["install", "--skip=autoscaling"], 0)?;
    let line = Line { target, truth };
    let address = [
        "--namespace",
        SERVICES_NAMESPACE,
        "get",
        "service/frontend",
        "--output=jsonpath={.spec.clusterIP}",
    ];
    let frontend = format!("http://{}/lessons", target.run_kubectl(&address)?);
    let mut faults = Vec::new();
    eprintln!("| fault | events logged | counted | lost | twice | all seen after |");
    eprintln!("|---|---:|---:|---:|---:|---:|");
    let mut before = line.settled()?;
    for fault in FAULTS {
        let load = Load::on(&lab, &frontend, LESSONS_PER_SECOND)?;
        thread::sleep(Duration::from_secs(6));
        let acted = (fault.act)(&line);
        thread::sleep(Duration::from_secs(6));
        load.stop()?;
        acted.context(fault.name)?;
        let after = line.settled()?;
        let (logged, counted) = (after.logged - before.logged, after.counted - before.counted);
        let (lost, twice) = (logged.saturating_sub(counted), counted.saturating_sub(logged));
        let late = after.late.as_secs_f64();
        eprintln!(
            "| {} | {logged} | {counted} | {lost} | {twice} | {late:.0} s |",
            fault.name
        );
        if lost > fault.lost || twice > fault.twice {
            faults.push(format!("{}: {lost} lost, {twice} twice", fault.name));
        }
        ensure!(logged > 0, "{}: nothing was logged", fault.name);
        before = after;
    }
    expect(target, &["uninstall", "--unenroll"], 0)?;
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

struct Line<'a> {
    target: &'a Target,
    truth: Truth,
}

struct Settled {
    logged: u64,
    counted: u64,
    late: Duration,
}

impl Line<'_> {
    /// Until all is counted, or nothing has come for longer than anything waits.
    fn settled(&self) -> Result<Settled> {
        let began = Instant::now();
        let mut changed = began;
        let mut last = (0, 0);
        loop {
            let now = (self.truth.logged()?, self.counted().unwrap_or(last.1));
            if now != last {
                (last, changed) = (now, Instant::now());
            }
            // A kubelet waits up to 20 s before it starts a killed container for the third time.
            let quiet = changed.elapsed();
            if quiet > Duration::from_secs(45) || now.0 == now.1 && quiet > Duration::from_secs(8) {
                let (logged, counted) = now;
                return Ok(Settled {
                    logged,
                    counted,
                    late: changed - began,
                });
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn counted(&self) -> Result<u64> {
        let prometheus = Prometheus::of(self.target)?;
        Ok(prometheus.number("sum(increase(learnflow_events_total[6h] anchored))")? as u64)
    }

    /// Kills the process of a container, and waits until it is ready again.
    fn kill(&self, namespace: &str, name: &str, container: &str) -> Result<()> {
        let before = self.container(namespace, name, container)?;
        let id = process_in(&before)?;
        let killed = Command::new("kill").args(["-9", &id.to_string()]).status()?;
        ensure!(killed.success(), "cannot kill {name}");
        let deadline = Instant::now() + Duration::from_secs(90);
        while self
            .container(namespace, name, container)
            .is_ok_and(|now| now == before)
        {
            ensure!(Instant::now() < deadline, "{name} does not come back");
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// The id of a running container.
    fn container(&self, namespace: &str, name: &str, container: &str) -> Result<String> {
        let pods = self
            .target
            .run_kubectl(&["--namespace", namespace, "get", "pods", "--output=json"])?;
        let pods: Value = serde_json::from_str(&pods)?;
        let pods = pods["items"].as_array().context("pods")?.iter();
        let mut pods = pods.filter(|pod| {
            let of = pod["metadata"]["name"].as_str().unwrap_or_default();
            of.starts_with(name) && pod["metadata"]["deletionTimestamp"].is_null()
        });
        let statuses = &pods.next().context("no pod")?["status"];
        let all = ["containerStatuses", "initContainerStatuses"].map(|kind| statuses[kind].as_array());
        let mut all = all.into_iter().flatten().flatten();
        let status = all.find(|status| status["name"] == container && status["state"]["running"].is_object());
        let id = status.and_then(|status| status["containerID"].as_str());
        let id = id.and_then(|id| id.rsplit('/').next());
        id.map(str::to_owned).with_context(|| format!("{name} does not run"))
    }

    fn roll(&self, namespace: &str, workload: &str) -> Result<()> {
        self.target
            .run_kubectl(&["--namespace", namespace, "rollout", "restart", workload])?;
        self.target.wait_rolled_out(namespace, workload)?;
        // The old one is still there for a while.
        thread::sleep(Duration::from_secs(15));
        Ok(())
    }

    fn wait_for_a_rotation(&self) -> Result<()> {
        let before = self.truth.rotated()?;
        let deadline = Instant::now() + UNTIL_ROTATED;
        while self.truth.rotated()? == before {
            ensure!(Instant::now() < deadline, "no log was rotated");
            thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }
}

/// A process in the container's own group.
fn process_in(container: &str) -> Result<u32> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let id = entry.file_name().to_string_lossy().parse::<u32>();
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if let (Ok(id), true) = (id, groups.contains(container)) {
            return Ok(id);
        }
    }
    Err(anyhow!("no process in container {container}"))
}

/// All that sidecars have ever logged: each file of theirs gets a second name, and so outlives its first.
struct Truth {
    pods: PathBuf,
    kept: PathBuf,
    stop: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Truth {
    fn keep(pods: PathBuf, kept: PathBuf) -> Result<Truth> {
        fs::create_dir_all(&kept)?;
        let stop = Arc::new(AtomicBool::default());
        let (from, to, stopped) = (pods.clone(), kept.clone(), stop.clone());
        let keeper = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for log in logs(&from) {
                    let Ok(inode) = log.metadata().map(|metadata| metadata.ino()) else {
                        continue;
                    };
                    let second = to.join(inode.to_string());
                    if !second.exists() {
                        // It may just be gone.
                        let _ = fs::hard_link(&log, second);
                    }
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        let keeper = Some(keeper);
        Ok(Truth {
            pods,
            kept,
            stop,
            keeper,
        })
    }

    fn logged(&self) -> Result<u64> {
        let mut total = 0;
        for file in fs::read_dir(&self.kept)? {
            let text = fs::read_to_string(file?.path())?;
            let ours = |line: &&str| {
                line.contains("msg=\"{\\\"lf\\\":1,\\\"dir\\\":") && line.contains("(middleware.http.wasm/v1)\"")
            };
            total += text.lines().filter(ours).count() as u64;
        }
        Ok(total)
    }

    /// The rotated files that there are, by name.
    fn rotated(&self) -> Result<BTreeSet<PathBuf>> {
        let rotated = |path: &PathBuf| path.extension().is_some_and(|last| last != "log");
        Ok(logs(&self.pods).into_iter().filter(rotated).collect())
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// The sidecars' log files as they were written: what a kubelet compresses is a file of its own.
fn logs(pods: &Path) -> Vec<PathBuf> {
    let children = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let mut logs: Vec<PathBuf> = children(pods)
        .iter()
        .flat_map(|pod| children(&pod.join("daprd")))
        .collect();
    logs.retain(|log| log.extension().is_none_or(|last| last != "gz" && last != "tmp"));
    logs
}
