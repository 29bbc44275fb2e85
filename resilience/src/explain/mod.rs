//! What the objects come to: each flow with its policy, and what is wrong or worth knowing about it.

mod codes;
mod inbound;
mod objects;
mod outage;
mod outbound;
mod schedule;
mod words;

pub use codes::{ALL as CODES, Code, Severity};
pub use outage::{OUTAGE, publishes};
pub use schedule::{Blocking, Schedule, blocking};
pub use words::{between, length, parts, plain};

use crate::read::{Component, ComponentKind, Direction, InForce, Objects, Place, Subscription, Target, policy_of};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    pub rates: Rates,
    /// Partitions that are published to, of all topics together.
    pub partitions: Option<usize>,
    /// The outage that publishes are to survive.
    pub outage: Option<Duration>,
    /// The app ids of all workloads, where they are known.
    pub apps: Option<BTreeSet<String>>,
    /// Those of which is known that they end as soon as they are told to, which may be before their sidecars.
    pub ending_at_once: BTreeSet<String>,
}

/// Publishes a second of one sidecar.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Rates {
    #[default]
    Unknown,
    /// Of each.
    Said(f64),
    /// By app id and component. Who is not in it has not published.
    Measured(BTreeMap<(String, String), f64>),
}

impl Rates {
    /// The highest of these apps.
    fn of(&self, apps: &[String], component: &str) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::Said(rate) => Some(*rate),
            Self::Measured(rates) => {
                let of_them = apps
                    .iter()
                    .filter_map(|app| rates.get(&(app.clone(), component.to_owned())));
                of_them.copied().filter(|rate| *rate > 0.0).max_by(f64::total_cmp)
            }
        }
    }
}

/// One target and direction, for all apps that have the same there.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Who calls, or is called; empty: whichever app.
    pub apps: Vec<String>,
    pub target: Target,
    pub direction: Direction,
    pub found: InForce,
    /// The component is not among what was given; it is taken for a `pubsub.kafka`.
    pub assumed: bool,
    /// Topics that are declared to be delivered.
    pub topics: Vec<String>,
    /// Some of them have a dead-letter topic.
    pub dead_letters: bool,
}

impl Flow {
    /// Takes what is found of this flow. Without a place of its own a finding is where the target is written.
    fn adder<'a>(
        &'a self,
        findings: &'a mut Findings,
    ) -> impl FnMut(Code, Severity, Option<Place>, String, &str) + use<'a> {
        |code, severity, place, what, next| {
            findings.add(Finding {
                code,
                severity,
                what,
                next: next.to_owned(),
                places: place.or_else(|| self.found.target.clone()).into_iter().collect(),
                apps: self.apps.clone(),
            });
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    /// One sentence about this very case.
    pub what: String,
    pub next: String,
    /// The first one is where it is shown.
    pub places: Vec<Place>,
    pub apps: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    pub flows: Vec<Flow>,
    /// The worst first.
    pub findings: Vec<Finding>,
}

impl Explanation {
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

pub fn explain(objects: &Objects, question: &Question) -> Explanation {
    let flows = flows(objects, question);
    let mut findings = Findings(Vec::new());
    objects::find(objects, question, &flows, &mut findings);
    for flow in &flows {
        match (flow.direction, &flow.target) {
            (Direction::Outbound, _) => outbound::find(flow, objects, question, &mut findings),
            (Direction::Inbound, Target::Component { .. }) => inbound::find(flow, objects, question, &mut findings),
            (Direction::Inbound, _) => {}
        }
    }
    let mut findings = findings.0;
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.code.id.cmp(b.code.id)));
    Explanation { flows, findings }
}

struct Findings(Vec<Finding>);

impl Findings {
    /// The same of several apps is one finding.
    fn add(&mut self, finding: Finding) {
        let same = |other: &&mut Finding| {
            (other.code, &other.what, &other.places) == (finding.code, &finding.what, &finding.places)
        };
        match self.0.iter_mut().find(same) {
            Some(there) => {
                let new = finding.apps.iter().filter(|app| !there.apps.contains(app));
                let new: Vec<String> = new.cloned().collect();
                there.apps.extend(new);
            }
            None => self.0.push(finding),
        }
    }
}

