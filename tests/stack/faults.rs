//! Nothing is lost, or it is said where: 200 records a second in a sidecar's log, and each part of the way is killed, stopped,
//! restarted or kept away meanwhile. What Prometheus has in the end is held against the log.
//!
//! The table in docs/observability.md: `cargo test -p learnflow-tests --test stack -- --ignored --nocapture fault_table`

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    mem,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use learnflow_tests::process::Folder;

use serde_json::Value;

use crate::{
    agent::Agent,
    gateway::{self, Gateway},
    logs::Log,
    port,
    prometheus::Prometheus,
    service::Service,
    shipped,
};

const RATE: u64 = 200;
/// Events of a topic. Each second has one of its own, so that what is lost in one place cannot hide behind what is
/// counted twice in another.
const OF_A_TOPIC: u64 = 200;
/// Stacks at the same time: they mostly wait.
const AT_ONCE: usize = 4;
/// From one scrape to the next, and a batch of the agent and one of the gateway.
const SINCE_THE_LAST_SCRAPE: u64 = RATE * 6;

const PUBLISHED: &str = "messaging_client_sent_messages_total";
const TOPIC: &str = "messaging_destination_name";

pub struct Fault {
    pub name: &'static str,
    act: fn(&mut Stack),
    /// How often it happens in the table.
    times: u64,
    /// Events that may be missing, or be counted twice, for each time.
    lost: u64,
    twice: u64,
    /// What of the agent's configuration is not as it is shipped.
    agent: Option<fn(String) -> String>,
}

const fn exact(name: &'static str, times: u64, act: fn(&mut Stack)) -> Fault {
    Fault {
        name,
        act,
        times,
        lost: 0,
        twice: 0,
        agent: None,
    }
}

pub const FAULTS: &[Fault] = &[
    exact("none", 1, |_| ()),
    Fault {
        // What was just handed over, in the worst case; how seldom that is, the table says.
        twice: 2 * RATE,
        ..exact("agent killed", 20, |stack| {
            stack.agent.process.kill().expect("killed");
            stack.agent.start_again();
        })
    },
    Fault {
        lost: SINCE_THE_LAST_SCRAPE,
        ..exact("gateway killed", 5, |stack| {
            stack.gateway.process.kill().expect("killed");
            stack.gateway.start_again();
        })
    },
    exact("Prometheus killed", 5, |stack| {
        stack.prometheus.process.kill().expect("killed");
        stack.prometheus.start_again();
    }),
    exact("agent restarted", 10, |stack| {
        stack.agent.process.end().expect("ended");
        stack.agent.start_again();
    }),
    Fault {
        lost: SINCE_THE_LAST_SCRAPE,
        ..exact("gateway ended without its preStop", 5, |stack| {
            stack.gateway.process.end().expect("ended");
            stack.gateway.start_again();
        })
    },
    exact("gateway rolled out", 5, Stack::roll_out),
    exact("Prometheus restarted", 5, |stack| {
        stack.prometheus.process.end().expect("ended");
        stack.prometheus.start_again();
    }),
    exact("log rotated", 10, |stack| stack.log.lock().expect("a log").rotate()),
    exact("log rotated while the agent is dead", 5, |stack| {
        stack.agent.process.kill().expect("killed");
        thread::sleep(Duration::from_millis(700));
        stack.log.lock().expect("a log").rotate();
        thread::sleep(Duration::from_millis(700));
        stack.agent.start_again();
    }),
    exact("sidecar restarted", 10, |stack| {
        stack.log.lock().expect("a log").restart()
    }),
    // A kubelet removes the logs with the container, once it has seen it end: it looks each second.
    exact("pod moved", 10, |stack| {
        let left = stack.move_pod();
        thread::sleep(Duration::from_secs(1));
        left.delete();
    }),
    // An answer that was under way is cut off as well, and its batch is sent again.
    Fault {
        twice: 2 * RATE,
        ..exact("network cut between agent and gateway", 1, |stack| {
            stack.service.cut();
            thread::sleep(stack.away);
            stack.service.to(stack.gateway.grpc);
        })
    },
    // Then nothing is read, and the rest waits in the files.
    Fault {
        twice: 2 * RATE,
        agent: Some(|config| shipped::replace(&config, &[("queue_size: 200000", "queue_size: 600".into())])),
        ..exact("network cut until the agent's queue is full", 1, |stack| {
            stack.service.cut();
            thread::sleep(stack.away);
            stack.service.to(stack.gateway.grpc);
        })
    },
    Fault {
        lost: SINCE_THE_LAST_SCRAPE,
        ..exact("gateway killed and away", 1, |stack| {
            stack.gateway.process.kill().expect("killed");
            thread::sleep(stack.away);
            stack.gateway.start_again();
        })
    },
    exact("Prometheus killed and away", 1, |stack| {
        stack.prometheus.process.kill().expect("killed");
        thread::sleep(stack.away);
        stack.prometheus.start_again();
    }),
];

