//! What the tests have in common: an app that refuses events until it is told to take them, and the plugin.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{
    http::{Answer, Message},
    sidecar::{Middleware, PUBSUB, Rig, Sidecar, app},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Topics of their own for each test: they share a Kafka.
pub struct Shop {
    pub topic: String,
    pub dead: String,
    pub sidecar: Sidecar,
    state: Arc<State>,
    bootstrap: String,
}

#[derive(Default)]
struct State {
    takes: AtomicBool,
    taken: Mutex<Vec<Taken>>,
}

/// What the app was sent, and took.
#[derive(Debug, Clone)]
pub struct Taken {
    pub body: Value,
    pub headers: BTreeMap<String, String>,
}

impl Shop {
    pub fn open(rig: &Rig, name: &str, metadata: Value) -> Result<Self> {
        let (topic, dead) = (format!("{name}.events"), format!("{name}.dead"));
        let state = Arc::<State>::default();
        let subscription = json!([{
            "pubsubname": PUBSUB, "topic": topic, "route": "/take", "deadLetterTopic": dead, "metadata": metadata,
        }]);
        let of_app = state.clone();
        let app = app(subscription, move |request| of_app.answer(&request))?;
        let sidecar = rig.sidecar(Middleware::installed()?).app_id(name).app(app).start()?;
        Ok(Self {
            topic,
            dead,
            sidecar,
            state,
            bootstrap: rig.kafka().address().to_string(),
        })
    }

    /// Publishes `{"n": n}` for each `n`; `query` says more of each.
    pub fn publish(&self, numbers: impl Iterator<Item = usize>, query: impl Fn(usize) -> String) -> Result<()> {
        let mut client = self.sidecar.client()?;
        for n in numbers {
            let path = format!("/v1.0/publish/{PUBSUB}/{}?{}", self.topic, query(n));
            let body = json!({ "n": n }).to_string();
            let headers = [("content-type", "application/json")];
            let answer = client.send("POST", &path, &headers, body.as_bytes(), false)?;
            ensure!(answer.status() == 204, "{path}: {answer:?}");
        }
        Ok(())
    }

    pub fn take_from_now_on(&self) {
        self.state.takes.store(true, Ordering::SeqCst);
    }

    pub fn refuse_from_now_on(&self) {
        self.state.takes.store(false, Ordering::SeqCst);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.state.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn wait_for_taken(&self, count: usize) -> Result<Vec<Taken>> {
        until(&format!("{count} events"), || {
            let taken = self.taken();
            (taken.len() >= count).then_some(taken)
        })
    }

    /// Waits until so many have died.
    pub fn wait_for_dead(&self, count: i64) -> Result<()> {
        until(&format!("{count} dead letters"), || {
            let said = self.plugin(&["ls", "--topic", &self.dead, "-o", "json"]).ok()?;
            let listed: Value = serde_json::from_str(&said.out).ok()?;
            (listed["topics"][0]["deadLetters"] == count).then_some(())
        })
    }

    /// `dlq ARGUMENTS` with this Kafka.
    pub fn plugin(&self, arguments: &[&str]) -> Result<Said> {
        Said::of(self.command(arguments)?.output()?)
    }

    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = plugin()?;
        command
            .arg("dlq")
            .args(arguments)
            .args(["--bootstrap", &self.bootstrap]);
        Ok(command)
    }

    /// With where they are from, as no cluster says it.
    pub fn replay(&self, arguments: &[&str]) -> Result<Said> {
        self.plugin(&[&["replay", &self.dead, "--from", &self.topic], arguments].concat())
    }
}

impl State {
    fn answer(&self, request: &Message) -> Answer {
        if !self.takes.load(Ordering::SeqCst) {
            return Answer::new(500, "not now");
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = request.headers.iter().map(|(name, value)| (name.clone(), text(value)));
        let taken = Taken {
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
            headers: headers.collect(),
        };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
        Answer::new(200, "")
    }
}

/// The plugin, of a user without any cluster.
pub fn plugin() -> Result<Command> {
    let path: PathBuf = std::env::var_os("LEARNFLOW_TEST_PLUGIN")
        .context("LEARNFLOW_TEST_PLUGIN is not set")?
        .into();
    let mut command = Command::new(path);
    command.env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    Ok(command)
}

/// How the plugin ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Result<Self> {
        Ok(Self {
            code: output.status.code().context("it was killed")?,
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {self:?}"))
    }

    pub fn ended(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "it should end with {code}: {self:?}");
        Ok(self)
    }
}

pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = check() {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            bail!("no {what}");
        }
        thread::sleep(Duration::from_millis(100));
    }
}
