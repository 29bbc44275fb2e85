//! The parts that can be installed apart from each other, each with a folder of manifests.

use crate::{
    assets, grafana,
    objects::{Object, rules_config_map},
    problem::Problem,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

// Each is a folder of `manifests/`. The order is the one in which they are applied: what is needed comes
// before what needs it, and what goes into the services' own namespace comes last.
/// A part of LearnFlow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Concern {
    /// Keeps the traces.
    Tracing,
    /// Reads the sidecars' logs and turns them into metrics and traces.
    Collector,
    /// Tells Prometheus of pods, autoscalers and quotas.
    KubeStateMetrics,
    /// Keeps the metrics.
    Prometheus,
    /// Hands figures on lag to autoscalers.
    PrometheusAdapter,
    /// Shows the boards.
    Grafana,
    /// What the sidecars load, and the enrolment of the services.
    Middleware,
    /// What the sidecars do when Kafka fails.
    Resilience,
    /// How many pods a service runs.
    Autoscaling,
    /// Asks Kafka for its brokers and for each consumer group's lag.
    Kafka,
}

/// The size and the care of an installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// Small, and forgets: metrics of a day, in the pod.
    #[default]
    Dev,
    /// Metrics of 15 days on a volume; requests that hold under load.
    Production,
}

/// Those that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    chosen: BTreeSet<Concern>,
    /// By name: where one cannot be had, that is an error and no remark.
    asked: BTreeSet<Concern>,
}

impl Concern {
    pub(crate) const ALL: [Self; 10] = [
        Self::Tracing,
        Self::Collector,
        Self::KubeStateMetrics,
        Self::Prometheus,
        Self::PrometheusAdapter,
        Self::Grafana,
        Self::Middleware,
        Self::Resilience,
        Self::Autoscaling,
        Self::Kafka,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tracing => "tracing",
            Self::Collector => "collector",
            Self::KubeStateMetrics => "kube-state-metrics",
            Self::Prometheus => "prometheus",
            Self::PrometheusAdapter => "prometheus-adapter",
            Self::Grafana => "grafana",
            Self::Middleware => "middleware",
            Self::Resilience => "resilience",
            Self::Autoscaling => "autoscaling",
            Self::Kafka => "kafka",
        }
    }

    /// What it cannot do without. The middleware needs nobody: its records can be read from the
    /// sidecars' logs. Policies are for enrolled services only: at a change of one, others restart.
    pub(crate) fn needs(self) -> &'static [Self] {
        match self {
            Self::Prometheus => &[Self::Collector],
            Self::PrometheusAdapter | Self::Grafana => &[Self::Prometheus],
            Self::Resilience => &[Self::Middleware],
            // The Collector fills it, and writes spans to its log where there is none.
            Self::Tracing
            | Self::Collector
            | Self::KubeStateMetrics
            | Self::Middleware
            | Self::Autoscaling
            | Self::Kafka => &[],
        }
    }

    /// What comes along with it, and can be left out.
    fn likes(self) -> &'static [Self] {
        match self {
            Self::Prometheus => &[Self::KubeStateMetrics],
            _ => &[],
        }
    }

    /// It goes to a namespace of its own; the others go to that of the services.
    pub(crate) fn is_of_stack(self) -> bool {
        matches!(
            self,
            Self::Tracing
                | Self::Collector
                | Self::KubeStateMetrics
                | Self::Prometheus
                | Self::PrometheusAdapter
                | Self::Grafana
        )
    }

    /// Its objects as they stand in the manifests; a profile may have a folder with more of them.
    pub(crate) fn objects(self, profile: Profile) -> Result<Vec<Object>, Problem> {
        let mut objects = assets::folder(self.name())?;
        match self {
            Self::Prometheus => objects.push(rules_config_map()),
            Self::Grafana => objects.push(grafana::boards()),
            _ => {}
        }
        objects.extend(assets::folder_if_any(&format!("{}/{profile}", self.name()))?);
        Ok(objects)
    }
}

