//! What is shipped, as the tests use it: the manifests' own text with addresses and times replaced, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The objects of a manifest.
pub fn objects(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("manifests").join(path)).expect(path);
    serde_saphyr::from_multiple(&text).expect(path)
}

/// The file that a ConfigMap of a manifest holds.
pub fn config(manifest: &str, file: &str) -> String {
    let objects = objects(manifest);
    let maps = objects.iter().filter(|object| object["kind"] == "ConfigMap");
    let mut files = maps.filter_map(|map| map["data"][file].as_str());
    files
        .next()
        .unwrap_or_else(|| panic!("{file} in {manifest}"))
        .to_owned()
}

/// The one container of a manifest's workload.
pub fn container(manifest: &str) -> Value {
    let objects = objects(manifest);
    let mut containers = objects
        .iter()
        .filter_map(|object| object["spec"]["template"]["spec"]["containers"].as_array());
    containers.next().expect(manifest)[0].clone()
}

/// `KEY=value` of the container's environment.
pub fn environment(container: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let variables = container["env"].as_array().into_iter().flatten();
    variables.map(|one| (text(&one["name"]), text(&one["value"]))).collect()
}

/// The container's memory limit in bytes.
pub fn memory_limit(container: &Value) -> u64 {
    let limit = container["resources"]["limits"]["memory"].as_str().expect("a limit");
    let (number, unit) = limit.split_at(limit.len() - 2);
    let unit: u64 = match unit {
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => panic!("{limit}: Mi or Gi"),
    };
    number.parse::<u64>().expect("a number") * unit
}

/// Replaces what must be there.
pub fn replace(text: &str, pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(
            text.contains(from),
            "the shipped configuration has no {from:?} any more"
        );
        text.replace(from, to)
    })
}

/// The rule files that the plugin carries.
pub fn rule_files() -> Vec<PathBuf> {
    yaml_files(&root().join("dashboards/rules"))
}

pub fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}
