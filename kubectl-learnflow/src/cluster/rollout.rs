//! Waiting for workloads, and knowing why one is not ready.

use super::{Cluster, service::rollout};
use crate::{
    model::{Pod, Rollout, Sidecar},
    objects::{ObjectRef, REVISION},
    problem::{Kind, Problem},
    scaling::shortfall::UNPLACED,
};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::{self as core, ContainerStatus},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Resource, ResourceExt,
    api::ListParams,
    core::{Selector, SelectorExt as _},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(500);
/// Looking for a reason takes two lists; nothing is stuck before this.
const PATIENCE: Duration = Duration::from_secs(3);

/// A Deployment or DaemonSet that is there.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) object: ObjectRef,
    pub(crate) rollout: Rollout,
    selector: Selector,
}

/// How far one workload of a wait is.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) object: ObjectRef,
    pub(crate) rollout: Rollout,
    /// What keeps it, when that is known.
    pub(crate) trouble: Option<String>,
}

impl Progress {
    pub(crate) fn is_done(&self) -> bool {
        self.rollout.is_settled()
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.object, self.rollout)?;
        match &self.trouble {
            // What kept it for a while keeps it no more once it is done.
            Some(trouble) if !self.is_done() => write!(f, ": {trouble}"),
            _ => Ok(()),
        }
    }
}

impl Cluster {
    /// Waits until all are ready, telling how far they are each time it looked. What is left when
    /// time is up comes back, with its trouble.
    pub(crate) async fn wait_ready(
        &self,
        objects: &[ObjectRef],
        timeout: Duration,
        mut tell: impl FnMut(&[Progress]),
    ) -> Result<Vec<Progress>, Problem> {
        let began = Instant::now();
        let mut looked_at = began;
        let mut troubles: Vec<Option<String>> = vec![None; objects.len()];
        loop {
            let over = began.elapsed() >= timeout;
            let look = over || looked_at.elapsed() >= PATIENCE;
            match self.progress(objects, &mut troubles, look).await {
                Ok(all) => {
                    tell(&all);
                    let rest: Vec<Progress> = all.into_iter().filter(|p| !p.is_done()).collect();
                    if rest.is_empty() || over {
                        return Ok(rest);
                    }
                }
                // An API server that restarts is no reason to give up a wait.
                Err(problem) if problem.kind == Kind::Unreachable && !over => {}
                Err(problem) => return Err(problem),
            }
            if look {
                looked_at = Instant::now();
            }
            sleep(POLL).await;
        }
    }

    async fn progress(
        &self,
        objects: &[ObjectRef],
        troubles: &mut [Option<String>],
        look: bool,
    ) -> Result<Vec<Progress>, Problem> {
        let mut all = Vec::with_capacity(objects.len());
        for (object, trouble) in objects.iter().zip(troubles) {
            let found = self.workload(object).await?;
            if let Some(workload) = found.as_ref().filter(|w| look && !w.rollout.is_settled()) {
                *trouble = self.trouble(workload).await?;
            }
            let rollout = found.map(|workload| workload.rollout).unwrap_or_default();
            all.push(Progress {
                object: object.clone(),
                rollout,
                trouble: trouble.clone(),
            });
        }
        Ok(all)
    }

    /// A Deployment of the services' namespace that was read already.
    pub(super) fn known_workload(&self, deployment: &Deployment) -> Workload {
        let selector = deployment.spec.as_ref().map(|spec| spec.selector.clone());
        Workload {
            object: ObjectRef::deployment(&self.namespace, &deployment.name_any()),
            rollout: rollout(deployment),
            selector: parse(selector.unwrap_or_default()),
        }
    }