/// Who there is: whoever is known, or in a scope. The empty name is whoever is in none.
fn apps(objects: &Objects, question: &Question) -> Vec<String> {
    let mut apps: BTreeSet<String> = question.apps.clone().unwrap_or_default();
    for meta in objects.metas() {
        apps.extend(meta.scopes.iter().cloned());
    }
    let others = question.apps.is_none() && objects.resiliencies.iter().any(|object| object.meta.scopes.is_empty());
    if apps.is_empty() || others {
        apps.insert(String::new());
    }
    apps.into_iter().collect()
}

fn flows(objects: &Objects, question: &Question) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for app in apps(objects, question) {
        for (target, assumed) in targets(objects, &app) {
            for direction in [Direction::Outbound, Direction::Inbound] {
                let delivers = matches!(&target, Target::Component { kind, .. } if kind.delivers());
                if direction == Direction::Inbound && !delivers {
                    continue;
                }
                let mut found = policy_of(objects, &app, &target, direction);
                if assumed && direction == Direction::Inbound {
                    found.around = crate::read::Kafka::default().around();
                }
                let topics = match direction {
                    Direction::Inbound => subscriptions(objects, &app, &target)
                        .map(|subscription| subscription.topic.value.clone())
                        .collect(),
                    Direction::Outbound => Vec::new(),
                };
                let mut declared = subscriptions(objects, &app, &target);
                let dead_letters = direction == Direction::Inbound && declared.any(|one| one.dead_letter.is_some());
                drop(declared);
                let pubsub = matches!(&target, Target::Component { kind, .. } if *kind == ComponentKind::Pubsub);
                let quiet = found.policy == Default::default() && found.missing.is_empty() && found.target.is_none();
                if quiet && !pubsub {
                    continue;
                }
                let flow = Flow {
                    apps: vec![app.clone()],
                    target: target.clone(),
                    direction,
                    found,
                    assumed,
                    topics,
                    dead_letters,
                };
                let same = |other: &&mut Flow| {
                    let what = |flow: &Flow| (flow.target.clone(), flow.direction, flow.topics.clone());
                    what(other) == what(&flow) && other.found == flow.found
                };
                match flows.iter_mut().find(same) {
                    Some(there) => there.apps.push(app.clone()),
                    None => flows.push(flow),
                }
            }
        }
    }
    flows.sort_by(|a, b| (&a.target, a.direction, &a.apps).cmp(&(&b.target, b.direction, &b.apps)));
    flows
}

/// What an app may call or be called by, and whether that is assumed.
fn targets(objects: &Objects, app: &str) -> Vec<(Target, bool)> {
    let component = |component: &Component| Target::Component {
        name: component.meta.name.clone(),
        kind: component.kind,
    };
    let components = objects.components.iter();
    let there = components.filter(|object| object.meta.is_for(app) && object.kind != ComponentKind::Other);
    let mut targets: Vec<(Target, bool)> = there.map(|object| (component(object), false)).collect();
    let in_scope = || objects.resiliencies.iter().filter(|object| object.meta.is_for(app));
    if objects.components.is_empty() {
        let names: BTreeSet<&String> = in_scope().flat_map(|object| object.components.keys()).collect();
        targets.extend(names.into_iter().map(|name| {
            let target = Target::Component {
                name: name.clone(),
                kind: ComponentKind::Pubsub,
            };
            (target, true)
        }));
    }
    let apps: BTreeSet<&String> = in_scope().flat_map(|object| object.apps.keys()).collect();
    targets.extend(apps.into_iter().map(|name| (Target::App(name.clone()), false)));
    // Calls to whoever has no entry.
    targets.push((Target::App(String::new()), false));
    let actors: BTreeSet<&String> = in_scope().flat_map(|object| object.actors.keys()).collect();
    targets.extend(actors.into_iter().map(|name| (Target::Actor(name.clone()), false)));
    targets
}

fn subscriptions<'a>(objects: &'a Objects, app: &'a str, target: &'a Target) -> impl Iterator<Item = &'a Subscription> {
    let of = move |subscription: &&Subscription| {
        subscription.meta.is_for(app)
            && matches!(target, Target::Component { name, .. } if *name == subscription.pubsub.value)
    };
    objects.subscriptions.iter().filter(of)
}
