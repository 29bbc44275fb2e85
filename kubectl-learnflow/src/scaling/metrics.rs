//! What an autoscaler goes by: of the metrics in the manifest those that hold for a service in this cluster. The targets
//! stand in the manifest, each with its reason.

use crate::model::{Served, Service};
use serde_json::{Value, json};

/// Of the metrics of a template, as the service gets them, in the same order. A metric that nobody serves, or that rests on a
/// request that is not there, would show `<unknown>` for ever, and keep pods from going.
pub(super) fn of(template: &Value, service: &Service, served: &Served) -> Vec<Value> {
    let all = template["spec"]["metrics"].as_array().into_iter().flatten();
    all.filter_map(|metric| made_out(metric, service, served)).collect()
}

/// One kind of metric an arm.
fn made_out(metric: &Value, service: &Service, served: &Served) -> Option<Value> {
    match metric["type"].as_str()? {
        "ContainerResource" => {
            let resource = metric["containerResource"]["name"].as_str()?;
            if !served.resources || !service.requests(resource) {
                return None;
            }
            let mut metric = metric.clone();
            metric["containerResource"]["container"] = json!(service.container);
            Some(metric)
        }
        _ => None,
    }
}
