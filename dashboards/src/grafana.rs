//! A board as Grafana's JSON: the classic dashboard model, which every Grafana since 9 reads.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::{
    Boards,
    place::{Place, What},
    source::{Board, Kind, Panel, Query, Threshold, Variable},
};

pub fn board(board: &Board, all: &Boards) -> Result<Value> {
    let mut variables = vec![data_source()];
    for name in &board.variables {
        variables.push(variable(all.variable(name)?));
    }
    Ok(json!({
        "uid": board.uid,
        "title": format!("LearnFlow / {}", board.title),
        "description": board.description,
        "tags": ["learnflow"],
        "editable": false,
        "graphTooltip": 1,
        "schemaVersion": 41,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "timezone": "browser",
        "links": [{
            "type": "dashboards", "title": "LearnFlow", "tags": ["learnflow"], "icon": "external link", "tooltip": "",
            "url": "", "asDropdown": false, "includeVars": true, "keepTime": true, "targetBlank": false,
        }],
        "templating": { "list": variables },
        "annotations": { "list": [] },
        "panels": panels(board)?,
    }))
}

fn panels(board: &Board) -> Result<Vec<Value>> {
    let all = board.places()?.into_iter().zip(1..);
    let each = all.map(|(Place { what, x, y, w, h }, id)| {
        let place = json!({ "x": x, "y": y, "w": w, "h": h });
        match what {
            What::Title(title) => Ok(json!({
                "id": id, "type": "row", "title": title, "collapsed": false, "panels": [], "gridPos": place,
            })),
            What::Panel(one) => panel(one, id, place),
        }
    });
    each.collect()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Stat => "stat",
            Kind::Lines => "timeseries",
            Kind::States => "state-timeline",
            Kind::Table => "table",
            Kind::Graph => "nodeGraph",
        }
    }

    fn options(self, panel: &Panel) -> Value {
        match self {
            Kind::Stat => json!({
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                "colorMode": if panel.thresholds.is_empty() { "none" } else { "value" },
                "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
                "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
            }),
            Kind::Lines => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::States => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
                "tooltip": { "mode": "single", "sort": "none" },
                "mergeValues": true, "showValue": "auto", "rowHeight": 0.9, "alignValue": "left",
            }),
            Kind::Table => json!({ "showHeader": true, "cellHeight": "sm", "frameIndex": 0 }),
            Kind::Graph => json!({ "nodes": {}, "edges": {} }),
        }
    }
}

fn panel(panel: &Panel, id: u32, place: Value) -> Result<Value> {
    let mut defaults = json!({
        "unit": panel.unit,
        "mappings": mappings(panel),
        "thresholds": thresholds(&panel.thresholds),
        "color": { "mode": if panel.thresholds.is_empty() { "palette-classic" } else { "thresholds" } },
        "noValue": "-",
    });
    match panel.kind {
        Kind::Lines => {
            defaults["color"] = json!({ "mode": "palette-classic" });
            defaults["min"] = json!(0);
            defaults["custom"] = json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false,
                "thresholdsStyle": { "mode": if panel.thresholds.is_empty() { "off" } else { "dashed" } },
            });
        }
        Kind::States => defaults["custom"] = json!({ "lineWidth": 0, "fillOpacity": 70, "spanNulls": false }),
        Kind::Table => defaults["custom"] = json!({ "align": "auto", "filterable": true, "inspect": false }),
        Kind::Stat | Kind::Graph => {}
    }
    let mut value = json!({
        "id": id,
        "type": panel.kind.name(),
        "title": panel.title,
        "description": panel.description.trim(),
        "datasource": source(),
        "gridPos": place,
        "fieldConfig": { "defaults": defaults, "overrides": [] },
        "options": panel.kind.options(panel),
        "targets": panel.queries.iter().map(|query| target(query, panel.kind)).collect::<Vec<_>>(),
    });
    if panel.kind == Kind::Table {
        value["fieldConfig"]["overrides"] = panel.queries.iter().map(column).collect();
        value["transformations"] = columns(panel);
    } else if !panel.labels.is_empty() {
        bail!("{}: only tables have labels", panel.title);
    }
    if let Some(uid) = &panel.more {
        value["links"] = json!([{
            "type": "link", "title": "More", "icon": "external link", "tooltip": "", "tags": [], "asDropdown": false,
            "url": format!("/d/{uid}?${{__url_time_range}}&${{__all_variables}}"),
            "targetBlank": false, "includeVars": false, "keepTime": false,
        }]);
    }
    Ok(value)
}

