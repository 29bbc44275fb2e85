//! That only one of us does a thing at a time: a Lease, as Kubernetes' own controllers have one.
//!
//! No clock is compared with another one's: whoever meets a Lease watches for a while whether it is renewed.

use super::Cluster;
use crate::{
    objects::{MANAGED_BY, MANAGER},
    problem::{Kind, Problem},
};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const LOOK: Duration = Duration::from_secs(1);
const RENEWED: Duration = Duration::from_secs(3);
/// Who was not heard of for so long has ended; and whoever could not renew for a while less acts no more.
const SILENT: Duration = Duration::from_secs(15);
const MARGIN: Duration = Duration::from_secs(5);

/// A Lease that is ours, and renewed until this is let go or dropped.
pub(crate) struct Held {
    api: Api<Lease>,
    name: String,
    /// The version that we wrote last, and when; none: it is somebody else's.
    last: Arc<Mutex<Option<(String, Instant)>>>,
    task: JoinHandle<()>,
}

impl Cluster {
    /// Takes the Lease of this name in the services' namespace. `holder` is known by nobody else; `tell` hears that one is
    /// there, and for how long it is watched.
    pub(crate) async fn hold(&self, name: &str, holder: &str, tell: impl Fn(Duration)) -> Result<Held, Problem> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let place = format!("Lease {}/{name}", self.namespace);
        let mut seen: Option<(String, Instant)> = None;
        let ours = loop {
            let found = api
                .get_opt(name)
                .await
                .map_err(self.explain(&format!("read {place}")))?;
            let there = found.is_some();
            let taken = match found {
                None => api.create(&params(), &lease(name, holder)).await,
                // Asked twice, because the first answer was lost.
                Some(found) if holder_of(&found) == Some(holder) => Ok(found),
                Some(found) => {
                    let version = found.resource_version().unwrap_or_default();
                    match &seen {
                        Some((then, _)) if *then != version => return Err(self.taken(&found)),
                        Some((_, since)) if since.elapsed() >= SILENT => {
                            write(&api, name, holder, &version, true).await
                        }
                        Some(_) => {
                            sleep(LOOK).await;
                            continue;
                        }
                        None => {
                            tell(SILENT);
                            seen = Some((version, Instant::now()));
                            continue;
                        }
                    }
                }
            };
            match taken {
                Ok(lease) => break lease,
                // Somebody was quicker: to take it, or to give it up.
                Err(kube::Error::Api(status)) if status.code == 409 || there && status.code == 404 => seen = None,
                Err(e) => return Err(self.explain(&format!("write {place}"))(e)),
            }
            sleep(LOOK).await;
        };
        let version = ours.resource_version().unwrap_or_default();
        let last = Arc::new(Mutex::new(Some((version, Instant::now()))));
        let task = tokio::spawn(renew(api.clone(), name.to_owned(), holder.to_owned(), last.clone()));
        Ok(Held {
            api,
            name: name.to_owned(),
            last,
            task,
        })
    }

    fn taken(&self, lease: &Lease) -> Problem {
        let spec = lease.spec.as_ref();
        let since = spec.and_then(|spec| spec.acquire_time.as_ref());
        let since = since.map_or_else(String::new, |since| format!(", since {:.0}", since.0));
        Problem::new(format!(
            "Another run is at it{since}: Lease {}/{} is being renewed.",
            self.namespace,
            lease.name_any()
        ))
        .kind(Kind::Conflict)
        .next("Let it end, and run this again.")
    }
}

impl Held {
    /// Nobody else can have taken it over yet.
    pub(crate) fn is_ours(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .is_some_and(|(_, written)| written.elapsed() < SILENT - MARGIN)
    }

    /// The next one need not wait. If that fails, it waits.
    pub(crate) async fn let_go(self) {
        self.task.abort();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((version, _)) = last {
            let ours = DeleteParams {
                preconditions: Some(Preconditions {
                    resource_version: Some(version),
                    uid: None,
                }),
                ..DeleteParams::default()
            };
            let _ = self.api.delete(&self.name, &ours).await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renew(api: Api<Lease>, name: String, holder: String, last: Arc<Mutex<Option<(String, Instant)>>>) {
    loop {
        sleep(RENEWED).await;
        let before = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((version, _)) = before else { return };
        let asked = Instant::now();
        let written = write(&api, &name, &holder, &version, false).await;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(lease) => *last = Some((lease.resource_version().unwrap_or_default(), asked)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => *last = None,
            // It may come back in time.
            Err(_) => {}
        }
    }
}

/// Only where nobody else has written since.
async fn write(api: &Api<Lease>, name: &str, holder: &str, version: &str, takes: bool) -> kube::Result<Lease> {
    let now = MicroTime(jiff::Timestamp::now());
    let mut spec = json!({ "holderIdentity": holder, "renewTime": now });
    if takes {
        spec["acquireTime"] = json!(now);
    }
    let patch = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
    let params = PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(&patch)).await
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.into()),
        ..PostParams::default()
    }
}

fn lease(name: &str, holder: &str) -> Lease {
    let now = MicroTime(jiff::Timestamp::now());
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: i32::try_from(SILENT.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}

fn holder_of(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::Fake;

    const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/x";

    #[test]
    fn only_one_has_it_and_the_next_one_when_it_is_let_go() {
        let fake = Fake::sound();
        fake.run(async |cluster| {
            let first = cluster.hold("x", "a", |_| ()).await.expect("nobody has it");
            let began = Instant::now();
            let refused = cluster.hold("x", "b", |_| ()).await.err().expect("it is renewed");
            assert!(refused.what.contains("Another run is at it"), "{refused}");
            assert!(began.elapsed() < SILENT, "that is soon seen");
            assert!(first.is_ours());
            first.let_go().await;
            assert_eq!(fake.get(PATH), None);
            assert!(cluster.hold("x", "b", |_| ()).await.is_ok());
        });
    }

    #[test]
    fn one_that_was_killed_is_taken_over_after_a_while() {
        let fake = Fake::sound();
        fake.run(async |cluster| {
            // As a killed run leaves it: no more is written, and nothing taken away.
            drop(cluster.hold("x", "a", |_| ()).await.expect("nobody has it"));
            let began = Instant::now();
            let told = std::cell::Cell::new(0);
            let next = cluster.hold("x", "b", |_| told.set(told.get() + 1)).await;
            let next = next.expect("it is silent");
            assert!(began.elapsed() >= SILENT && told.get() == 1);
            assert_eq!(fake.get(PATH).expect("a Lease")["spec"]["holderIdentity"], "b");
            next.let_go().await;
        });
    }

    #[test]
    fn who_cannot_renew_it_knows_before_it_is_taken_over() {
        let fake = Fake::sound();
        fake.run(async |cluster| {
            let held = cluster.hold("x", "a", |_| ()).await.expect("nobody has it");
            fake.fail(PATH, u32::MAX, 500);
            sleep(SILENT - MARGIN + RENEWED).await;
            assert!(!held.is_ours());
            fake.fail(PATH, 0, 500);
            let held = {
                held.let_go().await;
                cluster.hold("x", "a", |_| ()).await.expect("nobody has it")
            };
            fake.change(PATH, &json!({ "metadata": { "resourceVersion": "else" } }));
            sleep(RENEWED * 2).await;
            assert!(!held.is_ours(), "somebody else has written it");
        });
    }
}
