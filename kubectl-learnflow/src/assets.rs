//! What the plugin carries: the manifests, the rules, the boards, the guest and the page.

pub(crate) mod page;

use crate::{objects::Object, problem::Problem};
use include_dir::{Dir, include_dir};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../manifests");
static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../dashboards/rules");
static BOARDS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../dashboards/grafana");
static GUEST: &[u8] = include_bytes!(env!("LEARNFLOW_GUEST_FILE"));

/// The middleware that sidecars load.
pub(crate) fn guest() -> &'static [u8] {
    GUEST
}

/// Prometheus' rules, `(file name, text)`. What lies deeper are their tests.
pub(crate) fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    texts(&RULES)
}

/// The boards for Grafana, `(file name, text)`.
pub(crate) fn boards() -> impl Iterator<Item = (&'static str, &'static str)> {
    texts(&BOARDS)
}

fn texts(folder: &'static Dir<'_>) -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = folder.files();
    files.filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)))
}

/// The objects of one manifest.
pub(crate) fn manifest(path: &str) -> Result<Vec<Object>, Problem> {
    // A command makes a plan several times, and reading YAML is what takes time in it.
    static READ: Mutex<BTreeMap<String, Vec<Object>>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(objects) = read.get(path) {
        return Ok(objects.clone());
    }
    let file = MANIFESTS.get_file(path);
    let text = file
        .and_then(|file| file.contents_utf8())
        .ok_or_else(|| broken(path, "it is missing"))?;
    let objects = parse(text).map_err(|e| broken(path, &e))?;
    read.insert(path.to_owned(), objects.clone());
    Ok(objects)
}

/// The objects of all manifests of a folder, file by file; not those of folders in it.
pub(crate) fn folder(path: &str) -> Result<Vec<Object>, Problem> {
    let folder = MANIFESTS.get_dir(path).ok_or_else(|| broken(path, "it is missing"))?;
    objects(folder)
}

/// The same of a folder that need not be there.
pub(crate) fn folder_if_any(path: &str) -> Result<Vec<Object>, Problem> {
    MANIFESTS.get_dir(path).map_or_else(|| Ok(Vec::new()), objects)
}

/// A file of YAML that is ours.
pub(crate) fn yaml(name: &str, text: &str) -> Result<serde_json::Value, Problem> {
    serde_saphyr::from_str(text).map_err(|e| broken(name, &e.to_string()))
}

fn objects(folder: &Dir<'_>) -> Result<Vec<Object>, Problem> {
    let mut files: Vec<_> = folder.files().map(|file| file.path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    files.sort();
    let parts = files.iter().map(|path| manifest(&path.to_string_lossy()));
    Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
}

fn parse(yaml: &str) -> Result<Vec<Object>, String> {
    let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml).map_err(|e| e.to_string())?;
    values.into_iter().map(Object::new).collect()
}

fn broken(path: &str, why: &str) -> Problem {
    Problem::new(format!("The manifest {path} inside this plugin cannot be used: {why}."))
        .next("This is a defect of the build; take another version of the plugin.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_manifest_can_be_read() {
        let mut folders = vec![&MANIFESTS];
        while let Some(folder) = folders.pop() {
            // What is Envoy's is in its own format, and not for a cluster.
            folders.extend(folder.dirs().filter(|folder| !folder.path().ends_with("envoy")));
            for file in folder
                .files()
                .filter(|f| f.path().extension().is_some_and(|e| e == "yaml"))
            {
                let objects = manifest(&file.path().to_string_lossy()).expect("a valid manifest");
                assert!(!objects.is_empty(), "{:?}", file.path());
                for object in objects {
                    no_strange_number(object.value(), &object.to_string());
                }
            }
        }
    }

    #[test]
    fn every_rule_can_be_read() {
        assert!(rules().count() > 0);
        for (name, text) in rules() {
            let rules: Value = serde_saphyr::from_str(text).expect(name);
            assert!(name.ends_with(".yaml"), "{name}: Prometheus reads *.yaml");
            assert!(rules["groups"].is_array(), "{name} has no groups");
        }
    }

    /// A mode written as `0644` is 420 to kubectl and 644.0 to a YAML 1.2 parser.
    fn no_strange_number(value: &Value, whose: &str) {
        match value {
            Value::Number(n) => assert!(n.is_i64() || n.is_u64(), "{whose}: {n} is not an integer"),
            Value::Array(items) => items.iter().for_each(|v| no_strange_number(v, whose)),
            Value::Object(map) => map.values().for_each(|v| no_strange_number(v, whose)),
            _ => {}
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let problem = manifest("nowhere/x.yaml").expect_err("not there");
        assert!(problem.what.contains("nowhere/x.yaml"), "{problem}");
        assert!(parse("kind: [").is_err());
        assert!(parse("kind: ConfigMap").is_err(), "no name, no version");
    }
}
