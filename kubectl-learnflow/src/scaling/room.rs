//! Do as many pods fit as an autoscaler may want? Quotas, limits and nodes against pods. Pure: figures in, shortages out.

use crate::{
    capacity::{self, Needs, canonical, quantity, readable},
    model::{Bounds, Limits, Machine, Quota},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What keeps pods from coming to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shortage {
    /// `ResourceQuota shop/team`
    pub(crate) object: String,
    /// `requests.cpu`
    pub(crate) resource: String,
    pub(crate) needed: f64,
    pub(crate) free: f64,
    /// What it allows, and what it would have to.
    pub(crate) hard: f64,
    pub(crate) raise_to: f64,
    /// How many pods there can be in all.
    pub(crate) fit: i32,
}

impl Shortage {
    pub(crate) fn amount(&self, amount: f64) -> String {
        readable(&self.resource, amount)
    }
}

/// Of `max` pods with these needs, of which `running` are there and counted already: what the quotas are short of.
pub(crate) fn quotas(needs: &Needs, running: i32, max: i32, quotas: &[Quota], namespace: &str) -> Vec<Shortage> {
    let more = f64::from((max - running).max(0));
    let mut short = Vec::new();
    for (quota, key, each) in counted(needs, quotas) {
        let Some(hard) = quantity(&quota.hard[key]) else {
            continue;
        };
        let used = used(quota, key);
        let free = (hard - used).max(0.0);
        let needed = each * more;
        if needed > free + rounding(needed) || (hard == 0.0 && max > 0) {
            short.push(Shortage {
                object: format!("ResourceQuota {namespace}/{}", quota.name),
                resource: key.to_owned(),
                needed,
                free,
                hard,
                raise_to: used + needed.max(each),
                fit: running + whole(free / each),
            });
        }
    }
    short
}

/// Each figure of a quota that pods count in, with what one of them takes of it.
fn counted<'a>(needs: &'a Needs, quotas: &'a [Quota]) -> impl Iterator<Item = (&'a Quota, &'a str, f64)> {
    let keys = quotas
        .iter()
        .flat_map(|quota| quota.hard.keys().map(move |key| (quota, key.as_str())));
    keys.filter_map(|(quota, key)| {
        let each = *needs.amounts.get(&canonical(key))?;
        (each > 0.0).then_some((quota, key, each))
    })
}

/// All services at their maximum at once: what the quotas are short of. `wants`: needs of a pod, and how many more.
pub(crate) fn together(wants: &[(&Needs, i32)], quotas: &[Quota], namespace: &str) -> Vec<Shortage> {
    let mut short = Vec::new();
    for quota in quotas {
        for (key, hard) in &quota.hard {
            let each = wants.iter().map(|(needs, more)| {
                let one = needs.amounts.get(&canonical(key)).copied().unwrap_or_default();
                one * f64::from((*more).max(0))
            });
            let needed: f64 = each.sum();
            let Some(hard) = quantity(hard) else { continue };
            let free = (hard - used(quota, key)).max(0.0);
            if needed > free + rounding(needed) {
                short.push(Shortage {
                    object: format!("ResourceQuota {namespace}/{}", quota.name),
                    resource: key.clone(),
                    needed,
                    free,
                    hard,
                    raise_to: used(quota, key) + needed,
                    fit: 0,
                });
            }
        }
    }
    short
}

/// What no pod can be without: a quota demands of each container what this one leaves open.
pub(crate) fn refused(needs: &Needs, limits: &Limits, what: &str, namespace: &str) -> Vec<(String, String)> {
    let demanded = |quota: &&Quota| quota.hard.keys().any(|key| needs.open.contains(&canonical(key)));
    let mut quotas: Vec<Quota> = limits.quotas.iter().filter(demanded).cloned().collect();
    for quota in &mut quotas {
        // How much there is of it is another matter.
        quota.hard.retain(|key, _| needs.open.contains(&canonical(key)));
    }
    let open = Needs {
        amounts: BTreeMap::new(),
        ..needs.clone()
    };
    let checks = capacity::fits(&open, &quotas, &limits.bounds, what, namespace);
    let mut refused: Vec<(String, String)> = checks
        .into_iter()
        .map(|check| (check.text, check.next.unwrap_or_default()))
        .collect();
    refused.extend(
        limits
            .bounds
            .iter()
            .filter(|item| item.of == "Pod")
            .flat_map(|item| whole_pod(needs, item, what, namespace)),
    );
    refused
}

