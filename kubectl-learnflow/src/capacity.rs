//! Does it fit? Quotas and limits of a namespace against what would run there. Pure: figures in,
//! checks out.

use crate::{
    model::{Bounds, Quota},
    objects::Object,
    preflight::Check,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What pods take, under the names that quotas use: `pods`, `requests.cpu`, `limits.memory`, `services`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Needs {
    pub(crate) amounts: BTreeMap<String, f64>,
    /// What some container leaves open; a quota on it then refuses the whole pod.
    pub(crate) open: BTreeSet<String>,
    /// The most and the least a single container asks for.
    pub(crate) single: BTreeMap<String, (f64, f64)>,
}

impl Needs {
    /// Of `copies` pods with this spec, in a namespace with these defaults.
    pub(crate) fn of_pods(spec: &Value, copies: usize, bounds: &[Bounds]) -> Self {
        let mut needs = Self::default();
        needs.add("pods", copies as f64);
        let main = spec["containers"].as_array().into_iter().flatten();
        let native = spec["initContainers"].as_array().into_iter().flatten();
        let native = native.filter(|container| container["restartPolicy"] == "Always");
        for container in main.chain(native) {
            for resource in ["cpu", "memory"] {
                let limit = asked(container, "limits", resource).or_else(|| default_of(bounds, resource, true));
                let request = asked(container, "requests", resource)
                    .or_else(|| asked(container, "limits", resource))
                    .or_else(|| default_of(bounds, resource, false));
                for (kind, amount) in [("limits", limit), ("requests", request)] {
                    let key = format!("{kind}.{resource}");
                    match amount {
                        Some(amount) => {
                            needs.add(&key, amount * copies as f64);
                            let (most, least) = needs.single.entry(key).or_insert((amount, amount));
                            (*most, *least) = (most.max(amount), least.min(amount));
                        }
                        None => drop(needs.open.insert(key)),
                    }
                }
            }
        }
        needs
    }

    /// Of objects that are yet to come; a DaemonSet has a pod on each of `nodes`.
    pub(crate) fn of_objects<'a>(objects: impl Iterator<Item = &'a Object>, nodes: usize, bounds: &[Bounds]) -> Self {
        let mut needs = Self::default();
        for object in objects {
            let kind = object.kind().to_lowercase() + "s";
            needs.add(&kind, 1.0);
            if !object.is_workload() {
                continue;
            }
            let spec = &object.value()["spec"];
            let replicas = spec["replicas"].as_u64().and_then(|n| usize::try_from(n).ok());
            let copies = if object.kind() == "DaemonSet" {
                nodes
            } else {
                replicas.unwrap_or(1)
            };
            needs.and(Self::of_pods(&spec["template"]["spec"], copies, bounds));
        }
        needs
    }

    fn add(&mut self, key: &str, amount: f64) {
        *self.amounts.entry(key.into()).or_default() += amount;
    }

    fn and(&mut self, other: Self) {
        for (key, amount) in other.amounts {
            self.add(&key, amount);
        }
        self.open.extend(other.open);
        for (key, (most, least)) in other.single {
            let (a, b) = self.single.entry(key).or_insert((most, least));
            (*a, *b) = (a.max(most), b.min(least));
        }
    }
}

/// What of `needs` a namespace has no room for. `what` begins a sentence: "The stack".
pub(crate) fn fits(needs: &Needs, quotas: &[Quota], bounds: &[Bounds], what: &str, namespace: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    for quota in quotas {
        for (key, hard) in &quota.hard {
            let name = canonical(key);
            let object = format!("ResourceQuota {namespace}/{}", quota.name);
            let raise = format!("Raise {key} in {object}.");
            if needs.open.contains(&name) {
                let why = format!("{what} has containers without {name}, which {object} demands of every pod");
                checks.push(Check::bad(
                    why,
                    format!("Give namespace {namespace} a LimitRange with defaults for it."),
                ));
            }
            let used = quota.used.get(key).and_then(|used| quantity(used)).unwrap_or(0.0);
            let (Some(hard), Some(needed)) = (quantity(hard), needs.amounts.get(&name)) else {
                continue;
            };
            let free = (hard - used).max(0.0);
            if *needed > free {
                let why = format!(
                    "{what} needs {} {name}; {object} has {} left",
                    readable(&name, *needed),
                    readable(&name, free)
                );
                checks.push(Check::bad(why, raise));
            }
        }
    }
    for item in bounds.iter().filter(|item| item.of == "Container") {
        let object = format!("LimitRange {namespace}/{}", item.name);
        for (key, (most, least)) in &needs.single {
            let Some((kind, resource)) = key.split_once('.') else {
                continue;
            };
            let max = item
                .max
                .get(resource)
                .and_then(|max| quantity(max))
                .filter(|_| kind == "limits");
            if let Some(max) = max.filter(|max| most > max) {
                let (most, max) = (readable(key, *most), readable(key, max));
                let why = format!("{what} has a container with {most} {key}; {object} allows {max}");
                checks.push(Check::bad(why, format!("Raise max.{resource} in {object}.")));
            }
            let min = item
                .min
                .get(resource)
                .and_then(|min| quantity(min))
                .filter(|_| kind == "requests");
            if let Some(min) = min.filter(|min| least < min) {
                let (least, min) = (readable(key, *least), readable(key, min));
                let why = format!("{what} has a container with {least} {key}; {object} demands {min}");
                checks.push(Check::bad(why, format!("Lower min.{resource} in {object}.")));
            }
        }
    }
    checks
}

fn asked(container: &Value, kind: &str, resource: &str) -> Option<f64> {
    quantity(container["resources"][kind][resource].as_str()?)
}

