//! From what one run has seen to a verdict on each promise. Pure. Times are seconds from the moment at which the load began.

use learnflow_resilience::verdict::{Promise, Verdict};
use std::{collections::BTreeMap, time::Duration};

/// The least share of requests that may be lost on the way to the cluster before nothing can be said.
const LOST: f64 = 0.01;
/// What is near to each other in time, as exact as looks are.
const NEAR: f64 = 2.0;
/// A pod is new for so long.
const FRESH: f64 = 5.0;

/// What one look saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Look {
    pub(super) at: f64,
    /// Pods that the autoscaler wants.
    pub(super) wanted: i32,
    /// Pods that the Deployment is told to have.
    pub(super) told: i32,
    /// Pods that serve, and those of them that were not there before the load.
    pub(super) ready: i32,
    pub(super) new_ready: i32,
    /// All pods, those that end too.
    pub(super) there: i32,
    /// What its figures ask for.
    pub(super) asked_for: Option<i32>,
    /// The strongest figure: 1 is the target; and in words.
    pub(super) share: Option<f64>,
    pub(super) figure: String,
    /// Answers a second since the look before.
    pub(super) rps: f64,
    /// Why a pod that is wanted does not come.
    pub(super) stuck: Option<String>,
    /// Who owns the number of pods.
    pub(super) owners: Vec<String>,
}

/// When a pod was first seen to serve, and told to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Life {
    pub(super) ip: Option<String>,
    pub(super) ready: Option<f64>,
    pub(super) leaving: Option<f64>,
}

/// A request that failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Failure {
    /// When it was sent.
    pub(super) at: f64,
    pub(super) took: f64,
    /// What it was answered with.
    pub(super) code: Option<u16>,
    /// The address of the pod that could not be reached.
    pub(super) ip: Option<String>,
    /// No pod was there to be sent to.
    pub(super) nobody: bool,
    pub(super) text: String,
}

/// How the load ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Held,
    /// More pods were never wanted.
    NotWanted,
    /// More were wanted, and none came.
    NotReady,
    Errors,
    /// It took as long as it may.
    Late,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Pods before there was load.
    pub(super) from: i32,
    pub(super) within: Duration,
    pub(super) looks: Vec<Look>,
    pub(super) pods: BTreeMap<String, Life>,
    pub(super) failures: Vec<Failure>,
    pub(super) sent: usize,
    /// Those of which nobody knows whether they reached the service.
    pub(super) lost: usize,
    pub(super) lost_why: Option<String>,
    pub(super) most_rps: f64,
    pub(super) held_from: Option<f64>,
    pub(super) load_ended: f64,
    pub(super) end: End,
    /// How the pods were waited for to go: none, not at all.
    pub(super) waited_until: Option<f64>,
    /// A condition of the autoscaler that says why it does nothing.
    pub(super) hindered: Option<String>,
}

/// What came of it, in figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) decision: Option<f64>,
    pub(super) first_ready: Option<f64>,
    pub(super) most: i32,
    /// What the figures asked for when the load ended.
    pub(super) needed: Option<i32>,
    /// Pods beyond that.
    pub(super) overshoot: Option<i32>,
    /// How often the number of pods turned from up to down or back while the load was there.
    pub(super) turns: usize,
    /// From the end of the load to the first pod that is not wanted any more, and until all that came are gone.
    pub(super) down_began: Option<f64>,
    pub(super) down: Option<f64>,
    pub(super) failed_up: usize,
    pub(super) failed_down: usize,
}

/// Why a request failed, as far as that can be told from the outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// It was sent to a pod that was ending.
    Leaving(String),
    /// It was sent to a pod that had just come.
    Fresh(String),
    Nobody,
    Service,
}

impl Seen {
    fn loaded(&self) -> impl Iterator<Item = &Look> {
        let during = move |look: &&Look| (0.0..=self.load_ended).contains(&look.at);
        self.looks.iter().filter(during)
    }

    fn after(&self) -> impl Iterator<Item = &Look> {
        self.looks.iter().filter(|look| look.at > self.load_ended)
    }

    pub(super) fn figures(&self) -> Figures {
        let decision = self.loaded().find(|look| look.wanted > self.from).map(|look| look.at);
        let most = self.loaded().map(|look| look.wanted).max().unwrap_or(self.from);
        let held = decision.and(self.loaded().last());
        let needed = held.and_then(|look| look.asked_for);
        let down_began = self
            .after()
            .find(|look| look.wanted < most)
            .map(|look| look.at - self.load_ended);
        let gone = |look: &&Look| look.there <= self.from && look.wanted <= self.from;
        let failed_up = self
            .failures
            .iter()
            .filter(|failure| failure.at <= self.load_ended)
            .count();
        Figures {
            decision,
            first_ready: self.loaded().find(|look| look.new_ready > 0).map(|look| look.at),
            most,
            needed,
            overshoot: needed.map(|needed| (most - needed).max(0)),
            turns: self.turns(),
            down_began: decision.and(down_began),
            down: decision.and(self.after().find(gone).map(|look| look.at - self.load_ended)),
            failed_up,
            failed_down: self.failures.len() - failed_up,
        }
    }

