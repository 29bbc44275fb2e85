//! Rules and alerts: promtool's own tests, and that none of them is without one.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use learnflow_tests::process::Folder;
use serde_json::Value;

use crate::{
    parts,
    shipped::{root, rule_files, yaml_files},
    valid::judge,
};

/// It always fires.
const WATCHDOG: &str = "LearnFlowWatchdog";

fn values(files: &[std::path::PathBuf]) -> Vec<Value> {
    let read = |path| fs::read_to_string(path).expect("a file");
    let parse = |text: String| serde_saphyr::from_str(&text).expect("YAML");
    files.iter().map(read).map(parse).collect()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn alerts() -> Vec<Value> {
    let files = values(&rule_files());
    let groups = files.iter().flat_map(|file| items(file, "groups"));
    let rules = groups.flat_map(|group| items(group, "rules"));
    rules.filter(|rule| rule["alert"].is_string()).cloned().collect()
}

fn name(alert: &Value) -> String {
    alert["alert"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_rules_do_what_their_tests_say() {
    let promtool = parts().file("prometheus", "promtool");
    let (good, said) = judge(
        Command::new(&promtool)
            .args(["check", "rules", "--lint=all", "--lint-fatal"])
            .args(rule_files()),
    );
    assert!(good, "{said}");
    let tests = yaml_files(&root().join("dashboards/rules/tests"));
    let (good, said) = judge(Command::new(&promtool).args(["test", "rules"]).args(tests));
    assert!(good, "{said}");
}

/// What is rendered for a Prometheus that is not ours gives the same, but where a counter begins again.
#[test]
fn the_rules_for_others_do_the_same() {
    let folder = Folder::new().expect("a folder");
    let tests = folder.path().join("tests");
    fs::create_dir(&tests).expect("a folder");
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to.join(from.file_name().expect("a name"))).expect("a copy");
    };
    let rules = yaml_files(&root().join("tests/cases/rules-elsewhere"));
    assert_eq!(rules.len(), rule_files().len());
    rules.iter().for_each(|file| copy(file, folder.path()));
    let shipped = yaml_files(&root().join("dashboards/rules/tests"));
    let same = shipped.iter().filter(|file| !file.ends_with("restarts.yaml"));
    same.for_each(|file| copy(file, &tests));
    let promtool = parts().file("prometheus", "promtool");
    let lint = ["check", "rules", "--lint=all", "--lint-fatal"];
    let (good, said) = judge(Command::new(&promtool).args(lint).args(yaml_files(folder.path())));
    assert!(good, "{said}");
    let (good, said) = judge(Command::new(&promtool).args(["test", "rules"]).args(yaml_files(&tests)));
    assert!(good, "{said}");
}

#[test]
fn each_alert_has_a_test_that_fires_and_one_that_does_not() {
    let files = values(&yaml_files(&root().join("dashboards/rules/tests")));
    let tests = || files.iter().flat_map(|file| items(file, "tests"));
    let samples = tests()
        .flat_map(|test| items(test, "promql_expr_test"))
        .flat_map(|test| items(test, "exp_samples"));
    let fired: Vec<&str> = samples.filter_map(|sample| sample["labels"].as_str()).collect();
    let silent: BTreeSet<&str> = tests()
        .flat_map(|test| items(test, "alert_rule_test"))
        .filter(|test| items(test, "exp_alerts").next().is_none())
        .filter_map(|test| test["alertname"].as_str())
        .collect();
    for name in alerts().iter().map(name) {
        let label = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"");
        assert!(
            fired.iter().any(|sample| sample.starts_with(&label)),
            "no test lets {name} fire"
        );
        assert!(
            name == WATCHDOG || silent.contains(name.as_str()),
            "no test keeps {name} silent"
        );
    }
}

#[test]
fn each_alert_says_what_to_do_and_where_to_read_on() {
    let runbooks = fs::read_to_string(root().join("docs/runbooks.md")).expect("the runbooks");
    let sections: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    for alert in &alerts {
        let name = name(alert);
        let text = |pointer| alert.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(
            sections.contains(name.as_str()),
            "docs/runbooks.md has no section {name}"
        );
        let url = format!("docs/runbooks.md#{}", name.to_lowercase());
        assert_eq!(text("/annotations/runbook_url"), url, "{name}");
        assert!(!text("/annotations/summary").is_empty(), "{name} has no summary");
        assert!(
            text("/annotations/description").len() > 80,
            "{name} does not say what to do"
        );
        assert!(
            ["critical", "warning", "none"].contains(&text("/labels/severity")),
            "{name}"
        );
    }
    let names: BTreeSet<String> = alerts.iter().map(name).collect();
    for section in sections.iter().filter(|section| section.starts_with("LearnFlow")) {
        assert!(names.contains(*section), "there is no alert {section} any more");
    }
}
