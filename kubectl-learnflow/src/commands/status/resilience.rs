//! Which sidecars have loaded which Resiliency, and how their breakers stand: by their own metrics.

use crate::{
    cluster::Cluster,
    model::{Pod, Resiliency, Sample, Service},
    printer::{Table, Tone, plain},
    problem::Problem,
};
use futures::try_join;
use serde::Serialize;
use std::collections::BTreeMap;

/// One Resiliency of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(super) name: String,
    pub(super) learnflow: bool,
    /// The components it decides about.
    pub(super) components: Vec<String>,
    /// Sidecars of enrolled services in its scope.
    pub(super) sidecars: usize,
    /// Of those, which have loaded it; absent when that cannot be told.
    pub(super) loaded: Option<usize>,
    /// How many breakers are in each state, of those that were used.
    pub(super) breakers: BTreeMap<String, usize>,
}

/// What the sidecars say.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    policies: Vec<Sample>,
    breakers: Vec<Sample>,
}

impl Loaded {
    pub(super) async fn of(cluster: &Cluster) -> Result<Self, Problem> {
        let only = format!("job=\"dapr\",namespace=\"{}\"", cluster.namespace);
        let loaded = format!("dapr_resiliency_loaded{{{only}}}");
        // A series a state, of which the one that holds is 1.
        let breakers = format!("dapr_resiliency_cb_state{{{only}}} == 1");
        let (policies, breakers) = try_join!(cluster.query(&loaded), cluster.query(&breakers))?;
        Ok(Self { policies, breakers })
    }
}

pub(super) fn rows(
    known: &[Resiliency],
    services: &[(Service, Vec<Pod>, Option<String>)],
    loaded: Option<&Loaded>,
) -> Vec<Row> {
    known.iter().map(|policies| row(policies, services, loaded)).collect()
}

fn row(policies: &Resiliency, services: &[(Service, Vec<Pod>, Option<String>)], loaded: Option<&Loaded>) -> Row {
    let meant = |service: &Service| {
        let id = service.app_id.as_ref();
        service.enrolled && (policies.scopes.is_empty() || id.is_some_and(|id| policies.scopes.contains(id)))
    };
    let pods = services
        .iter()
        .filter(|(service, ..)| meant(service))
        .flat_map(|(_, pods, _)| pods);
    let pods: Vec<&Pod> = pods.filter(|pod| !pod.leaving && pod.sidecar.is_some()).collect();
    let is_ours =
        |sample: &&Sample, pod: &Pod| sample.label("pod") == pod.name && sample.label("name") == policies.name;
    let has = |pod: &&&Pod| loaded.is_some_and(|loaded| loaded.policies.iter().any(|sample| is_ours(&sample, pod)));
    let mut breakers = BTreeMap::new();
    for sample in loaded.iter().flat_map(|loaded| &loaded.breakers) {
        if pods.iter().any(|pod| is_ours(&sample, pod)) {
            *breakers.entry(sample.label("status").to_owned()).or_default() += 1;
        }
    }
    let components = policies.spec["targets"]["components"].as_object();
    Row {
        name: policies.name.clone(),
        learnflow: policies.ours,
        components: components.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        sidecars: pods.len(),
        loaded: loaded.map(|_| pods.iter().filter(has).count()),
        breakers,
    }
}

impl Row {
    /// A sidecar without what is meant for it is wrong; an open breaker is what a breaker is for.
    pub(super) fn judge(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) {
        let Self { name, sidecars, .. } = self;
        if let Some(loaded) = self.loaded.filter(|loaded| self.learnflow && loaded < sidecars) {
            problems.push(format!(
                "{} of {sidecars} sidecars run without the Resiliency {name}: run `kubectl learnflow install`.",
                sidecars - loaded
            ));
        }
        if let Some(open) = self.breakers.get("open") {
            notes.push(format!(
                "The breaker of Resiliency {name} was open in {open} of {sidecars} sidecars when last used: Kafka is \
                 or was away for longer than the policies bridge."
            ));
        }
    }
}

pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["POLICY", "TARGET", "SIDECARS", "BREAKERS"]);
    for row in rows {
        let sidecars = match row.loaded {
            Some(loaded) if loaded < row.sidecars && row.learnflow => (format!("{loaded}/{}", row.sidecars), Tone::Bad),
            Some(loaded) => plain(format!("{loaded}/{}", row.sidecars)),
            None => plain(format!("-/{}", row.sidecars)),
        };
        let breakers: Vec<String> = row.breakers.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let breakers = match row.breakers.contains_key("open") {
            true => (breakers.join(", "), Tone::Warn),
            false if breakers.is_empty() => plain("-"),
            false => plain(breakers.join(", ")),
        };
        let target = if row.components.is_empty() {
            "-".to_owned()
        } else {
            row.components.join(",")
        };
        table
            .rows
            .push(vec![plain(&row.name), plain(target), sidecars, breakers]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sidecar;
    use serde_json::json;

    fn sample(labels: &[(&str, &str)]) -> Sample {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Sample { labels, value: 1.0 }
    }

    fn services() -> Vec<(Service, Vec<Pod>, Option<String>)> {
        let pod = |name: &str| Pod {
            name: name.into(),
            sidecar: Some(Sidecar::default()),
            ..Pod::default()
        };
        let service = |id: &str, enrolled| Service {
            app_id: Some(id.into()),
            enrolled,
            ..Service::default()
        };
        vec![
            (service("cart", true), vec![pod("cart-1"), pod("cart-2")], None),
            (service("other", true), vec![pod("other-1")], None),
            (service("outside", false), vec![pod("outside-1")], None),
        ]
    }

    #[test]
    fn a_sidecar_without_its_policies_is_wrong_and_an_open_breaker_is_told() {
        let ours = Resiliency {
            name: "learnflow".into(),
            ours: true,
            scopes: vec!["cart".into()],
            spec: json!({ "targets": { "components": { "kafka": {} } } }),
        };
        let loaded = Loaded {
            policies: vec![
                sample(&[("pod", "cart-1"), ("name", "learnflow")]),
                sample(&[("pod", "cart-2"), ("name", "theirs")]),
                sample(&[("pod", "other-1"), ("name", "learnflow")]),
            ],
            breakers: vec![sample(&[("pod", "cart-1"), ("name", "learnflow"), ("status", "open")])],
        };
        let rows = rows(&[ours], &services(), Some(&loaded));
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        rows[0].judge(&mut problems, &mut notes);
        assert_eq!(
            problems,
            ["1 of 2 sidecars run without the Resiliency learnflow: run `kubectl learnflow install`."]
        );
        assert!(notes[0].contains("was open in 1 of 2 sidecars"), "{notes:?}");
        assert_eq!(
            table(&rows).render(false),
            "POLICY      TARGET   SIDECARS   BREAKERS\nlearnflow   kafka    1/2        1 open\n"
        );
    }

    #[test]
    fn what_cannot_be_told_is_no_problem() {
        let ours = Resiliency {
            name: "learnflow".into(),
            ours: true,
            ..Resiliency::default()
        };
        let rows = rows(&[ours], &services(), None);
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        rows[0].judge(&mut problems, &mut notes);
        assert!(problems.is_empty() && notes.is_empty());
        assert_eq!(
            (rows[0].sidecars, rows[0].loaded),
            (3, None),
            "no scope is every sidecar"
        );
    }
}