    pub(crate) async fn workload(&self, object: &ObjectRef) -> Result<Option<Workload>, Problem> {
        let namespace = object.namespace.as_deref().unwrap_or(&self.namespace);
        let failed = self.explain(&format!("read {object}"));
        let found = if object.kind == "DaemonSet" {
            let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), namespace);
            api.get_opt(&object.name)
                .await
                .map_err(failed)?
                .map(|set| (daemon_rollout(&set), set.spec.map(|spec| spec.selector)))
        } else {
            let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
            api.get_opt(&object.name)
                .await
                .map_err(failed)?
                .map(|deployment| (rollout(&deployment), deployment.spec.map(|spec| spec.selector)))
        };
        Ok(found.map(|(rollout, selector)| Workload {
            object: object.clone(),
            rollout,
            selector: parse(selector.unwrap_or_default()),
        }))
    }

    /// The pods of a workload.
    pub(crate) async fn pods(&self, workload: &Workload) -> Result<Vec<Pod>, Problem> {
        let namespace = workload.object.namespace.as_deref().unwrap_or(&self.namespace);
        let wanted = ListParams::default().labels_from(&workload.selector);
        let mut pods = Vec::new();
        self.each_pod(namespace, wanted, |found| pods.push(pod(found))).await?;
        Ok(pods)
    }

    /// All pods of the services' namespace, each with the labels it is chosen by.
    pub(crate) async fn pods_of(&self, workloads: &[Workload]) -> Result<Vec<Vec<Pod>>, Problem> {
        let mut pods: Vec<Vec<Pod>> = vec![Vec::new(); workloads.len()];
        let sort = |found: core::Pod| {
            let chosen = |workload: &Workload| workload.selector.matches(found.labels());
            let chosen: Vec<bool> = workloads.iter().map(chosen).collect();
            if chosen.contains(&true) {
                let found = pod(found);
                let of = pods.iter_mut().zip(chosen).filter(|(_, chosen)| *chosen);
                of.for_each(|(pods, _)| pods.push(found.clone()));
            }
        };
        self.each_pod(&self.namespace, ListParams::default(), sort).await?;
        Ok(pods)
    }

    /// Why a workload is not ready: what its pods wait for, and the last warning about it.
    pub(crate) async fn trouble(&self, workload: &Workload) -> Result<Option<String>, Problem> {
        let pods = self.pods(workload).await?;
        let reasons: BTreeSet<String> = pods
            .iter()
            .filter(|p| !p.ready)
            .filter_map(|p| p.reason.clone())
            .collect();
        let mut parts: Vec<String> = reasons.into_iter().collect();
        parts.extend(self.last_warning(&workload.object, &pods).await?);
        if parts.is_empty() {
            let waiting = pods.iter().find(|pod| !pod.ready && !pod.leaving);
            parts.extend(waiting.map(|pod| format!("pod {} is not ready yet", pod.name)));
        }
        Ok((!parts.is_empty()).then(|| parts.join("; ")))
    }

    async fn last_warning(&self, object: &ObjectRef, pods: &[Pod]) -> Result<Option<String>, Problem> {
        let namespace = object.namespace.as_deref().unwrap_or(&self.namespace);
        let about = |event: &core::Event| {
            let name = event.involved_object.name.as_deref().unwrap_or_default();
            let own = name == object.name && event.involved_object.kind.as_deref() == Some(&object.kind);
            // A ReplicaSet, whose pods may never come to be, is called after its Deployment.
            let set = event.involved_object.kind.as_deref() == Some("ReplicaSet")
                && name
                    .rsplit_once('-')
                    .is_some_and(|(deployment, _)| deployment == object.name);
            own || set || pods.iter().any(|pod| pod.name == name)
        };
        let mut last: Option<core::Event> = None;
        let later = |event: core::Event| {
            if about(&event) && last.as_ref().is_none_or(|last| event_time(last) <= event_time(&event)) {
                last = Some(event);
            }
        };
        let wanted = ListParams::default().fields("type=Warning");
        match self
            .each(&core::Event::url_path(&(), Some(namespace)), wanted, later)
            .await
        {
            Ok(()) => {}
            // A reason less; no reason to fail.
            Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(None),
            Err(e) => return Err(self.list_of("Events", Some(namespace))(e)),
        }
        Ok(last.map(|event| {
            let message = event.message.unwrap_or_default();
            // The server's own words for "this happened often".
            let message = message.trim().trim_start_matches("(combined from similar events): ");
            format!("{}: {message}", event.reason.unwrap_or_default())
        }))
    }
}