/// The parts, on the way from one pod's log.
pub struct Stack {
    log: Arc<Mutex<Log>>,
    more: Vec<(Arc<Mutex<Log>>, Agent, Folder)>,
    agent: Agent,
    service: Service,
    gateway: Gateway,
    prometheus: Prometheus,
    pods: Folder,
    moved: u32,
    /// How long a part stays away.
    away: Duration,
}

/// How events get from the agents to Prometheus, where it is not as shipped: tests/stack/tries.rs.
#[derive(Default)]
pub struct Way {
    pub agent: Option<fn(String) -> String>,
    /// With the port of Prometheus.
    pub gateway: Option<fn(String, u16) -> String>,
    pub flags: &'static [&'static str],
    pub prometheus: Option<fn(&mut Value)>,
    /// As many nodes, with a pod of the service each.
    pub more_agents: u32,
}

impl Stack {
    fn start(way: &Way, away: Duration) -> Stack {
        let pods = Folder::new().expect("a folder");
        let port = port();
        let gateway = Gateway::start(|config| way.gateway.map_or(config.clone(), |change| change(config, port)));
        let service = Service::of(gateway.grpc);
        let agent = |pods: &Path| {
            let change = |config: String| way.agent.map_or(config.clone(), |change| change(config));
            Agent::start(pods, service.port, change)
        };
        let more = (0..way.more_agents).map(|_| {
            let pods = Folder::new().expect("a folder");
            let log = Arc::new(Mutex::new(Log::of(pods.path(), "course-agent-0")));
            (log, agent(pods.path()), pods)
        });
        let change = |config: &mut Value| way.prometheus.into_iter().for_each(|change| change(config));
        Stack {
            log: Arc::new(Mutex::new(Log::of(pods.path(), "course-agent-0"))),
            more: more.collect(),
            agent: agent(pods.path()),
            prometheus: Prometheus::start_at(&gateway, port, way.flags, change),
            service,
            gateway,
            pods,
            moved: 0,
            away,
        }
    }

    /// The service goes on in another pod. Returns the log of the one before.
    fn move_pod(&mut self) -> Log {
        self.moved += 1;
        let next = Log::of(self.pods.path(), &format!("course-agent-{}", self.moved));
        mem::replace(&mut *self.log.lock().expect("a log"), next)
    }

    /// As a Deployment replaces its pod: the next one comes, gets the new connections, and the one before ends after its preStop.
    fn roll_out(&mut self) {
        let next = Gateway::start(|config| config);
        self.prometheus.find(&[&self.gateway, &next]);
        self.service.to(next.grpc);
        let before = mem::replace(&mut self.gateway, next);
        let container = shipped::container(gateway::MANIFEST);
        let seconds = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
        thread::sleep(Duration::from_secs(seconds.expect("a preStop that sleeps")));
        before.process.end().expect("ended");
        self.prometheus.find(&[&self.gateway]);
    }

    fn processor_times(&self) -> Duration {
        let each = [&self.gateway.process, &self.prometheus.process];
        each.map(|process| process.processor_time().expect("its time"))
            .iter()
            .sum()
    }

    /// What Prometheus has by topic, restarts included.
    fn by_topic(&self) -> BTreeMap<String, u64> {
        let query = format!("sum by ({TOPIC}) (increase({PUBLISHED}[1h] anchored))");
        let results = self.prometheus.ask(&query);
        let topic = |result: &Value| result["metric"][TOPIC].as_str().expect("a topic").to_owned();
        let count = |result: &Value| result["value"][1].as_str().expect("a value").parse::<f64>();
        let counts = results
            .iter()
            .map(|result| (topic(result), count(result).expect("a number") as u64));
        counts.collect()
    }

    fn increase(&self) -> u64 {
        self.prometheus
            .number("sum(increase(learnflow_events_total[1h] anchored))") as u64
    }

    /// The samples as they are stored, added up over each restart of a counter.
    fn samples(&self) -> u64 {
        let mut total = 0.0;
        for series in self.prometheus.ask("learnflow_events_total[1h]") {
            let mut before = 0.0;
            for sample in series["values"].as_array().expect("samples") {
                let value: f64 = sample[1].as_str().expect("a value").parse().expect("a number");
                total += if value < before { value } else { value - before };
                before = value;
            }
        }
        total as u64
    }
}

/// Records, one after the other, until it is stopped.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<String, u64>>,
}