/// A LimitRange of whole pods.
fn whole_pod(needs: &Needs, item: &Bounds, what: &str, namespace: &str) -> Vec<(String, String)> {
    let over = |(resource, max): (&String, &String)| {
        let key = format!("limits.{resource}");
        let (sum, max) = (*needs.amounts.get(&key)?, quantity(max)?);
        (sum > max).then(|| {
            let object = format!("LimitRange {namespace}/{}", item.name);
            let (sum, max) = (readable(&key, sum), readable(&key, max));
            let why = format!("{what} has {sum} {key} in all its containers; {object} allows {max} a pod");
            (
                why,
                format!("Raise max.{resource} in {object} to {sum}, or lower the limits."),
            )
        })
    };
    item.max.iter().filter_map(over).collect()
}

/// How many more of these pods the nodes take, at most `wanted` of each kind. One pod after the other, the largest first, each
/// on the node with the most free CPU: roughly what the scheduler does.
pub(crate) fn place(wants: &[(&Needs, &Value, i32)], machines: &[Machine]) -> Vec<i32> {
    let mut free: Vec<BTreeMap<String, f64>> = machines.iter().map(|machine| machine.free.clone()).collect();
    let mut placed = vec![0; wants.len()];
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by(|one, other| request(wants[*other].0, "cpu").total_cmp(&request(wants[*one].0, "cpu")));
    for kind in order {
        let (needs, spec, wanted) = wants[kind];
        while placed[kind] < wanted {
            let fits = |node: &usize| {
                let left = |resource: &str| free[*node].get(resource).copied().unwrap_or_default();
                takes(&machines[*node], spec)
                    && left("pods") >= 1.0
                    && ["cpu", "memory"]
                        .iter()
                        .all(|resource| left(resource) >= request(needs, resource))
            };
            let cpu = |node: &usize| free[*node].get("cpu").copied().unwrap_or_default();
            let nodes = (0..machines.len()).filter(fits);
            let Some(node) = nodes.max_by(|one, other| cpu(one).total_cmp(&cpu(other))) else {
                break;
            };
            for (resource, amount) in &mut free[node] {
                *amount -= if resource == "pods" {
                    1.0
                } else {
                    request(needs, resource)
                };
            }
            placed[kind] += 1;
        }
    }
    placed
}

fn request(needs: &Needs, resource: &str) -> f64 {
    let amount = needs.amounts.get(&format!("requests.{resource}"));
    amount.copied().unwrap_or_default()
}

/// By its labels and taints alone; affinity is not looked at.
fn takes(machine: &Machine, spec: &Value) -> bool {
    let selector = spec["nodeSelector"].as_object().into_iter().flatten();
    let mut selector = selector.map(|(key, value)| machine.labels.get(key).map(String::as_str) == value.as_str());
    let taints = machine.taints.as_array().into_iter().flatten();
    let mut repels = taints.filter(|taint| taint["effect"] != "PreferNoSchedule");
    let tolerations = || spec["tolerations"].as_array().into_iter().flatten();
    let tolerated = |taint: &Value| tolerations().any(|toleration| tolerates(toleration, taint));
    selector.all(|holds| holds) && repels.all(tolerated)
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = toleration["effect"].is_null() || toleration["effect"] == taint["effect"];
    let empty = Value::from("");
    let value = |of: &Value| {
        if of["value"].is_null() {
            empty.clone()
        } else {
            of["value"].clone()
        }
    };
    let key = match toleration["operator"].as_str() {
        Some("Exists") => toleration["key"].is_null() || toleration["key"] == taint["key"],
        _ => toleration["key"] == taint["key"] && value(toleration) == value(taint),
    };
    effect && key
}

fn used(quota: &Quota, key: &str) -> f64 {
    quota.used.get(key).and_then(|used| quantity(used)).unwrap_or(0.0)
}

/// Sums of floats are a little off.
fn rounding(amount: f64) -> f64 {
    amount.abs() * 1e-9
}

fn whole(number: f64) -> i32 {
    (number + 1e-9).floor() as i32
}
