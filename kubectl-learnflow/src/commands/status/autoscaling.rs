//! How many pods the services' autoscalers want, and what keeps them from it.

use crate::{
    model::{Pod, Scaler, Service},
    printer::{Table, Tone, plain},
    scaling::{
        FIRST_FIGURES,
        metrics::{Reading, readings},
        shortfall::{self, Shortfall},
    },
};
use serde::Serialize;

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
    /// All that it goes by.
    pub(super) metrics: Vec<Reading>,
    pub(super) limited_by: Option<String>,
    /// It wants more pods than it has, and why it does not get them.
    pub(super) shortfall: Option<Shortfall>,
    /// Why it does not scale.
    pub(super) trouble: Option<String>,
    /// It has existed for so short a time that it may know nothing yet.
    #[serde(skip)]
    young: bool,
}

/// The autoscalers of services. `now` in seconds since 1970.
pub(super) fn rows(scalers: &[Scaler], services: &[(Service, Vec<Pod>, Option<String>)], now: i64) -> Vec<Row> {
    let autoscalers = scalers.iter().filter(|scaler| scaler.kind == "HorizontalPodAutoscaler");
    let of_services = autoscalers.filter_map(|scaler| {
        let (service, pods, _) = services.iter().find(|(service, ..)| service.name == scaler.target)?;
        Some(row(scaler, service, pods, now))
    });
    of_services.collect()
}

fn row(scaler: &Scaler, service: &Service, pods: &[Pod], now: i64) -> Row {
    let condition = |name: &str| scaler.conditions.iter().find(|(kind, ..)| kind == name);
    let limited = condition("ScalingLimited").filter(|(_, holds, ..)| *holds);
    let limited_by = limited.map(|(_, _, reason, _)| match reason.as_str() {
        "TooFewReplicas" => "its minimum".to_owned(),
        "TooManyReplicas" => "its maximum".to_owned(),
        other => other.to_owned(),
    });
    let failed = |name| condition(name).filter(|(_, holds, ..)| !holds);
    let trouble = failed("AbleToScale").or_else(|| failed("ScalingActive"));
    let metrics = readings(scaler);
    let silent = metrics
        .iter()
        .all(|reading| reading.now.is_none())
        .then(|| "no figures yet".to_owned());
    Row {
        deployment: scaler.target.clone(),
        learnflow: scaler.ours,
        current: scaler.current,
        desired: scaler.desired,
        min: scaler.min,
        max: scaler.max,
        load_percent: scaler.load.map(|(load, _)| load),
        target_percent: scaler.load.map(|(_, target)| target),
        metrics,
        limited_by,
        shortfall: shortfall::of(scaler, service, pods),
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
        if let Some(Shortfall { wants, has, because }) = &self.shortfall {
            problems.push(format!("{deployment} wants {wants}, has {has}: {because}."));
        }
        if self.limited_by.as_deref() == Some("its maximum") {
            notes.push(format!("{deployment} would run more pods than its maximum of {max}."));
        }
    }
}

pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["DEPLOYMENT", "PODS", "WANTED", "MIN", "MAX", "METRICS", "LIMITED BY"]);
    for row in rows {
        let known = row.metrics.iter().any(|reading| reading.now.is_some());
        let metrics = match known || row.young || !row.learnflow {
            true => plain(shown(&row.metrics)),
            false => ("unknown".into(), Tone::Bad),
        };
        let limit = match &row.shortfall {
            Some(Shortfall { because, .. }) => (because.clone(), Tone::Bad),
            None => plain(row.limited_by.as_deref().unwrap_or("-")),
        };
        // The autoscaler counts those as well that were never made.
        let pods = row.shortfall.as_ref().map_or(row.current, |short| short.has);
        table.rows.push(vec![
            plain(&row.deployment),
            plain(pods.to_string()),
            plain(row.desired.to_string()),
            plain(row.min.to_string()),
            plain(row.max.to_string()),
            metrics,
            limit,
        ]);
    }
    table
}

/// `CPU 2%/70%, memory 40%/90%`
fn shown(metrics: &[Reading]) -> String {
    let each = metrics.iter().map(|reading| {
        let now = reading.now.as_deref().unwrap_or("-");
        format!("{} {now}/{}", reading.name, reading.target)
    });
    match each.collect::<Vec<_>>() {
        none if none.is_empty() => "-".into(),
        all => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            spec: json!({ "metrics": [{ "type": "ContainerResource", "containerResource":
                { "name": "cpu", "container": "cart", "target": { "averageUtilization": 70 } } }] }),
            measured: json!([{ "type": "ContainerResource", "containerResource":
                { "name": "cpu", "container": "cart", "current": { "averageUtilization": 4, "averageValue": "2m" } } }]),
        }
    }

    fn judged(change: impl FnOnce(&mut Scaler)) -> (Vec<String>, Vec<String>, String) {
        let mut scaler = scaler();
        change(&mut scaler);
        let service = Service {
            name: "cart".into(),
            ..Service::default()
        };
        let rows = rows(&[scaler], &[(service, Vec::new(), None)], 1_000);
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
            "DEPLOYMENT   PODS   WANTED   MIN   MAX   METRICS      LIMITED BY\n\
             cart         1      1        1     3     CPU 4%/70%   its minimum\n"
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
            scaler.measured = json!(null);
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