impl Traffic {
    /// Takes turns at the logs.
    fn start(logs: Vec<Arc<Mutex<Log>>>) -> Traffic {
        let stop: Arc<AtomicBool> = Arc::default();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut logged = BTreeMap::new();
            let begun = Instant::now();
            for (number, log) in (0..).zip(logs.iter().cycle()) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let topic = format!("second.{:04}", number / OF_A_TOPIC);
                log.lock().expect("a log").write(&topic);
                *logged.entry(topic).or_default() += 1;
                let due = Duration::from_secs(number) / RATE as u32;
                thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            logged
        });
        Traffic { stop, thread }
    }

    /// What was logged, by topic.
    fn stop(self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the traffic")
    }
}

/// What became of the events.
pub struct Row {
    fault: &'static Fault,
    times: u64,
    pub logged: u64,
    samples: u64,
    increase: u64,
    lost: u64,
    twice: u64,
    /// From the last record to the moment when all was seen.
    late: Duration,
    /// By gateway and Prometheus, since they were started last.
    pub spent: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            fault,
            times,
            logged,
            samples,
            increase,
            lost,
            twice,
            late,
            ..
        } = self;
        let share = *twice as f64 * 100.0 / *logged as f64;
        write!(
            f,
            "| {} | {times} | {logged} | {samples} | {increase} | {lost} | {twice} ({share:.2} %) | {:.0} s |",
            fault.name,
            late.as_secs_f64()
        )
    }
}

pub const HEAD: &str = "| fault | times | events logged | counted | `increase()` | lost | twice | all seen after |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|";

/// One fault so many times, at moments that nobody chose.
pub fn run(fault: &'static Fault, way: &Way, times: u64, away: Duration) -> Row {
    let mut stack = Stack::start(way, away);
    let logs = stack.more.iter().map(|(log, ..)| log).chain([&stack.log]);
    let traffic = Traffic::start(logs.cloned().collect());
    let before = stack.processor_times();
    for _ in 0..times {
        // In the table less often: what one time may count twice is to be held against more events.
        thread::sleep(Duration::from_millis(2000 + random(4000)) + away / 6);
        (fault.act)(&mut stack);
    }
    thread::sleep(Duration::from_millis(1000 + random(1000)));
    let by_topic = traffic.stop();
    let spent = stack.processor_times().saturating_sub(before);
    let stopped = Instant::now();
    let logged = by_topic.values().sum();
    // Until all of it is there, or nothing has come for longer than anything waits.
    let (mut last, mut changed) = (stack.increase(), stopped);
    while last != logged && changed.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(200));
        let now = stack.increase();
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    let late = changed - stopped;
    // Were there one too many, it would come with the next scrape.
    thread::sleep(Duration::from_secs(6));
    let counted = stack.by_topic();
    let of = |topic: &String| counted.get(topic).copied().unwrap_or(0);
    Row {
        fault,
        times,
        logged,
        samples: stack.samples(),
        increase: stack.increase(),
        lost: by_topic
            .iter()
            .map(|(topic, logged)| logged.saturating_sub(of(topic)))
            .sum(),
        twice: by_topic
            .iter()
            .map(|(topic, logged)| of(topic).saturating_sub(*logged))
            .sum(),
        late,
        spent,
    }
}

/// All of them, some at a time; each is held against what it may lose.
fn all(times: fn(&Fault) -> u64, away: Duration) {
    // One of them alone, by a part of its name.
    let only = std::env::var("FAULT").unwrap_or_default();
    let chosen: Vec<_> = FAULTS.iter().filter(|fault| fault.name.contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let way = Way {
                        agent: fault.agent,
                        ..Way::default()
                    };
                    let row = run(fault, &way, times(fault), away);
                    eprintln!("{row}");
                    rows.lock().expect("rows").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("rows");
    rows.sort_by_key(|row| FAULTS.iter().position(|fault| fault.name == row.fault.name));
    println!("{HEAD}");
    for row in &rows {
        println!("{row}");
    }
    for row in &rows {
        let (lost, twice) = (row.fault.lost * row.times, row.fault.twice * row.times);
        assert!(
            row.lost <= lost,
            "{}: {} lost, at most {lost}",
            row.fault.name,
            row.lost
        );
        assert!(
            row.twice <= twice,
            "{}: {} twice, at most {twice}",
            row.fault.name,
            row.twice
        );
        // The last scrape of a gateway that ends may come when a batch is in its totals and not yet by topic.
        let sum = row.logged + row.twice - row.lost;
        let apart = if row.fault.lost > 0 { RATE / 5 } else { 0 };
        assert!(
            row.samples.abs_diff(sum) <= apart && row.increase == row.samples,
            "{}: {} in samples, {} by increase(), {sum} by topic",
            row.fault.name,
            row.samples,
            row.increase
        );
    }
}

#[test]
fn each_fault_once() {
    all(|_| 1, Duration::from_secs(8));
}

#[test]
#[ignore = "takes minutes, and prints the table"]
fn fault_table() {
    all(|fault| fault.times, Duration::from_secs(60));
}

/// Below `limit`.
fn random(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish() % limit
}
