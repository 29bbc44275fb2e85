use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use promql_parser::{
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

use crate::{Boards, made, read, root, yaml_files};

fn boards() -> Boards {
    Boards::read().expect("the boards")
}

/// What Grafana gets.
fn json() -> Vec<(String, Value)> {
    let files = boards().files().expect("JSON");
    let parse = |(name, text): (String, String)| (name, serde_json::from_str(&text).expect("JSON"));
    files.into_iter().map(parse).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// Panels that show something.
fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    list(board, "panels").iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn what_is_made_is_what_is_committed() {
    let wanted = boards().files().expect("JSON");
    let entries = fs::read_dir(made()).expect("dashboards/grafana");
    let present: BTreeMap<String, String> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a file"))
        })
        .collect();
    assert!(
        wanted.keys().eq(present.keys()),
        "run `cargo xtask boards`: there are {:?}",
        present.keys()
    );
    for (name, text) in &wanted {
        assert!(present[name] == *text, "{name} is old: run `cargo xtask boards`");
    }
}

#[test]
fn each_query_asks_the_chosen_data_source() {
    for (name, board) in json() {
        let chosen = |value: &Value| value["datasource"]["uid"] == "${datasource}";
        let variables = list(&board["templating"], "list");
        assert_eq!(variables[0]["type"], "datasource", "{name}");
        let asking = variables.iter().filter(|variable| variable["type"] == "query");
        assert!(asking.clone().all(chosen), "{name}: a variable");
        for panel in panels(&board) {
            assert!(chosen(panel), "{name}: {}", panel["title"]);
            assert!(list(panel, "targets").iter().all(chosen), "{name}: {}", panel["title"]);
        }
    }
}

/// What stands in one row fills it.
#[test]
fn no_board_has_holes() {
    for (name, board) in json() {
        let mut widths: BTreeMap<u64, u64> = BTreeMap::new();
        for panel in panels(&board) {
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            *widths.entry(place("y")).or_default() += place("w");
        }
        let hole = widths.iter().find(|(_, width)| **width != 24);
        assert_eq!(hole, None, "{name}: (y, columns of 24)");
    }
}

#[test]
fn each_panel_has_a_unit_and_says_what_to_do() {
    for (name, board) in json() {
        for panel in panels(&board) {
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
            assert!(UNITS.contains(&unit), "{name}: {}: unit {unit:?}", panel["title"]);
            for property in list(&panel["fieldConfig"], "overrides")
                .iter()
                .flat_map(|one| list(one, "properties"))
            {
                let unit = property["value"].as_str().unwrap_or_default();
                assert!(
                    property["id"] != "unit" || UNITS.contains(&unit),
                    "{name}: unit {unit:?}"
                );
            }
            let says = panel["description"].as_str().unwrap_or_default();
            assert!(says.len() > 60, "{name}: {} does not say what to do", panel["title"]);
        }
    }
}

/// Grafana's names of them; one that it does not know would be shown as a text behind each number.
const UNITS: [&str; 12] = [
    "bytes",
    "cps",
    "eps",
    "m",
    "ms",
    "none",
    "ops",
    "percentunit",
    "recps",
    "reqps",
    "s",
    "short",
];