fn event_time(event: &core::Event) -> Option<i64> {
    let last = event.last_timestamp.as_ref().map(|time| time.0.as_millisecond());
    last.or_else(|| event.event_time.as_ref().map(|time| time.0.as_millisecond()))
}

fn parse(selector: LabelSelector) -> Selector {
    selector.try_into().unwrap_or_default()
}

fn daemon_rollout(set: &DaemonSet) -> Rollout {
    let Some(status) = &set.status else {
        return Rollout::default();
    };
    Rollout {
        observed: status.observed_generation >= set.metadata.generation,
        desired: status.desired_number_scheduled,
        updated: status.updated_number_scheduled.unwrap_or(0),
        total: status.current_number_scheduled,
        ready: status.number_available.unwrap_or(0),
    }
}

fn pod(pod: core::Pod) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let containers: Vec<ContainerStatus> = [
        status.init_container_statuses.unwrap_or_default(),
        status.container_statuses.unwrap_or_default(),
    ]
    .concat();
    let unscheduled = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False")
        .map(|c| format!("{UNPLACED}{}", c.message.as_deref().unwrap_or("no reason given")));
    let waiting = containers.iter().find_map(waiting_reason);
    // daprd may also run as a native sidecar, which is an init container.
    let daprd = containers.iter().find(|container| container.name == "daprd");
    Pod {
        ready: conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        revision: pod.annotations().get(REVISION).cloned(),
        sidecar: daprd.map(|container| Sidecar {
            started: container
                .state
                .as_ref()
                .and_then(|state| state.running.as_ref()?.started_at.as_ref())
                .map(|time| time.0.as_second()),
        }),
        reason: waiting.or(unscheduled),
        name: pod.name_any(),
    }
}

fn waiting_reason(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        // The first moments of every pod; no trouble.
        if matches!(reason, "ContainerCreating" | "PodInitializing") {
            return None;
        }
        let message = waiting
            .message
            .as_deref()
            .map(|m| format!(" ({})", m.trim()))
            .unwrap_or_default();
        return Some(format!("container {} {reason}{message}", container.name));
    }
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some(format!("container {} exited with {}", container.name, ended.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(json: serde_json::Value) -> Pod {
        pod(serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": json })).expect("a Pod"))
    }

    #[test]
    fn a_pod_says_why_it_waits() {
        let waiting = status(json!({ "containerStatuses": [{
            "name": "daprd", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 20s" } },
        }]}));
        assert_eq!(
            waiting.reason.as_deref(),
            Some("container daprd CrashLoopBackOff (back-off 20s)")
        );
        assert!(waiting.sidecar.is_some() && !waiting.ready);
        let unscheduled = status(json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available" },
        ]}));
        assert_eq!(
            unscheduled.reason.as_deref(),
            Some("no node takes it: 0/1 nodes are available")
        );
        let fresh = status(json!({ "containerStatuses": [{
            "name": "app", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "ContainerCreating" } },
        }]}));
        assert_eq!(fresh.reason, None);
    }

    #[test]
    fn a_native_sidecar_is_a_sidecar() {
        let native = status(json!({ "initContainerStatuses": [{
            "name": "daprd", "ready": true, "restartCount": 0, "image": "", "imageID": "",
            "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
        }]}));
        assert_eq!(native.sidecar.and_then(|sidecar| sidecar.started), Some(1_767_225_600));
    }

    #[test]
    fn progress_is_one_line() {
        let mut progress = Progress {
            object: ObjectRef::deployment("shop", "cart"),
            rollout: Rollout {
                observed: true,
                desired: 2,
                updated: 2,
                ready: 1,
                ..Rollout::default()
            },
            trouble: Some("container daprd CrashLoopBackOff".into()),
        };
        assert_eq!(
            progress.to_string(),
            "Deployment shop/cart 1/2 ready: container daprd CrashLoopBackOff"
        );
        assert!(!progress.is_done());
        progress.rollout.ready = 2;
        progress.rollout.total = 2;
        assert_eq!(progress.to_string(), "Deployment shop/cart 2/2 ready");
    }
}
