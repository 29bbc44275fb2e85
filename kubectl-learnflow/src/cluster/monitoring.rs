//! Whose Prometheus keeps the metrics: what was decided at the last `install`, and what there is to choose from.

use super::{Cluster, is_absent};
use crate::{
    applyset,
    budget::PROMETHEUS,
    concern::Concern,
    model::Existing,
    monitoring::{Address, Candidate, Home, Keeper, Labels},
    objects::{KEEPER, MANAGER, NAMESPACES, ObjectRef, PARTS, STACK_NAMESPACE},
    problem::Problem,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

impl Cluster {
    /// Who keeps the metrics of what is installed; none: nobody was chosen yet.
    pub(crate) async fn keeper(&self) -> Result<Option<Keeper>, Problem> {
        self.chosen_before(
            KEEPER,
            PROMETHEUS,
            "Say which Prometheus it is with `kubectl learnflow install --prometheus`.",
        )
        .await
    }

    /// What an annotation on the set says that was chosen; without one our own (the default), if its Deployment is there.
    pub(super) async fn chosen_before<T: DeserializeOwned + Default>(
        &self,
        annotated: &str,
        deployment: &str,
        next: &str,
    ) -> Result<Option<T>, Problem> {
        let set = self.existing(&applyset::reference(STACK_NAMESPACE)).await?;
        if let Some(text) = set.as_ref().and_then(|set| annotation(set, annotated)) {
            return match serde_json::from_str(text) {
                Ok(chosen) => Ok(Some(chosen)),
                Err(e) => Err(Problem::new(format!(
                    "The annotation {annotated} of ConfigMap {STACK_NAMESPACE}/learnflow cannot be read: {e}."
                ))
                .next(next)),
            };
        }
        let own = ObjectRef::deployment(STACK_NAMESPACE, deployment);
        let ours = |existing: Existing| existing.managed_by.as_deref() == Some(MANAGER);
        Ok(self.existing(&own).await?.is_some_and(ours).then(T::default))
    }

    /// The namespaces of services that the stack was installed for, and its parts.
    pub(crate) async fn installed_for(&self) -> Result<(BTreeSet<String>, BTreeSet<Concern>), Problem> {
        let set = self.existing(&applyset::reference(STACK_NAMESPACE)).await?;
        let listed = |name| {
            let text = set.as_ref().and_then(|set| annotation(set, name));
            applyset::split(text.unwrap_or_default())
        };
        let parts = listed(PARTS);
        let parts = Concern::ALL
            .into_iter()
            .filter(|concern| parts.contains(concern.name()));
        Ok((listed(NAMESPACES), parts.collect()))
    }

    /// From now on it is asked for metrics. What was decided first stays.
    pub(crate) fn measured_by(&self, keeper: &Keeper) {
        let _ = self.metrics.set(keeper.address());
    }

    /// Where the Prometheus answers that has our metrics. Asked once.
    pub(super) async fn metrics(&self) -> Result<&Address, Problem> {
        self.metrics
            .get_or_try_init(async || {
                let set = self.existing(&applyset::reference(STACK_NAMESPACE)).await?;
                let keeper = set.as_ref().and_then(annotated).map(serde_json::from_str::<Keeper>);
                // What cannot be read is said by whoever needs to know more than this.
                Ok(keeper.and_then(Result::ok).unwrap_or_default().address())
            })
            .await
    }

    /// The objects Prometheus of the Prometheus Operator; none where there is no Operator.
    pub(crate) async fn prometheuses(&self) -> Result<Vec<Candidate>, Problem> {
        let mut found = self.all_prometheuses().await?;
        let mut labels: BTreeMap<String, Labels> = BTreeMap::new();
        let namespaces: Vec<String> = found.iter().map(|one| one.namespace.clone()).collect();
        for one in &mut found {
            one.beside_others = namespaces.iter().filter(|other| **other == one.namespace).count() > 1;
            if !labels.contains_key(&one.namespace) {
                let of = self.labels_of(&one.namespace).await?;
                labels.insert(one.namespace.clone(), of);
            }
            one.labels.clone_from(&labels[&one.namespace]);
        }
        Ok(found)
    }

    async fn all_prometheuses(&self) -> Result<Vec<Candidate>, Problem> {
        let anywhere = ObjectRef {
            api_version: "monitoring.coreos.com/v1".into(),
            kind: "Prometheus".into(),
            namespace: None,
            name: String::new(),
        };
        let candidate = |mut object: DynamicObject| Candidate {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            leaving: object.metadata.deletion_timestamp.is_some(),
            spec: object.data["spec"].take(),
            ..Candidate::default()
        };
        match self.dynamic(&anywhere).list(&ListParams::default()).await {
            Ok(list) => Ok(list.into_iter().map(candidate).collect()),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(Vec::new()),
            Err(e) => Err(self.list_of("Prometheuses", None)(e)),
        }
    }

    /// Our own namespace as selectors see it, when it is there and not ours to label.
    pub(crate) async fn foreign_home(&self) -> Result<Option<Home>, Problem> {
        let existing = self.existing(&ObjectRef::namespace(STACK_NAMESPACE)).await?;
        let foreign = existing.filter(|found| found.managed_by.as_deref() != Some(MANAGER));
        Ok(foreign.map(|found| Home {
            labels: labels(&found),
            ours: false,
        }))
    }

    async fn labels_of(&self, namespace: &str) -> Result<Labels, Problem> {
        let found = self.existing(&ObjectRef::namespace(namespace)).await?;
        Ok(found.map(|found| labels(&found)).unwrap_or_default())
    }

    /// The scrape jobs that the Prometheus at an address has.
    pub(crate) async fn scrape_jobs(&self, address: &Address) -> Result<Vec<String>, Problem> {
        let answer = self.ask(address, "scrape_pools").await?;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        let pools = answer["data"]["scrapePools"].as_array();
        let pools = pools.ok_or_else(|| {
            Problem::new(format!(
                "What answers at {address} is no Prometheus of version 2.42 or later."
            ))
            .next("Correct --prometheus, or `prometheus` in learnflow.yaml.")
        })?;
        Ok(pools
            .iter()
            .filter_map(|pool| Some(pool.as_str()?.to_owned()))
            .collect())
    }
}

fn annotated(set: &Existing) -> Option<&str> {
    annotation(set, KEEPER)
}

fn annotation<'a>(set: &'a Existing, name: &str) -> Option<&'a str> {
    set.value["metadata"]["annotations"][name].as_str()
}

fn labels(existing: &Existing) -> Labels {
    let labels = existing.value["metadata"]["labels"].as_object();
    let text = |(key, value): (&String, &serde_json::Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}
