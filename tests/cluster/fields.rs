//! `diff` asks the API server only about objects that may differ. Whether one may is told from the object itself; here
//! the server is held against that, for all that others do to what `install` has applied.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use learnflow_tests::Target;
use serde_json::{Value, json};

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[("fields::diff_says_what_the_server_says", diff_says_what_the_server_says)];

const CASES: &str = include_str!("../cases/field-changes.yaml");
/// The Deployment and the rest of the stack, without the services.
const PARTS: &str = "--only=collector,prometheus";
const US: &str = "--field-manager=kubectl-learnflow";
/// What the server writes by itself.
const NOISE: [&str; 3] = ["resourceVersion", "generation", "time"];

fn diff_says_what_the_server_says(target: &Target) -> Result<()> {
    // Whatever the tests before have left.
    target.deploy_services()?;
    expect(target, &["install", PARTS], 0)?;
    let folder = std::env::temp_dir().join(format!("learnflow-fields-{}", std::process::id()));
    let name = folder.to_string_lossy().into_owned();
    expect(target, &["render", PARTS, "--output-dir", &name], 0)?;
    let files = manifests(&folder)?;
    let cases: Vec<Value> = serde_saphyr::from_str(CASES)?;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(error) = try_case(target, &folder, &files, case) {
            wrong.push(format!("{}: {error:#}", case["name"]));
        }
        restore(target, &folder, &files, case)?;
    }
    fs::remove_dir_all(&folder)?;
    let all = cases.len();
    ensure!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    expect(target, &["diff", PARTS], 0)?;
    expect(target, &["uninstall"], 0)?;
    Ok(())
}

/// All objects that were rendered.
fn manifests(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            objects.extend(serde_saphyr::from_multiple::<Value>(&fs::read_to_string(path)?)?);
        }
    }
    Ok(objects)
}

fn rendered<'a>(files: &'a [Value], object: &str) -> Result<&'a Value> {
    let (kind, name) = object.split_once('/').context("kind/name")?;
    let same = |file: &&Value| {
        let is = file["kind"].as_str().unwrap_or_default();
        is.eq_ignore_ascii_case(kind) && file["metadata"]["name"] == name
    };
    files.iter().find(same).with_context(|| format!("no {object}"))
}

fn try_case(target: &Target, folder: &Path, files: &[Value], case: &Value) -> Result<()> {
    let object = case["object"].as_str().context("an object")?;
    let ours = rendered(files, object)?;
    for step in case["steps"].as_array().context("steps")? {
        do_step(target, folder, ours, case, step)?;
    }
    let file = write(folder, ours)?;
    let apply = [
        "apply",
        "--server-side",
        "--dry-run=server",
        US,
        "--output=json",
        "--show-managed-fields",
        "--filename",
        &file,
    ];
    // Only after what the controllers do about it.
    let mut told = None;
    for _ in 0..5 {
        let live = get(target, object, ours)?;
        let calm = target.run_kubectl(&apply);
        let forced = target.run_kubectl(&[&apply[..], &["--force-conflicts"]].concat())?;
        if get(target, object, ours)?["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"] {
            told = Some((quiet(&live) != quiet(&serde_json::from_str(&forced)?), calm));
            break;
        }
    }
    let (differs, calm) = told.context("it never rests")?;
    ensure!(differs == case["differs"], "the server sees a difference: {differs}");

    let (stdout, _) = expect(target, &["diff", PARTS, "--output=json"], i32::from(differs))?;
    let entries: Vec<Value> = serde_json::from_str(&stdout)?;
    let ours = |entry: &&Value| entry["kind"] == ours["kind"] && entry["name"] == ours["metadata"]["name"];
    let entry = entries.iter().find(ours);
    ensure!(entry.is_some() == differs, "`diff` sees a difference: {stdout}");
    if let Err(conflict) = calm {
        let conflict = conflict.to_string();
        ensure!(conflict.contains("onflict"), "{conflict}");
        ensure!(
            entry.is_some_and(|entry| entry["conflict"].is_string()),
            "{conflict} is not named: {stdout}"
        );
    }
    Ok(())
}

fn do_step(target: &Target, folder: &Path, ours: &Value, case: &Value, step: &Value) -> Result<()> {
    let namespace = namespace(ours);
    let manager = step["manager"].as_str().unwrap_or("somebody");
    let manager = format!("--field-manager={manager}");
    if step["patch"].is_null() {
        let mut object = step["apply"].clone();
        object["apiVersion"] = ours["apiVersion"].clone();
        object["kind"] = ours["kind"].clone();
        let metadata = &ours["metadata"];
        object["metadata"] = json!({ "name": metadata["name"], "namespace": metadata["namespace"] });
        let file = write(folder, &object)?;
        let force = if step["force"] == true {
            "--force-conflicts"
        } else {
            "--force-conflicts=false"
        };
        return target
            .run_kubectl(&["apply", "--server-side", &manager, force, "--filename", &file])
            .map(|_| ());
    }
    let kind = case["type"].as_str().unwrap_or("strategic");
    let object = case["object"].as_str().context("an object")?;
    let patch = step["patch"].to_string();
    let arguments = ["patch", object, &namespace, "--type", kind, &manager, "--patch", &patch];
    target.run_kubectl(&arguments).map(|_| ())
}

/// As if nobody had touched it; pods stay.
fn restore(target: &Target, folder: &Path, files: &[Value], case: &Value) -> Result<()> {
    let object = case["object"].as_str().context("an object")?;
    let ours = rendered(files, object)?;
    target.run_kubectl(&["delete", object, &namespace(ours), "--cascade=orphan", "--wait"])?;
    let file = write(folder, ours)?;
    target
        .run_kubectl(&["apply", "--server-side", US, "--filename", &file])
        .map(|_| ())
}

fn write(folder: &Path, object: &Value) -> Result<String> {
    let file = folder.join("one.json");
    fs::write(&file, object.to_string())?;
    Ok(file.to_string_lossy().into_owned())
}

/// Where the object is. What is in no namespace does not mind.
fn namespace(ours: &Value) -> String {
    let namespace = ours["metadata"]["namespace"].as_str().unwrap_or("default");
    format!("--namespace={namespace}")
}

fn get(target: &Target, object: &str, ours: &Value) -> Result<Value> {
    let flags = [&namespace(ours), "--output=json", "--show-managed-fields"];
    let text = target.run_kubectl(&[&["get", object][..], &flags].concat())?;
    Ok(serde_json::from_str(&text)?)
}

/// Without what the server writes by itself.
fn quiet(object: &Value) -> Value {
    match object {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !NOISE.contains(&key.as_str()) && *key != "status")
            .map(|(key, value)| (key.clone(), quiet(value)))
            .collect(),
        Value::Array(items) => items.iter().map(quiet).collect(),
        other => other.clone(),
    }
}
