//! SARIF 2.1.0, as code scanning reads it.

use super::view;
use learnflow_resilience::{
    explain::{CODES, Explanation, Finding},
    read::Place,
};
use serde_json::{Value, json};

pub(super) fn document(explanation: &Explanation) -> Value {
    let rule = |code: &learnflow_resilience::explain::Code| json!({ "id": code.id, "name": code.name, "shortDescription": { "text": code.about } });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "kubectl-learnflow explain",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": CODES.iter().map(rule).collect::<Vec<_>>(),
            }},
            "results": explanation.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let (first, others) = match finding.places.as_slice() {
        [] => (None, &[][..]),
        [first, others @ ..] => (Some(first), others),
    };
    json!({
        "ruleId": finding.code.id,
        "level": view::severity(finding.severity),
        "message": { "text": format!("{}. {}", finding.what, finding.next) },
        "locations": first.map(location).into_iter().collect::<Vec<_>>(),
        "relatedLocations": others.iter().map(location).collect::<Vec<_>>(),
    })
}

fn location(place: &Place) -> Value {
    let logical = match place.field.as_str() {
        "" => place.object.clone(),
        field => format!("{}, {field}", place.object),
    };
    let mut location = json!({ "logicalLocations": [{ "fullyQualifiedName": logical }] });
    if let Some(file) = &place.file {
        location["physicalLocation"] = json!({ "artifactLocation": { "uri": uri(file) } });
        if let Some(line) = place.line {
            location["physicalLocation"]["region"] = json!({ "startLine": line });
        }
    }
    location
}

/// A path may have what an address may not.
fn uri(file: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    file.bytes().map(one).collect()
}
