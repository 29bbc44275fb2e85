//! The logs of all sidecars, as they are written: opened when a pod comes, opened anew when they break off.

use super::Cluster;
use crate::{
    events::{
        Shared,
        merge::{BATCHES, Log},
    },
    problem::{Kind, Problem},
};
use futures::{AsyncReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use learnflow_flow::{Reader, Time};
use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{Sender, channel},
    },
    time::sleep,
};

/// What Dapr's injector writes on each pod that it gives a sidecar (`pkg/injector/patcher`).
const INJECTED: &str = "dapr.io/sidecar-injected=true";
const SIDECAR: &str = "daprd";
const AT_A_TIME: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_secs(1);
/// Logs that are open at once: each is a connection.
const MOST: usize = 1_000;
/// Logs that are asked for at once, so that a thousand of them are no storm.
const ASKED: usize = 32;
/// The annotation with which a pod names its app.
const APP_ID: &str = "dapr.io/app-id";

/// Which logs.
pub(crate) struct SidecarLogs {
    /// In all namespaces, not in the cluster's own one only.
    pub(crate) everywhere: bool,
    pub(crate) since: Option<Time>,
    /// They go on.
    pub(crate) follow: bool,
}

/// A pod's log, until it ends.
struct Tail {
    api: Api<Pod>,
    pod: String,
    since: Option<Time>,
    follow: bool,
    shared: Shared,
    /// Namespaces of which it was said that their logs may not be read.
    closed: Arc<Mutex<BTreeSet<String>>>,
    asking: Arc<Semaphore>,
    explain: Box<dyn Fn(kube::Error) -> Problem + Send + Sync>,
}

impl Cluster {
    /// Gives each log to `logs` as it is opened, in the background. An error is one of the pods' list; a log that cannot
    /// be read is left out, and that is noted.
    pub(crate) async fn open_sidecar_logs(
        &self,
        wanted: SidecarLogs,
        shared: Shared,
        logs: Sender<Log>,
    ) -> Result<(), Problem> {
        let place = (!wanted.everywhere).then_some(self.namespace.as_str());
        let api: Api<PartialObjectMeta<Pod>> = match place {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        // Asked once before, so that a "no" is an error and not a silence.
        let list = api.list(&ListParams::default().labels(INJECTED)).await;
        let pods = list.map_err(self.list_of("Pods", place))?;
        let closed = Arc::<Mutex<BTreeSet<String>>>::default();
        let asking = Arc::new(Semaphore::new(ASKED));
        let open = Open::new(shared.clone());
        allow_files();
        let client = self.impatient.clone();
        let explain = self.explain("read the log");
        let explain: Arc<dyn Fn(kube::Error) -> Problem + Send + Sync> = Arc::new(explain);
        let SidecarLogs { since, follow, .. } = wanted;
        let tail = move |pod: &PartialObjectMeta<Pod>| {
            let explain = explain.clone();
            Tail {
                api: Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default()),
                pod: pod.name_any(),
                since,
                follow,
                shared: shared.clone(),
                closed: closed.clone(),
                asking: asking.clone(),
                explain: Box::new(move |e| explain(e)),
            }
        };
        if follow {
            tokio::spawn(watch(api, tail, open, logs));
        } else {
            tokio::spawn(async move {
                for pod in &pods.items {
                    if let Some(place) = open.place(pod)
                        && !give(tail(pod), place, &logs).await
                    {
                        return;
                    }
                }
            });
        }
        Ok(())
    }
}

/// Which logs may be opened, and how many still.
struct Open {
    places: Arc<Semaphore>,
    shared: Shared,
    full: AtomicBool,
}

impl Open {
    fn new(shared: Shared) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            shared,
            full: AtomicBool::new(false),
        }
    }

    /// A place for the log of this pod. `None`: nothing of it is meant, or there are too many; that is said once.
    fn place(&self, pod: &PartialObjectMeta<Pod>) -> Option<OwnedSemaphorePermit> {
        if pod
            .annotations()
            .get(APP_ID)
            .is_some_and(|app| !self.shared.means_service(app))
        {
            return None;
        }
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() && !self.full.swap(true, Ordering::Relaxed) {
            self.shared.note(format!(
                "More than {MOST} sidecars: the rest are left out. Choose with --namespace or --service"
            ));
        }
        place
    }
}