fn default_of(bounds: &[Bounds], resource: &str, limit: bool) -> Option<f64> {
    let containers = bounds.iter().filter(|item| item.of == "Container");
    let mut defaults = containers.map(|item| {
        if limit {
            &item.default_limit
        } else {
            &item.default_request
        }
    });
    defaults.find_map(|defaults| quantity(defaults.get(resource)?))
}

/// A quota may say `cpu` for `requests.cpu` and `count/pods` for `pods`.
pub(crate) fn canonical(key: &str) -> String {
    match key {
        "cpu" | "memory" => format!("requests.{key}"),
        // count/deployments.apps
        key => key
            .strip_prefix("count/")
            .map_or(key, |kind| kind.split('.').next().unwrap_or(kind))
            .to_owned(),
    }
}

/// Reads what Kubernetes calls a quantity: `100m`, `1.5`, `256Mi`, `2e3`.
pub(crate) fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

/// An amount as one would write it: `1500Mi` of memory, `250m` of CPU, `3` of anything else.
pub(crate) fn readable(key: &str, amount: f64) -> String {
    match key {
        key if key.ends_with("memory") => format!("{}Mi", whole(amount / 1024f64.powi(2))),
        key if key.ends_with("cpu") => format!("{}m", whole(amount * 1e3)),
        _ => format!("{amount}"),
    }
}

/// Rounded up; sums of floats are a little off, and 70.00000000000001 is 70.
fn whole(number: f64) -> f64 {
    (number - 1e-6).ceil() + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn quota(hard: &[(&str, &str)], used: &[(&str, &str)]) -> Quota {
        Quota {
            name: "q".into(),
            hard: map(hard),
            used: map(used),
        }
    }

    fn texts(needs: &Needs, quotas: &[Quota], bounds: &[Bounds]) -> Vec<String> {
        let checks = fits(needs, quotas, bounds, "The stack", "ns");
        checks.into_iter().map(|check| check.text).collect()
    }

    fn pod() -> Value {
        json!({ "containers": [
            { "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "1Gi" } } },
            { "resources": { "limits": { "cpu": "500m", "memory": "512Mi" } } },
        ]})
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let cases = [
            ("100m", 0.1),
            ("1", 1.0),
            ("1.5", 1.5),
            ("64Mi", 67_108_864.0),
            ("2e3", 2000.0),
            ("1E2", 100.0),
            ("1k", 1000.0),
            ("128974848", 128_974_848.0),
            ("1Gi", 1_073_741_824.0),
        ];
        for (text, value) in cases {
            let read = quantity(text).expect(text);
            assert!((read - value).abs() < 1e-9, "{text} is {read}");
        }
        for wrong in ["", "Mi", "1Xi", "abc", "1e"] {
            assert_eq!(quantity(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_both_figures() {
        let needs = Needs::of_pods(&pod(), 2, &[]);
        assert_eq!(
            texts(&needs, &[quota(&[("pods", "10"), ("limits.memory", "4Gi")], &[])], &[]),
            [""; 0]
        );
        assert_eq!(
            texts(
                &needs,
                &[quota(
                    &[("limits.memory", "4Gi"), ("count/pods", "5")],
                    &[("limits.memory", "2Gi"), ("count/pods", "4")]
                )],
                &[]
            ),
            [
                "The stack needs 2 pods; ResourceQuota ns/q has 1 left",
                "The stack needs 3072Mi limits.memory; ResourceQuota ns/q has 2048Mi left",
            ]
        );
        // A limit without a request is the request.
        assert_eq!(
            texts(&needs, &[quota(&[("cpu", "1")], &[])], &[]),
            ["The stack needs 1200m requests.cpu; ResourceQuota ns/q has 1000m left"]
        );
    }

    #[test]
    fn a_container_without_limits_is_refused_by_a_quota_unless_there_is_a_default() {
        let bare = json!({ "containers": [{ "name": "daprd" }] });
        let quotas = [quota(&[("limits.cpu", "8")], &[])];
        let refused = texts(&Needs::of_pods(&bare, 1, &[]), &quotas, &[]);
        assert_eq!(
            refused,
            ["The stack has containers without limits.cpu, which ResourceQuota ns/q demands of every pod"]
        );
        let defaults = [Bounds {
            of: "Container".into(),
            default_limit: map(&[("cpu", "1")]),
            ..Bounds::default()
        }];
        assert_eq!(texts(&Needs::of_pods(&bare, 1, &defaults), &quotas, &defaults), [""; 0]);
    }

    #[test]
    fn a_container_must_stay_within_the_limit_range() {
        let bounds = [Bounds {
            name: "r".into(),
            of: "Container".into(),
            max: map(&[("memory", "800Mi")]),
            min: map(&[("cpu", "200m")]),
            ..Bounds::default()
        }];
        assert_eq!(
            texts(&Needs::of_pods(&pod(), 1, &bounds), &[], &bounds),
            [
                "The stack has a container with 1024Mi limits.memory; LimitRange ns/r allows 800Mi",
                "The stack has a container with 100m requests.cpu; LimitRange ns/r demands 200m",
            ]
        );
    }

    #[test]
    fn our_own_stack_is_counted() {
        let plan = crate::objects::Plan::new("shop", &BTreeSet::new()).expect("the plugin's own manifests");
        let one = Needs::of_objects(plan.stack.iter(), 1, &[]);
        let three = Needs::of_objects(plan.stack.iter(), 3, &[]);
        assert!(
            one.open.is_empty(),
            "every container of ours has requests and limits: {:?}",
            one.open
        );
        assert_eq!(
            three.amounts["pods"] - one.amounts["pods"],
            2.0,
            "the agent, on each node"
        );
        assert_eq!(one.amounts["daemonsets"], 1.0);
    }
}
