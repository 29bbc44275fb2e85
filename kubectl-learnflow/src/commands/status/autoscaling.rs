//! How many pods the services' autoscalers want, and what keeps them from it.

use crate::{
    model::{Scaler, Service},
    printer::{Table, Tone, plain},
};
use serde::Serialize;

/// How long an autoscaler may have no figures yet, in seconds: some rounds of the controller and of the
/// metrics server.
const FIRST_FIGURES: i64 = 120;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(super) deployment: String,
    pub(super) learnflow: bool,
    pub(super) current: i32,
    pub(super) desired: i32,
    pub(super) min: i32,
    pub(super) max: i32,
    /// CPU in percent of the request; absent when it is not known.
    pub(super) load_percent: Option<i32>,
    pub(super) target_percent: Option<i32>,
    pub(super) limited_by: Option<String>,
    /// Why it does not scale.
    pub(super) trouble: Option<String>,
    /// It has existed for so short a time that it may know nothing yet.
    #[serde(skip)]
    young: bool,
}

/// The autoscalers of services. `now` in seconds since 1970.
pub(super) fn rows<'a>(scalers: &[Scaler], services: impl Iterator<Item = &'a Service> + Clone, now: i64) -> Vec<Row> {
    let of_services = |scaler: &&Scaler| services.clone().any(|service| service.name == scaler.target);
    let autoscalers = scalers.iter().filter(|scaler| scaler.kind == "HorizontalPodAutoscaler");
    autoscalers.filter(of_services).map(|scaler| row(scaler, now)).collect()
}

fn row(scaler: &Scaler, now: i64) -> Row {
    let condition = |name: &str| scaler.conditions.iter().find(|(kind, ..)| kind == name);
    let limited = condition("ScalingLimited").filter(|(_, holds, ..)| *holds);
    let limited_by = limited.map(|(_, _, reason, _)| match reason.as_str() {
        "TooFewReplicas" => "its minimum".to_owned(),
        "TooManyReplicas" => "its maximum".to_owned(),
        other => other.to_owned(),
    });
    let failed = |name| condition(name).filter(|(_, holds, ..)| !holds);
    let trouble = failed("AbleToScale").or_else(|| failed("ScalingActive"));
    let silent = (scaler.load.is_none()).then(|| "no figures yet".to_owned());
    Row {
        deployment: scaler.target.clone(),
        learnflow: scaler.ours,
        current: scaler.current,
        desired: scaler.desired,
        min: scaler.min,
        max: scaler.max,
        load_percent: scaler.load.map(|(load, _)| load),
        target_percent: scaler.load.map(|(_, target)| target),
        limited_by,
        trouble: trouble
            .map(|(_, _, reason, message)| format!("{reason}: {message}"))
            .or(silent),
        young: scaler.created.is_some_and(|created| now - created < FIRST_FIGURES),
    }
}

impl Row {
    /// Those of others are shown and not judged.
    pub(super) fn judge(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) {
        let Self { deployment, max, .. } = self;
        if !self.learnflow {
            return;
        }
        match &self.trouble {
            Some(trouble) if !self.young => problems.push(format!("{deployment} is not scaled: {trouble}.")),
            _ => {}
        }
        if self.limited_by.as_deref() == Some("its maximum") {
            notes.push(format!("{deployment} would run more pods than its maximum of {max}."));
        }
    }
}

pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["DEPLOYMENT", "PODS", "WANTED", "MIN", "MAX", "CPU", "LIMITED BY"]);
    for row in rows {
        let cpu = match (row.load_percent, row.target_percent) {
            (Some(load), Some(target)) => plain(format!("{load}%/{target}%")),
            _ if row.young || !row.learnflow => plain("-"),
            _ => ("unknown".into(), Tone::Bad),
        };
        table.rows.push(vec![
            plain(&row.deployment),
            plain(row.current.to_string()),
            plain(row.desired.to_string()),
            plain(row.min.to_string()),
            plain(row.max.to_string()),
            cpu,
            plain(row.limited_by.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler() -> Scaler {
        Scaler {
            kind: "HorizontalPodAutoscaler".into(),
            name: "cart".into(),
            target: "cart".into(),
            ours: true,
            min: 1,
            max: 3,
            current: 1,
            desired: 1,
            load: Some((4, 70)),
            created: Some(0),
            conditions: vec![("ScalingLimited".into(), true, "TooFewReplicas".into(), String::new())],
        }
    }

    fn judged(change: impl FnOnce(&mut Scaler)) -> (Vec<String>, Vec<String>, String) {
        let mut scaler = scaler();
        change(&mut scaler);
        let service = Service {
            name: "cart".into(),
            ..Service::default()
        };
        let rows = rows(&[scaler], std::iter::once(&service), 1_000);
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        rows[0].judge(&mut problems, &mut notes);
        (problems, notes, table(&rows).render(false))
    }

    #[test]
    fn one_that_has_figures_is_well() {
        let (problems, notes, table) = judged(|_| {});
        assert!(problems.is_empty() && notes.is_empty());
        assert_eq!(
            table,
            "DEPLOYMENT   PODS   WANTED   MIN   MAX   CPU      LIMITED BY\n\
             cart         1      1        1     3     4%/70%   its minimum\n"
        );
    }

    #[test]
    fn one_without_is_wrong_unless_it_is_young_or_not_ours() {
        let silent = |scaler: &mut Scaler| {
            let message = "no metrics returned".to_owned();
            scaler.conditions = vec![(
                "ScalingActive".into(),
                false,
                "FailedGetContainerResourceMetric".into(),
                message,
            )];
            scaler.load = None;
        };
        let (problems, _, table) = judged(silent);
        assert_eq!(
            problems,
            ["cart is not scaled: FailedGetContainerResourceMetric: no metrics returned."]
        );
        assert!(table.contains("unknown"), "{table}");
        let (problems, ..) = judged(|scaler| {
            silent(scaler);
            scaler.created = Some(900);
        });
        assert!(problems.is_empty(), "{problems:?}");
        let (problems, ..) = judged(|scaler| {
            silent(scaler);
            scaler.ours = false;
        });
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn more_than_the_maximum_is_told() {
        let (_, notes, _) = judged(|scaler| scaler.conditions[0].2 = "TooManyReplicas".into());
        assert_eq!(notes, ["cart would run more pods than its maximum of 3."]);
    }
}
