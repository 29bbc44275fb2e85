//! `--no-disrupt`: whether the policies are loaded, and for components that exist. Nothing is sent, nothing is broken.

use super::{
    Lines,
    findings::{self, Finding, bad, good},
    sidecar,
};
use crate::{
    cli::Resilience,
    cluster::Cluster,
    model::{Facts, Outcome, Resiliency, SidecarPod},
    printer::Printer,
    problem::Problem,
    text::list,
};
use std::collections::BTreeSet;

pub(super) async fn run(
    cluster: &Cluster,
    ports: &impl Lines,
    args: &Resilience,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    let facts = cluster.facts().await?;
    let names = cluster.component_names().await?;
    let mut findings = targets(&facts.resiliencies, &names);
    findings.extend(bridged(&facts, args.pubsub.as_deref()));
    for pod in cluster.sidecars().await? {
        printer.waiting(&format!("asking the sidecar of pod {}", pod.name));
        let text = ports.metrics(&pod).await;
        let loaded = text.map(|text| sidecar::read(&text, "").loaded);
        findings.extend(loaded_in(&pod, loaded, &facts.resiliencies));
    }
    printer.done_waiting();
    findings::show(&findings, args.output, printer)
}

/// A target that names nothing applies to nothing, and Dapr does not say so.
fn targets(resiliencies: &[Resiliency], components: &BTreeSet<String>) -> Vec<Finding> {
    let of = |resiliency: &Resiliency| {
        let targets = resiliency.spec["targets"]["components"].as_object();
        let each = targets.into_iter().flatten().map(|(target, _)| {
            let name = &resiliency.name;
            match components.contains(target) {
                true => good(format!("Resiliency {name}: its target {target} is a Component")),
                false => {
                    let there: Vec<&String> = components.iter().collect();
                    let next = format!(
                        "Correct the name under targets.components; there are: {}.",
                        list(&there)
                    );
                    bad(
                        format!("Resiliency {name}: there is no Component {target}, so its policies apply to nothing"),
                        &next,
                    )
                }
            }
        });
        each.collect::<Vec<_>>()
    };
    resiliencies.iter().flat_map(of).collect()
}

/// Somebody decides what a publish does while Kafka is away.
fn bridged(facts: &Facts, named: Option<&str>) -> Vec<Finding> {
    let wanted = facts
        .pubsubs()
        .into_iter()
        .filter(|name| named.is_none_or(|named| named == name));
    let one = |component: String| {
        let decides = |resiliency: &&Resiliency| {
            let outbound = &resiliency.spec["targets"]["components"][component.as_str()]["outbound"];
            !outbound.is_null()
        };
        let names: Vec<&str> = facts
            .resiliencies
            .iter()
            .filter(decides)
            .map(|r| r.name.as_str())
            .collect();
        match names.is_empty() {
            false => good(format!("Publishing to {component} has policies: {}", list(&names))),
            true => bad(
                format!(
                    "Publishing to {component} has no policies by its name: an outage of Kafka refuses events at once"
                ),
                "Run `kubectl learnflow install`, or write a Resiliency with this target.",
            ),
        }
    };
    wanted.map(one).collect()
}

fn loaded_in(pod: &SidecarPod, loaded: Result<Vec<String>, String>, resiliencies: &[Resiliency]) -> Option<Finding> {
    let meant = |resiliency: &&Resiliency| resiliency.scopes.is_empty() || resiliency.scopes.contains(&pod.app_id);
    let meant: Vec<&str> = resiliencies.iter().filter(meant).map(|r| r.name.as_str()).collect();
    if meant.is_empty() {
        return None;
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(why) => {
            return Some(bad(
                format!(
                    "Pod {}: whether it has loaded {} cannot be seen: {why}",
                    pod.name,
                    list(&meant)
                ),
                "See the log of its container daprd; a sidecar that reloaded in place must be replaced.",
            ));
        }
    };
    let missing: Vec<&&str> = meant
        .iter()
        .filter(|name| !loaded.iter().any(|have| have == **name))
        .collect();
    Some(match missing.is_empty() {
        true => good(format!("Pod {} has loaded {}", pod.name, list(&meant))),
        false => bad(
            format!("Pod {} has not loaded {}", pod.name, list(&missing)),
            "Replace its pod: `kubectl rollout restart` of its Deployment.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resiliency(name: &str, target: &str, scopes: &[&str]) -> Resiliency {
        Resiliency {
            name: name.into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            spec: json!({ "targets": { "components": { target: { "outbound": { "retry": "x" } } } } }),
            ..Resiliency::default()
        }
    }

    #[test]
    fn a_target_that_names_nothing_is_found() {
        let components = BTreeSet::from(["kafka-pubsub".to_owned()]);
        let all = [
            resiliency("a", "kafka-pubsub", &[]),
            resiliency("b", "kafka_pubsub", &[]),
        ];
        let findings = targets(&all, &components);
        assert!(findings[0].holds);
        assert_eq!(
            findings[1],
            bad(
                "Resiliency b: there is no Component kafka_pubsub, so its policies apply to nothing".into(),
                "Correct the name under targets.components; there are: kafka-pubsub."
            )
        );
    }

    #[test]
    fn a_sidecar_must_have_loaded_what_is_for_it() {
        let pod = SidecarPod {
            name: "cart-1".into(),
            app_id: "cart".into(),
            metrics: Some(9090),
            enrolled: true,
        };
        let all = [resiliency("ours", "k", &["cart"]), resiliency("others", "k", &["web"])];
        let of = |loaded: Result<Vec<String>, String>| loaded_in(&pod, loaded, &all).map(|finding| finding.holds);
        assert_eq!(of(Ok(vec!["ours".into()])), Some(true));
        assert_eq!(of(Ok(vec!["others".into()])), Some(false));
        assert_eq!(of(Err("/metrics answers 500".into())), Some(false));
        assert_eq!(
            loaded_in(&pod, Ok(Vec::new()), &all[1..]),
            None,
            "nothing is meant for it"
        );
    }
}
