//! How fast it may scale: policies and stabilisation windows.

use crate::{Ms, SECOND};

#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    pub up: Rules,
    pub down: Rules,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Seconds. Of `scaleDown` it may be absent: then a flag of the controller says it.
    pub window: Option<i32>,
    pub select: Select,
    pub policies: Vec<Policy>,
    pub tolerance: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    Max,
    Min,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub kind: PolicyKind,
    pub value: i32,
    /// Seconds.
    pub period: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    Pods,
    Percent,
}

impl Rules {
    /// `defaultHPAScaleUpRules`.
    pub fn up() -> Self {
        let policy = |kind, value| Policy {
            kind,
            value,
            period: 15,
        };
        Self {
            window: Some(0),
            select: Select::Max,
            policies: vec![policy(PolicyKind::Pods, 4), policy(PolicyKind::Percent, 100)],
            tolerance: None,
        }
    }

    /// `defaultHPAScaleDownRules`.
    pub fn down() -> Self {
        Self {
            window: None,
            select: Select::Max,
            policies: vec![Policy {
                kind: PolicyKind::Percent,
                value: 100,
                period: 15,
            }],
            tolerance: None,
        }
    }
}

/// A change that was made: when, and of how many replicas.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) at: Ms,
    pub(crate) change: i32,
}

/// What was changed, as far back as some policy looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    pub(crate) up: Vec<Event>,
    pub(crate) down: Vec<Event>,
}

impl Events {
    pub(crate) fn add(&mut self, now: Ms, from: i32, to: i32, behavior: &Behavior) {
        let (events, rules) = match to > from {
            true => (&mut self.up, &behavior.up),
            false => (&mut self.down, &behavior.down),
        };
        // No policy of the other direction looks further back than the longest of both.
        let longest = |rules: &Rules| rules.policies.iter().map(|policy| policy.period).max().unwrap_or(0);
        let longest = longest(rules).max(longest(&behavior.up)).max(longest(&behavior.down));
        events.retain(|event| event.at >= now - Ms::from(longest) * SECOND);
        events.push(Event {
            at: now,
            change: (to - from).abs(),
        });
    }

    /// How many there were when the period of a policy began.
    fn at_start(&self, now: Ms, current: i32, period: i32) -> i32 {
        let cutoff = now - Ms::from(period) * SECOND;
        let sum = |events: &[Event]| -> i32 {
            let recent = events.iter().filter(|event| event.at > cutoff);
            recent.map(|event| event.change).sum()
        };
        current - sum(&self.up) + sum(&self.down)
    }

    /// `calculateScaleUpLimitWithScalingRules`.
    pub(crate) fn up_limit(&self, now: Ms, current: i32, rules: &Rules) -> i32 {
        let proposed = rules.policies.iter().map(|policy| {
            let start = self.at_start(now, current, policy.period);
            match policy.kind {
                PolicyKind::Pods => start.saturating_add(policy.value),
                PolicyKind::Percent => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
            }
        });
        match rules.select {
            Select::Disabled => Some(current),
            Select::Min => proposed.min(),
            Select::Max => proposed.max(),
        }
        .unwrap_or(current)
    }

    /// `calculateScaleDownLimitWithBehaviors`.
    pub(crate) fn down_limit(&self, now: Ms, current: i32, rules: &Rules) -> i32 {
        let proposed = rules.policies.iter().map(|policy| {
            let start = self.at_start(now, current, policy.period);
            match policy.kind {
                PolicyKind::Pods => start.saturating_sub(policy.value),
                PolicyKind::Percent => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
            }
        });
        match rules.select {
            Select::Disabled => Some(current),
            Select::Min => proposed.max(),
            Select::Max => proposed.min(),
        }
        .unwrap_or(current)
    }
}