impl Selection {
    /// `only` these and what they need, without those to `skip`.
    pub(crate) fn new(only: &[Concern], skip: &[Concern]) -> Result<Self, String> {
        let mut chosen: BTreeSet<Concern> = match only {
            [] => Concern::ALL.into(),
            only => only.iter().copied().collect(),
        };
        if let Some(both) = only.iter().find(|concern| skip.contains(concern)) {
            return Err(format!("{both} is both in only and in skip"));
        }
        // What is needed comes earlier: so from the last one on.
        for concern in Concern::ALL.into_iter().rev() {
            if chosen.contains(&concern) {
                chosen.extend(concern.needs().iter().chain(concern.likes()));
            }
        }
        chosen.retain(|concern| !skip.contains(concern));
        // For whom nobody is left that would listen.
        if !chosen.contains(&Concern::Prometheus) && !only.contains(&Concern::KubeStateMetrics) {
            chosen.remove(&Concern::KubeStateMetrics);
        }
        // And it is of use to autoscalers alone, for lag that Kafka has told of.
        let of_use = [Concern::Prometheus, Concern::Autoscaling, Concern::Kafka];
        if !of_use.iter().all(|concern| chosen.contains(concern)) && !only.contains(&Concern::PrometheusAdapter) {
            chosen.remove(&Concern::PrometheusAdapter);
        }
        for concern in &chosen {
            if let Some(missing) = concern.needs().iter().find(|needed| !chosen.contains(needed)) {
                return Err(format!("{concern} needs {missing}: skip both, or neither"));
            }
        }
        if chosen.is_empty() {
            return Err("nothing is left to install".into());
        }
        Ok(Self {
            chosen,
            asked: only.iter().copied().collect(),
        })
    }

    pub(crate) fn all() -> Self {
        Self {
            chosen: Concern::ALL.into(),
            asked: BTreeSet::new(),
        }
    }

    pub(crate) fn has(&self, concern: Concern) -> bool {
        self.chosen.contains(&concern)
    }

    pub(crate) fn asks_for(&self, concern: Concern) -> bool {
        self.asked.contains(&concern)
    }

    /// Everything, and of the stack just these parts. None: an installation that does not say which it has.
    pub(crate) fn of_stack(parts: &BTreeSet<Concern>) -> Self {
        let mut all = Self::all();
        all.chosen
            .retain(|concern| !concern.is_of_stack() || parts.is_empty() || parts.contains(concern));
        all
    }

    /// The same without one of them.
    pub(crate) fn without(mut self, concern: Concern) -> Self {
        self.chosen.remove(&concern);
        self
    }

    /// In the order in which they are applied.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Concern> {
        self.chosen.iter().copied()
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::Production => "production",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Concern::{
        Autoscaling, Collector, Grafana, Kafka, KubeStateMetrics, Middleware, Prometheus, PrometheusAdapter,
        Resilience, Tracing,
    };

    fn chosen(only: &[Concern], skip: &[Concern]) -> Result<Vec<Concern>, String> {
        Selection::new(only, skip).map(|selection| selection.iter().collect())
    }

    #[test]
    fn what_is_needed_comes_along() {
        assert_eq!(chosen(&[], &[]), Ok(Concern::ALL.to_vec()));
        assert_eq!(
            chosen(&[Prometheus], &[]),
            Ok(vec![Collector, KubeStateMetrics, Prometheus])
        );
        assert_eq!(
            chosen(&[Prometheus], &[KubeStateMetrics]),
            Ok(vec![Collector, Prometheus])
        );
        assert_eq!(chosen(&[KubeStateMetrics], &[]), Ok(vec![KubeStateMetrics]));
        assert_eq!(
            chosen(&[Grafana], &[]),
            Ok(vec![Collector, KubeStateMetrics, Prometheus, Grafana])
        );
        assert_eq!(
            chosen(&[PrometheusAdapter], &[]),
            Ok(vec![Collector, KubeStateMetrics, Prometheus, PrometheusAdapter])
        );
        assert!(!chosen(&[], &[Kafka]).expect("a selection").contains(&PrometheusAdapter));
        assert_eq!(chosen(&[Middleware], &[]), Ok(vec![Middleware]));
        assert_eq!(chosen(&[Resilience], &[]), Ok(vec![Middleware, Resilience]));
        assert_eq!(
            chosen(&[], &[Prometheus, Grafana]),
            Ok(vec![Tracing, Collector, Middleware, Resilience, Autoscaling, Kafka])
        );
    }

    #[test]
    fn a_selection_that_makes_no_sense_is_refused() {
        let refused = |only: &[Concern], skip: &[Concern]| chosen(only, skip).expect_err("refused");
        assert_eq!(
            refused(&[], &[Collector]),
            "prometheus needs collector: skip both, or neither"
        );
        assert_eq!(
            refused(&[], &[Prometheus]),
            "grafana needs prometheus: skip both, or neither"
        );
        assert_eq!(
            refused(&[Prometheus], &[Prometheus]),
            "prometheus is both in only and in skip"
        );
        assert_eq!(refused(&[], &Concern::ALL), "nothing is left to install");
    }

    #[test]
    fn needs_come_first_and_every_concern_has_a_folder() {
        assert!(Concern::ALL.is_sorted());
        for concern in Concern::ALL {
            assert!(
                concern.needs().iter().all(|needed| *needed < concern),
                "{concern} comes too early"
            );
            for profile in [Profile::Dev, Profile::Production] {
                assert!(!concern.objects(profile).expect("manifests").is_empty());
            }
            let named: Concern = serde_json::from_value(concern.name().into()).expect("its own name");
            assert_eq!(named, concern);
        }
    }
}
