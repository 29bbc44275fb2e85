//! The memory that pods of ours take.

use super::{Cluster, is_absent};
use crate::{
    capacity::{Needs, quantity},
    config::bytes,
    model::{Memory, MemoryOf},
    objects::{OUR_NAMESPACES, PART_OF_US},
    problem::{Kind, Problem},
    quota,
};
use futures::try_join;
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::Value;
use std::collections::BTreeMap;

impl Cluster {
    /// None: it is not for us to see.
    pub(crate) async fn memory(&self) -> Result<Option<Memory>, Problem> {
        let [first, second] = OUR_NAMESPACES;
        let (first, second) = match try_join!(self.memory_in(first), self.memory_in(second)) {
            Err(problem) if problem.kind == Kind::Forbidden => return Ok(None),
            both => both?,
        };
        let mut memory = Memory {
            measured: true,
            ..Memory::default()
        };
        for one in [first, second] {
            memory.measured &= one.measured || one.of.is_empty();
            memory.of.extend(one.of);
            memory.budget = memory.budget.or(one.budget);
        }
        Ok(Some(memory))
    }

    async fn memory_in(&self, namespace: &str) -> Result<Memory, Problem> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let quota = quota::of(namespace);
        let wanted = ListParams::default().labels(PART_OF_US);
        let pods = async { api.list(&wanted).await.map_err(self.list_of("Pods", Some(namespace))) };
        let (pods, used, quota) = try_join!(pods, self.used_in(namespace), self.existing(&quota))?;
        let mut of: BTreeMap<String, MemoryOf> = BTreeMap::new();
        // A pod that has just come has no figure yet, and a sum without it would be none.
        let mut measured = used.is_some();
        for pod in pods.into_iter().filter(|pod| !has_ended(pod)) {
            let name = pod
                .labels()
                .get("app.kubernetes.io/name")
                .cloned()
                .unwrap_or_else(|| pod.name_any());
            let entry = of.entry(name.clone()).or_insert_with(|| MemoryOf {
                namespace: namespace.to_owned(),
                name,
                ..MemoryOf::default()
            });
            let spec = serde_json::to_value(&pod.spec).unwrap_or_default();
            let needs = Needs::of_pods(&spec, 1, &[]);
            let amount = |key: &str| needs.amounts.get(key).map_or(0, |bytes| *bytes as u64);
            entry.limit += amount("limits.memory");
            entry.requested += amount("requests.memory");
            let taken = used.as_ref().and_then(|used| used.get(&pod.name_any()));
            measured &= taken.is_some();
            entry.used += taken.copied().unwrap_or_default();
        }
        let budget = quota.and_then(|quota| quota::read(&quota.value));
        Ok(Memory {
            measured,
            of: of.into_values().collect(),
            budget: budget.and_then(|(budget, _)| bytes(&budget)),
        })
    }

    /// Bytes by pod. None: nobody measures.
    async fn used_in(&self, namespace: &str) -> Result<Option<BTreeMap<String, u64>>, Problem> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|e| Problem::new(format!("Cannot ask for the metrics of pods: {e}.")))?;
        let text = match self.impatient.request_text(request).await {
            Ok(text) => text,
            Err(kube::Error::Api(status)) if is_absent(&status) || matches!(status.code, 403 | 500..) => {
                return Ok(None);
            }
            Err(e) => return Err(self.explain("ask for the metrics of pods")(e)),
        };
        let list: Value = serde_json::from_str(&text).unwrap_or_default();
        let Some(items) = list["items"].as_array() else {
            return Ok(None);
        };
        let pod = |item: &Value| {
            let containers = item["containers"].as_array().into_iter().flatten();
            let memory = containers.filter_map(|container| quantity(container["usage"]["memory"].as_str()?));
            Some((
                item["metadata"]["name"].as_str()?.to_owned(),
                memory.sum::<f64>() as u64,
            ))
        };
        Ok(Some(items.iter().filter_map(pod).collect()))
    }
}

/// Its memory is free, as a quota sees it too; it may stay in the list for a while, and an evicted one for days.
fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::fake::Fake, objects::STACK_NAMESPACE};
    use serde_json::json;

    const MIB: u64 = 1 << 20;

    fn pod(name: &str) -> Value {
        json!({
            "metadata": { "name": name, "labels": { "app.kubernetes.io/name": "prometheus" } },
            "spec": { "containers": [{ "name": "c", "resources": {
                "requests": { "memory": "100Mi" }, "limits": { "memory": "600Mi" },
            }}]},
        })
    }

    fn measured(name: &str) -> Value {
        json!({ "metadata": { "name": name }, "containers": [
            { "usage": { "memory": "150Mi" } }, { "usage": { "memory": "1024Ki" } },
        ]})
    }

    fn memory(pods: &[Value], metrics: Option<&[Value]>) -> Memory {
        let fake = Fake::sound();
        let list =
            |kind: &str, items: &[Value]| json!({ "apiVersion": "v1", "kind": kind, "metadata": {}, "items": items });
        fake.answer(
            &format!("/api/v1/namespaces/{STACK_NAMESPACE}/pods"),
            200,
            list("PodList", pods),
        );
        if let Some(metrics) = metrics {
            let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{STACK_NAMESPACE}/pods");
            fake.answer(&path, 200, list("PodMetricsList", metrics));
        }
        let quota = json!({
            "metadata": { "name": "learnflow", "annotations": { "learnflow.dev/budget": "1Gi" } },
            "spec": { "hard": { "limits.memory": "800Mi" } },
        });
        fake.put(
            &format!("/api/v1/namespaces/{STACK_NAMESPACE}/resourcequotas/learnflow"),
            quota,
        );
        let memory = fake.run(async |cluster| cluster.memory().await);
        memory.expect("an answer").expect("to be seen")
    }

    #[test]
    fn pods_add_up_to_their_workload() {
        let found = memory(
            &[pod("a"), pod("b")],
            Some(&[measured("a"), measured("b"), measured("gone")]),
        );
        assert!(found.measured);
        assert_eq!(
            found.budget,
            Some(1024 * MIB),
            "the whole budget, not one namespace's share"
        );
        let [prometheus] = found.of.as_slice() else {
            panic!("{:?}", found.of)
        };
        assert_eq!(
            (prometheus.used, prometheus.requested, prometheus.limit),
            (302 * MIB, 200 * MIB, 1200 * MIB)
        );
    }

    #[test]
    fn what_is_not_measured_is_not_taken_for_nothing() {
        assert!(
            !memory(&[pod("a"), pod("b")], Some(&[measured("a")])).measured,
            "one has just come"
        );
        assert!(!memory(&[pod("a")], None).measured, "nobody measures");
        assert!(memory(&[], None).of.is_empty());
    }

    #[test]
    fn a_pod_that_has_ended_takes_none() {
        let mut evicted = pod("b");
        evicted["status"] = json!({ "phase": "Failed" });
        let found = memory(&[pod("a"), evicted], Some(&[measured("a")]));
        assert!(found.measured);
        assert_eq!(found.of[0].limit, 600 * MIB);
    }
}