/// Gives out a log, which has its place until it ends. False when nobody looks any more.
async fn give(tail: Tail, place: OwnedSemaphorePermit, logs: &Sender<Log>) -> bool {
    let (writer, log) = channel(BATCHES);
    tokio::spawn(async move {
        tail.run(writer).await;
        drop(place);
    });
    logs.send(log).await.is_ok()
}

/// As many connections as the system lets a process have: by default it is fewer.
fn allow_files() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            // Where that is refused, what cannot be opened is named.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    }
}

/// Opens a log for each pod there is, and each that comes.
async fn watch(
    api: Api<PartialObjectMeta<Pod>>,
    tail: impl Fn(&PartialObjectMeta<Pod>) -> Tail,
    places: Open,
    logs: Sender<Log>,
) {
    // Each pod once; its log begins anew by itself.
    let mut open = HashSet::new();
    let config = watcher::Config::default().labels(INJECTED);
    let mut events = std::pin::pin!(watcher(api, config));
    let mut pause = PAUSE;
    while let Some(event) = events.next().await {
        let pod = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => pod,
            Ok(Event::Delete(pod)) => {
                // What it said last is still on its way: it ends by itself.
                open.remove(&pod.uid().unwrap_or_default());
                continue;
            }
            Ok(Event::Init | Event::InitDone) => {
                pause = PAUSE;
                continue;
            }
            // It begins anew by itself.
            Err(_) => {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
                continue;
            }
        };
        if !open.contains(&pod.uid().unwrap_or_default())
            && let Some(place) = places.place(&pod)
        {
            open.insert(pod.uid().unwrap_or_default());
            if !give(tail(&pod), place, &logs).await {
                return;
            }
        }
    }
}

impl Tail {
    async fn run(self, writer: Sender<Vec<learnflow_flow::Event>>) {
        let mut reader = Reader::default();
        loop {
            let ended = self.once(&mut reader, &writer).await;
            if !self.follow || writer.is_closed() {
                if let Err(problem) = ended {
                    self.say(&problem);
                }
                break;
            }
            match ended {
                Err(problem) if problem.kind == Kind::Forbidden => {
                    self.say(&problem);
                    break;
                }
                // The pod has gone.
                Err(problem) if problem.kind == Kind::NotFound => break,
                // It has not begun yet, has begun anew, or the connection broke.
                _ => sleep(PAUSE).await,
            }
            reader.resume();
        }
        let last = self.shared.end(&mut reader);
        if !last.is_empty() {
            let _ = writer.send(last).await;
        }
    }

    async fn once(&self, reader: &mut Reader, writer: &Sender<Vec<learnflow_flow::Event>>) -> Result<(), Problem> {
        // Whole seconds: what comes twice by that, the reader leaves out.
        let since = reader.stamp().or(self.since);
        let params = LogParams {
            container: Some(SIDECAR.to_owned()),
            follow: self.follow,
            since_time: since.and_then(|since| jiff::Timestamp::from_second(since.seconds()).ok()),
            timestamps: true,
            ..LogParams::default()
        };
        let asking = self.asking.acquire().await;
        let mut stream = self.api.log_stream(&self.pod, &params).await.map_err(&self.explain)?;
        drop(asking);
        let mut bytes = vec![0; AT_A_TIME];
        loop {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) if self.follow => return Ok(()),
                Ok(0) => return Ok(()),
                Ok(length) => {
                    let events = self.shared.read(reader, &bytes[..length]);
                    if !events.is_empty() && writer.send(events).await.is_err() {
                        return Ok(());
                    }
                }
                Err(e) => return Err(Problem::new(format!("The log broke off: {e}."))),
            }
        }
    }

    /// Once for each namespace that is closed; a log that is not there yet is none.
    fn say(&self, problem: &Problem) {
        let namespace = self.api.namespace().unwrap_or_default().to_owned();
        if problem.kind != Kind::NotFound {
            self.shared.cannot_read(&self.pod);
        }
        match problem.kind {
            Kind::NotFound => {}
            Kind::Forbidden => {
                let mut closed = self.closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if closed.insert(namespace.clone()) {
                    self.shared
                        .note(format!("Namespace {namespace} is left out: {}", problem.what));
                }
            }
            _ => {
                let pod = &self.pod;
                self.shared
                    .note(format!("Pod {namespace}/{pod} is left out: {}", problem.what));
            }
        }
    }
}

#[cfg(test)]
#[path = "sidecar_logs_tests.rs"]
mod tests;