fn target(query: &Query, kind: Kind) -> Value {
    let format = match kind {
        Kind::Table | Kind::Graph => "table",
        Kind::Stat | Kind::Lines | Kind::States => "time_series",
    };
    let mut target = json!({
        "refId": query.name,
        "datasource": source(),
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "format": format,
        "instant": kind.is_instant(),
        "range": !kind.is_instant(),
    });
    if query.exemplars {
        target["exemplar"] = json!(true);
    }
    target
}

/// One row for what has the same labels, a column a query. Grafana calls a value `Value #QUERY`, but `Value` when the panel has
/// one query only.
fn columns(panel: &Panel) -> Value {
    let names = panel
        .labels
        .iter()
        .map(|label| (label.label.clone(), label.title.clone()));
    let values = panel.queries.iter().map(|query| {
        let field = match panel.queries.len() {
            1 => "Value".to_owned(),
            _ => format!("Value #{}", query.name),
        };
        (field, query.name.clone())
    });
    let columns: Vec<(String, String)> = names.chain(values).collect();
    let order: Map<String, Value> = columns
        .iter()
        .zip(0..)
        .map(|((field, _), n)| (field.clone(), json!(n)))
        .collect();
    let titles: Map<String, Value> = columns
        .into_iter()
        .map(|(field, title)| (field, json!(title)))
        .collect();
    json!([
        { "id": "merge", "options": {} },
        { "id": "organize", "options": {
            "excludeByName": { "Time": true }, "indexByName": order, "renameByName": titles,
        }},
    ])
}

fn column(query: &Query) -> Value {
    let mut properties = Vec::new();
    if let Some(unit) = &query.unit {
        properties.push(json!({ "id": "unit", "value": unit }));
    }
    if !query.thresholds.is_empty() {
        properties.push(json!({ "id": "thresholds", "value": thresholds(&query.thresholds) }));
        properties.push(json!({ "id": "color", "value": { "mode": "thresholds" } }));
        properties.push(json!({ "id": "custom.cellOptions", "value": { "type": "color-text" } }));
    }
    json!({ "matcher": { "id": "byName", "options": query.name }, "properties": properties })
}

fn thresholds(thresholds: &[Threshold]) -> Value {
    let steps = thresholds
        .iter()
        .map(|step| json!({ "color": step.color, "value": step.from }));
    let mut steps: Vec<Value> = steps.collect();
    if steps.is_empty() {
        steps.push(json!({ "color": "text", "value": null }));
    }
    json!({ "mode": "absolute", "steps": steps })
}

fn mappings(panel: &Panel) -> Value {
    if panel.names.is_empty() {
        return json!([]);
    }
    let names = panel.names.iter().zip(0..);
    let names = names.map(|((value, name), index)| {
        (
            value.clone(),
            json!({ "text": name.text, "color": name.color, "index": index }),
        )
    });
    json!([{ "type": "value", "options": names.collect::<Map<_, _>>() }])
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn data_source() -> Value {
    json!({
        "name": "datasource", "type": "datasource", "label": "Prometheus",
        "description": "The Prometheus that has LearnFlow's metrics.",
        "query": "prometheus", "regex": "", "hide": 0, "multi": false, "includeAll": false, "skipUrlSync": false,
    })
}

fn variable(variable: &Variable) -> Value {
    let values = format!("label_values({}, {})", variable.series, variable.label);
    json!({
        "name": variable.name, "type": "query", "label": variable.title, "description": variable.description,
        "datasource": source(), "definition": values, "query": { "query": values, "refId": variable.name },
        "regex": "", "hide": 0, "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".+",
        "current": { "text": ["All"], "value": ["$__all"] }, "skipUrlSync": false,
    })
}