    fn turns(&self) -> usize {
        let wanted: Vec<i32> = self.loaded().map(|look| look.wanted).collect();
        let moves = wanted.windows(2).map(|pair| (pair[1] - pair[0]).signum());
        let moves: Vec<i32> = moves.filter(|direction| *direction != 0).collect();
        moves.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    /// Numbers that the Deployment was told and the autoscaler did not want: when, and which.
    pub(super) fn others(&self) -> Vec<(f64, i32)> {
        let near = |at: usize| {
            let looks = &self.looks[at.saturating_sub(2)..(at + 3).min(self.looks.len())];
            looks.iter().any(|look| look.wanted == self.looks[at].told)
        };
        let changed = |at: &usize| self.looks[*at].told != self.looks[at - 1].told;
        let others = (1..self.looks.len()).filter(changed).filter(|at| !near(*at));
        others.map(|at| (self.looks[at].at, self.looks[at].told)).collect()
    }

    /// Field managers of the number of pods, as they came.
    pub(super) fn owners(&self) -> Vec<String> {
        let mut owners = Vec::new();
        for owner in self.looks.iter().flat_map(|look| &look.owners) {
            if !owners.contains(owner) {
                owners.push(owner.clone());
            }
        }
        owners
    }

    pub(super) fn cause(&self, failure: &Failure) -> Cause {
        if failure.nobody {
            return Cause::Nobody;
        }
        let mut of = self
            .pods
            .iter()
            .filter(|(_, life)| failure.ip.is_none() || life.ip == failure.ip);
        let ended = failure.at + failure.took;
        let leaving = |life: &Life| {
            life.leaving
                .is_some_and(|at| ended >= at - NEAR && (failure.ip.is_some() || failure.at <= at + NEAR))
        };
        let fresh = |life: &Life| {
            let new = life
                .ready
                .is_none_or(|at| (at - NEAR..at + FRESH).contains(&failure.at));
            failure.ip.is_some() && new
        };
        let named = |(name, _): (&String, &Life)| name.clone();
        if let Some(pod) = of.clone().find(|(_, life)| leaving(life)).map(named) {
            return Cause::Leaving(pod);
        }
        of.find(|(_, life)| fresh(life))
            .map(named)
            .map_or(Cause::Service, Cause::Fresh)
    }

    pub(super) fn judge(&self) -> Vec<Promise> {
        let figures = self.figures();
        vec![
            self.scales_up(&figures),
            self.first_replica(&figures),
            self.none_failed_up(&figures),
            self.steady(&figures),
            self.none_failed_down(&figures),
            self.scales_down(&figures),
            self.owner(),
        ]
    }

    fn scales_up(&self, figures: &Figures) -> Promise {
        let of = |verdict, why| promise("scales-up", "More pods are wanted under load", verdict, why);
        if let Some(at) = figures.decision {
            let look = self.loaded().find(|look| look.wanted > self.from);
            let by = look.map_or_else(String::new, |look| look.figure.clone());
            return of(
                Verdict::Kept,
                format!(
                    "{} wanted instead of {}, {at:.0} s after the load began: {by}",
                    figures.most, self.from
                ),
            );
        }
        let strongest = self.loaded().filter(|look| look.share.is_some());
        let strongest = strongest.max_by(|a, b| a.share.unwrap_or(0.0).total_cmp(&b.share.unwrap_or(0.0)));
        let Some(look) = strongest else {
            let why = self.hindered.clone().unwrap_or_else(|| "it has no figures".into());
            return of(
                Verdict::Unknown,
                format!("the autoscaler measured nothing meanwhile: {why}"),
            );
        };
        // Within a tenth of the target it does nothing.
        if look.share.unwrap_or(0.0) <= 1.1 {
            let why = match self.end {
                End::Errors => "it ended for its errors before the target was reached".into(),
                _ => format!(
                    "load of {:.0} rps did not reach the target: {}",
                    self.most_rps, look.figure
                ),
            };
            return of(Verdict::Unknown, why);
        }
        match self.end {
            End::NotWanted | End::Late => {
                let why = self
                    .hindered
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {why}"));
                of(
                    Verdict::Broken,
                    format!("{}, and still {} wanted{why}", look.figure, self.from),
                )
            }
            _ => of(Verdict::NotTested, "the load ended before it could decide".into()),
        }
    }

    fn first_replica(&self, figures: &Figures) -> Promise {
        let limit = self.within.as_secs_f64();
        let of = |verdict, why| {
            promise(
                "first-replica-soon",
                &format!("A new pod is ready within {limit:.0} s"),
                verdict,
                why,
            )
        };
        match (figures.decision, figures.first_ready) {
            (None, _) => of(Verdict::NotTested, "no more pods were wanted".into()),
            (Some(_), Some(at)) if at <= limit => of(Verdict::Kept, format!("{at:.0} s after the load began")),
            (Some(decision), Some(at)) => of(
                Verdict::Broken,
                format!(
                    "{at:.0} s after the load began, {:.0} s after it was wanted",
                    at - decision
                ),
            ),
            (Some(decision), None) if self.load_ended - decision < 10.0 && self.load_ended < limit => {
                of(Verdict::NotTested, "the load ended before".into())
            }
            (Some(_), None) => {
                let stuck = self.looks.iter().rev().find_map(|look| look.stuck.clone());
                let why = stuck.map_or_else(String::new, |why| format!(": {why}"));
                of(
                    Verdict::Broken,
                    format!("none was ready when the load ended after {:.0} s{why}", self.load_ended),
                )
            }
        }
    }

    fn none_failed_up(&self, figures: &Figures) -> Promise {
        let text = "No request fails under load, while pods come";
        let of = |verdict, why| promise("none-failed-scaling-up", text, verdict, why);
        let sent = self.sent;
        match figures.failed_up {
            0 if self.lost as f64 > LOST * sent as f64 => {
                let why = self.lost_why.clone().unwrap_or_default();
                of(
                    Verdict::Unknown,
                    format!("{} of {sent} were lost on the way to the cluster ({why})", self.lost),
                )
            }
            0 => of(Verdict::Kept, format!("0 of {sent}")),
            failed => of(
                Verdict::Broken,
                format!("{failed} of {sent}, {}", self.first(|at| at <= self.load_ended)),
            ),
        }
    }

    fn none_failed_down(&self, figures: &Figures) -> Promise {
        let text = "No request fails while pods go";
        let of = |verdict, why| promise("none-failed-scaling-down", text, verdict, why);
        match (figures.failed_down, figures.down_began, self.waited_until) {
            (0, _, None) => of(Verdict::NotTested, "that was not waited for".into()),
            (0, None, Some(_)) => of(Verdict::NotTested, "no pod went".into()),
            (0, Some(_), Some(_)) => of(Verdict::Kept, "0 of those that went on being sent".into()),
            (failed, ..) => of(
                Verdict::Broken,
                format!("{failed}, {}", self.first(|at| at > self.load_ended)),
            ),
        }
    }

    fn first(&self, when: impl Fn(f64) -> bool) -> String {
        let first = self.failures.iter().find(|failure| when(failure.at));
        first.map_or_else(String::new, |failure| {
            format!("the first at {:.1} s: {}", failure.at, failure.text)
        })
    }

    fn steady(&self, figures: &Figures) -> Promise {
        let of = |verdict, why| promise("steady", "The number of pods is steady at steady load", verdict, why);
        let held = self.held_from.map(|from| self.load_ended - from);
        let most = figures.most;
        let over = match (figures.needed, figures.overshoot) {
            (Some(needed), Some(over)) if over > 0 => format!("; its figures asked for {needed} in the end"),
            _ => String::new(),
        };
        match held {
            _ if figures.turns > 0 => of(
                Verdict::Broken,
                format!(
                    "it changed direction {} times under load, {most} pods at most{over}",
                    figures.turns
                ),
            ),
            Some(held) if self.end == End::Held => of(Verdict::Kept, format!("{most} for {held:.0} s{over}")),
            _ => of(Verdict::NotTested, "the load was not held".into()),
        }
    }

    fn scales_down(&self, figures: &Figures) -> Promise {
        let of = |verdict, why| promise("scales-down", "The pods go when the load is gone", verdict, why);
        let Some(until) = self.waited_until else {
            return of(Verdict::NotTested, "that was not waited for".into());
        };
        match (figures.decision, figures.down) {
            (None, _) => of(Verdict::NotTested, "none had come".into()),
            (Some(_), Some(after)) => of(
                Verdict::Kept,
                format!("{} again {after:.0} s after the load", self.from),
            ),
            (Some(_), None) => {
                let left = self.looks.last().map_or(0, |look| look.there);
                let after = until - self.load_ended;
                of(
                    Verdict::Broken,
                    format!("still {left} pods {after:.0} s after the load"),
                )
            }
        }
    }

    fn owner(&self) -> Promise {
        let of = |verdict, why| {
            promise(
                "only-the-autoscaler",
                "Nobody else sets the number of pods",
                verdict,
                why,
            )
        };
        let owners = self.owners();
        // What a controller sets by the subresource `scale` of a field that nobody had leaves no owner.
        let whose = match owners.as_slice() {
            [] => "no manifest claims spec.replicas".to_owned(),
            owners => format!("spec.replicas belongs to {}", owners.join(", ")),
        };
        match self.others().first() {
            None => of(Verdict::Kept, whose),
            Some((at, told)) => of(
                Verdict::Broken,
                format!("it was set to {told} at {at:.0} s, which the autoscaler did not want; {whose}"),
            ),
        }
    }
}

fn promise(id: &'static str, promise: &str, verdict: Verdict, why: String) -> Promise {
    Promise {
        id,
        promise: promise.into(),
        verdict,
        why,
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
