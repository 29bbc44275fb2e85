//! Taking a workload away for a while and bringing it back, with a note about it.

use super::Cluster;
use crate::{
    model::Existing,
    objects::{MANAGED_BY, MANAGER, ObjectRef},
    outage::{self, Around, NOTE, Note},
    problem::{Kind, Problem},
};
use futures::try_join;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{ConfigMap, Service},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{Selector, SelectorExt as _},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) wanted: i64,
    pub(crate) ready: i64,
    /// Those that are ending too.
    pub(crate) pods: usize,
}

impl Cluster {
    pub(crate) async fn note(&self) -> Result<Option<Note>, Problem> {
        let found = self.notes().get_opt(NOTE).await;
        let found = found.map_err(self.explain(&format!("read ConfigMap {}/{NOTE}", self.namespace)))?;
        found
            .map(|found| Note::read(&found.data.unwrap_or_default()))
            .transpose()
    }

    /// Before anything breaks. Only one can be there, so two runs never meet.
    pub(crate) async fn leave_note(&self, note: &Note) -> Result<(), Problem> {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": NOTE, "namespace": self.namespace, "labels": { MANAGED_BY: MANAGER } },
            "data": note.data(),
        });
        let map: ConfigMap =
            serde_json::from_value(map).map_err(|e| Problem::new(format!("Cannot write a note: {e}.")))?;
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        match self.notes().create(&params, &map).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => match self.note().await? {
                // Asked twice, because the first answer was lost.
                Some(there) if there.run == note.run => Ok(()),
                Some(there) => Err(Problem::new(format!("{}.", there.sentence())).next(there.next(&self.namespace))),
                None => Err(Problem::new("Another failure simulation has ended just now.").next("Run this again.")),
            },
            Err(e) => Err(self.explain(&format!("create ConfigMap {}/{NOTE}", self.namespace))(e)),
        }
    }

    pub(crate) async fn forget_note(&self) -> Result<(), Problem> {
        match self.notes().delete(NOTE, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(e) => Err(self.explain(&format!("delete ConfigMap {}/{NOTE}", self.namespace))(e)),
        }
    }

    fn notes(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The workload whose pods are behind one of these brokers.
    pub(crate) async fn behind(&self, brokers: &[&str]) -> Result<ObjectRef, Problem> {
        let name_it = "Name it with --workload NAMESPACE/KIND/NAME, or say how to take Kafka away with --break COMMAND \
                       and --restore COMMAND.";
        for broker in brokers {
            let Some((namespace, name)) = outage::service_of(broker, &self.namespace) else {
                continue;
            };
            let api: Api<Service> = Api::namespaced(self.client.clone(), &namespace);
            let found = api.get_opt(&name).await;
            let found = found.map_err(self.explain(&format!("read Service {namespace}/{name}")))?;
            let Some(selector) = found
                .and_then(|service| service.spec?.selector)
                .filter(|s| !s.is_empty())
            else {
                continue;
            };
            let mut chosen = self.chosen_by(&namespace, &selector).await?;
            return match chosen.len() {
                1 => Ok(chosen.remove(0)),
                0 => Err(Problem::new(format!(
                    "No StatefulSet or Deployment has the pods of Service {namespace}/{name}: an operator may run them itself."
                ))
                .next("Take Kafka away in a way that its owner allows, with --break COMMAND and --restore COMMAND.")),
                _ => {
                    let names: Vec<String> = chosen.iter().map(ToString::to_string).collect();
                    let names = crate::text::list(&names);
                    Err(Problem::new(format!("Several have the pods of Service {namespace}/{name}: {names}.")).next(name_it))
                }
            };
        }
        Err(Problem::new(format!(
            "The brokers ({}) are no Service of this cluster.",
            crate::text::list(brokers)
        ))
        .next(name_it))
    }

    async fn chosen_by(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Result<Vec<ObjectRef>, Problem> {
        let selector: Selector = labels.clone().into_iter().collect();
        let (sets, deployments): (Api<StatefulSet>, Api<Deployment>) = (
            Api::namespaced(self.client.clone(), namespace),
            Api::namespaced(self.client.clone(), namespace),
        );
        let all = ListParams::default();
        let (sets, deployments) = try_join!(
            async {
                sets.list(&all)
                    .await
                    .map_err(self.list_of("StatefulSets", Some(namespace)))
            },
            async {
                deployments
                    .list(&all)
                    .await
                    .map_err(self.list_of("Deployments", Some(namespace)))
            },
        )?;
        let fits = |labels: Option<BTreeMap<String, String>>| selector.matches(&labels.unwrap_or_default());
        let mut chosen = Vec::new();
        for set in sets {
            let name = set.name_any();
            if fits(set.spec.and_then(|spec| spec.template.metadata?.labels)) {
                chosen.push(outage::workload("StatefulSet", namespace, &name));
            }
        }
        for deployment in deployments {
            let name = deployment.name_any();
            if fits(deployment.spec.and_then(|spec| spec.template.metadata?.labels)) {
                chosen.push(outage::workload("Deployment", namespace, &name));
            }
        }
        Ok(chosen)
    }

    /// The workload as it is, and what is around it.
    pub(crate) async fn victim(&self, object: &ObjectRef) -> Result<(Value, Around), Problem> {
        let found = self.there(object).await?.value;
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let (scalers, budgets): (Api<HorizontalPodAutoscaler>, Api<PodDisruptionBudget>) = (
            Api::namespaced(self.client.clone(), namespace),
            Api::namespaced(self.client.clone(), namespace),
        );
        let all = ListParams::default();
        let (scalers, budgets) = try_join!(
            async {
                let list = scalers.list(&all).await;
                list.map_err(self.list_of("HorizontalPodAutoscalers", Some(namespace)))
            },
            async {
                let list = budgets.list(&all).await;
                list.map_err(self.list_of("PodDisruptionBudgets", Some(namespace)))
            },
        )?;
        let labels = &found["spec"]["template"]["metadata"]["labels"];
        let labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).unwrap_or_default();
        let around = Around {
            // What KEDA does shows in an autoscaler as well.
            scalers: scalers
                .into_iter()
                .filter_map(|scaler| {
                    let name = scaler.name_any();
                    let target = scaler.spec?.scale_target_ref;
                    Some(("HorizontalPodAutoscaler".into(), name, target.kind, target.name))
                })
                .collect(),
            budgets: budgets
                .into_iter()
                .filter(|budget| {
                    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
                    selector.is_some_and(|selector| matches(selector, &labels))
                })
                .map(|budget| budget.name_any())
                .collect(),
        };
        Ok((found, around))
    }

    pub(crate) async fn take_away(&self, object: &ObjectRef, note: &Note) -> Result<(), Problem> {
        self.merge(object, &outage::away(note), "scale").await
    }

    /// Brings it back, unless somebody has set another number since. Whatever it was, no trace of ours stays.
    pub(crate) async fn bring_back(&self, object: &ObjectRef, replicas: i64) -> Result<(), Problem> {
        let found = self.there(object).await?;
        let ours = found.value["spec"]["replicas"] == 0;
        let patch = outage::back(ours.then_some(replicas));
        self.merge(object, &patch, "scale back").await
    }

    async fn merge(&self, object: &ObjectRef, patch: &Value, doing: &str) -> Result<(), Problem> {
        let params = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..PatchParams::default()
        };
        let patched = self
            .dynamic(object)
            .patch(&object.name, &params, &Patch::Merge(patch))
            .await;
        patched.map_err(self.explain(&format!("{doing} {object}")))?;
        Ok(())
    }

    pub(crate) async fn standing(&self, object: &ObjectRef) -> Result<Standing, Problem> {
        let found = self.there(object).await?.value;
        let selector: LabelSelector = serde_json::from_value(found["spec"]["selector"].clone()).unwrap_or_default();
        let selector: Selector = selector.try_into().unwrap_or_default();
        let mut pods = 0;
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let wanted = ListParams::default().labels_from(&selector);
        self.each_pod(namespace, wanted, |_| pods += 1).await?;
        Ok(Standing {
            wanted: found["spec"]["replicas"].as_i64().unwrap_or(1),
            ready: found["status"]["readyReplicas"].as_i64().unwrap_or(0),
            pods,
        })
    }

    async fn there(&self, object: &ObjectRef) -> Result<Existing, Problem> {
        let gone = || Problem::new(format!("There is no {object}.")).kind(Kind::NotFound);
        self.existing(object).await?.ok_or_else(gone)
    }
}

fn matches(selector: LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let selector: Option<Selector> = selector.try_into().ok();
    selector.is_some_and(|selector| selector.matches(labels))
}