#[test]
fn no_identity_twice_and_no_panel_over_another() {
    let mut uids = BTreeSet::new();
    for (name, board) in json() {
        let uid = board["uid"].as_str().expect("a uid").to_owned();
        assert!(uid.starts_with("learnflow-") && uid.len() <= 40, "{name}: {uid}");
        assert!(uids.insert(uid), "{name}: its uid is another's");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(&board, "panels") {
            assert!(
                ids.insert(panel["id"].as_u64().expect("an id")),
                "{name}: {}",
                panel["id"]
            );
            let side = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
            assert!(side("x") + side("w") <= 24, "{name}: {} is too wide", panel["title"]);
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{name}: {} lies on another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn links_lead_to_boards_that_exist() {
    let boards = boards();
    let links = boards
        .boards
        .iter()
        .flat_map(|board| board.panels())
        .filter_map(|panel| panel.more.as_ref());
    for link in links {
        assert!(
            boards.boards.iter().any(|board| board.uid == *link),
            "there is no board {link}"
        );
    }
}

#[test]
fn what_can_be_chosen_is_used_and_what_is_used_can_be_chosen() {
    let boards = boards();
    for board in &boards.boards {
        let queries = || board.panels().flat_map(|panel| &panel.queries);
        for variable in &boards.variables {
            let asked = format!("${}", variable.name);
            let used = queries().any(|query| query.expr.contains(&asked));
            assert_eq!(
                used,
                board.variables.contains(&variable.name),
                "{}: {asked}",
                board.title
            );
        }
        for panel in board.panels() {
            let names: BTreeSet<_> = panel.queries.iter().map(|query| &query.name).collect();
            assert_eq!(names.len(), panel.queries.len(), "{}: two of one name", panel.title);
            for query in &panel.queries {
                let [from, to] = query.expected;
                assert!(from <= to, "{}: from {from} to {to}", panel.title);
                assert!(
                    !query.expr.contains('%'),
                    "{}: {} is no shorthand",
                    panel.title,
                    query.expr
                );
            }
        }
    }
}

/// The metrics that an expression asks for.
#[derive(Default)]
struct Metrics(BTreeSet<String>);

impl Metrics {
    fn of(expr: &str) -> BTreeSet<String> {
        let parsed = parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
        let mut metrics = Metrics::default();
        walk_expr(&mut metrics, &parsed).expect("it is walked to the end");
        metrics.0
    }

    fn add(&mut self, selector: &VectorSelector) {
        let name = selector.name.clone();
        self.0
            .insert(name.expect("a selector without a metric reads everything"));
    }
}

impl ExprVisitor for Metrics {
    type Error = ();

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, ()> {
        match expr {
            Expr::VectorSelector(selector) => self.add(selector),
            Expr::MatrixSelector(selector) => self.add(&selector.vs),
            _ => {}
        }
        Ok(true)
    }
}

/// A recording rule gives it, or it is bounded by itself.
#[test]
fn each_metric_exists_and_is_bounded() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for file in yaml_files(&root().join("rules")).expect("rules") {
        let rules: Value = read(&file).expect("rules");
        let rules = list(&rules, "groups").iter().flat_map(|group| list(group, "rules"));
        known.extend(rules.filter_map(|rule| rule["record"].as_str()).map(str::to_owned));
    }
    let exporters: BTreeMap<String, Vec<String>> = read(&root().join("exporters.yaml")).expect("exporters");
    let exported: BTreeSet<&String> = exporters.values().flatten().collect();
    known.extend(exported.iter().map(|name| (*name).clone()));
    let boards = boards();
    let queries = boards
        .boards
        .iter()
        .flat_map(|board| board.panels())
        .flat_map(|panel| &panel.queries);
    let exprs = queries.map(|query| query.expr.clone());
    let exprs = exprs.chain(boards.variables.iter().map(|variable| variable.expr()));
    let used: BTreeSet<String> = exprs.flat_map(|expr| Metrics::of(&expr)).collect();
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "neither recorded (dashboards/rules) nor bounded (dashboards/exporters.yaml): {unknown:?}"
    );
    let idle: Vec<_> = exported.into_iter().filter(|name| !used.contains(*name)).collect();
    assert!(idle.is_empty(), "no panel asks for {idle:?} any more");
}

/// What is exported and kept of Kubernetes is what boards and rules ask for, and no more: each is a series for each pod.
#[test]
fn of_kubernetes_no_more_is_kept_than_is_asked_for() {
    let mut exprs: Vec<String> = Vec::new();
    for file in yaml_files(&root().join("rules")).expect("rules") {
        let rules: Value = read(&file).expect("rules");
        let rules = list(&rules, "groups").iter().flat_map(|group| list(group, "rules"));
        // What the parser does not know yet is about events.
        let exprs_of = rules.filter_map(|rule| rule["expr"].as_str());
        exprs.extend(exprs_of.filter(|expr| !expr.contains("anchored")).map(str::to_owned));
    }
    for board in &boards().boards {
        let queries = board.panels().flat_map(|panel| &panel.queries);
        exprs.extend(queries.map(|query| query.expr.clone()));
    }
    let asked: BTreeSet<String> = exprs.iter().flat_map(|expr| Metrics::of(expr)).collect();
    let manifests = root().join("../manifests");
    let text = |path: &str| fs::read_to_string(manifests.join(path)).expect(path);
    let part = text("kube-state-metrics/kube-state-metrics.yaml");
    let allowed = part.split_once("--metric-allowlist=").expect("a list").1;
    let allowed: BTreeSet<String> = allowed
        .lines()
        .next()
        .expect("a line")
        .split(',')
        .map(str::to_owned)
        .collect();
    let of = |prefix: &str| -> BTreeSet<String> {
        let begins = |name: &&String| name.starts_with(prefix);
        asked.iter().filter(begins).cloned().collect()
    };
    assert_eq!(
        of("kube_"),
        allowed,
        "asked for, and exported by kube-state-metrics.yaml"
    );
    let prometheus = text("prometheus/prometheus.yaml");
    let kept = prometheus
        .lines()
        .filter_map(|line| line.trim().strip_prefix("regex: "));
    let kept: Vec<regex::Regex> = kept
        .filter(|regex| regex.starts_with("kube_") || regex.starts_with("container_"))
        .map(|regex| regex::Regex::new(&format!("^(?:{regex})$")).expect("a regex"))
        .collect();
    assert_eq!(kept.len(), 2, "one for each job");
    for name in of("kube_").union(&of("container_")) {
        assert!(
            kept.iter().any(|regex| regex.is_match(name)),
            "prometheus.yaml drops {name}"
        );
    }
}
