//! What a program is made of, as a CycloneDX document: every crate that is compiled into it, with its version, licence and checksum.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::artifacts::{cargo, root};

/// For the platform that Rust calls `triple`: its crates and no others.
pub fn of(program: &str, triple: &str) -> Result<Value> {
    let output = cargo()
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            triple,
        ])
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    document(
        program,
        &metadata,
        &checksums(&fs::read_to_string(root().join("Cargo.lock"))?),
    )
}

/// (name, version) → SHA-256, from Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |line: &str| line.split('"').nth(1).unwrap_or_default().to_owned();
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let start = format!("{name} = \"");
            package.lines().find(|line| line.starts_with(&start)).map(value)
        };
        if let (Some(name), Some(version), Some(checksum)) = (field("name"), field("version"), field("checksum")) {
            found.insert((name, version), checksum);
        }
    }
    found
}

fn document(program: &str, metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let root = packages.values().find(|package| package["name"] == program);
    let root = text(&root.with_context(|| format!("no package {program}"))?["id"]);

    // What is needed to run; not what is needed to build or to test.
    let runs = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    let needs: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| {
            let needed = list(&node["deps"])
                .into_iter()
                .filter(runs)
                .map(|dependency| text(&dependency["pkg"]));
            (text(&node["id"]), needed.collect())
        })
        .collect();
    let mut reached = BTreeSet::from([root.clone()]);
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        for needed in needs.get(&id).into_iter().flatten() {
            if reached.insert(needed.clone()) {
                open.push(needed.clone());
            }
        }
    }

    let reference = |id: &str| {
        let package = &packages[id];
        format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]))
    };
    let component = |id: &String| {
        let package = &packages[id];
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let mut component = json!({
            "type": if *id == root { "application" } else { "library" },
            "bom-ref": reference(id),
            "name": name,
            "version": version,
            "purl": reference(id),
        });
        if let Some(licence) = package["license"].as_str() {
            // The form with a slash is an old one for OR.
            component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
        }
        if let Some(checksum) = checksums.get(&(name, version)) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    };
    let dependencies = reached.iter().map(|id| {
        let needed: BTreeSet<String> = needs.get(id).into_iter().flatten().map(|id| reference(id)).collect();
        json!({ "ref": reference(id), "dependsOn": needed })
    });
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(&root) },
        "components": reached.iter().filter(|id| **id != root).map(component).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_listed_and_what_only_builds_is_not() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ff\"\n\n[[package]]\nname = \"p\"\nversion = \"0.1.0\"\n";
        let package = |name: &str, version: &str| json!({ "id": name, "name": name, "version": version, "license": "MIT/Apache-2.0" });
        let needs = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("p", "0.1.0"), package("a", "1.0.0"), package("b", "2.0.0"), package("other", "1.0.0")],
            "resolve": { "nodes": [
                { "id": "p", "deps": [needs("a", Value::Null), needs("b", json!("build"))] },
                { "id": "a", "deps": [] }, { "id": "b", "deps": [] }, { "id": "other", "deps": [] },
            ]},
        });
        let sbom = document("p", &metadata, &checksums(lock)).expect("a document");
        let components = sbom["components"].as_array().expect("components");
        assert_eq!(components.len(), 1, "{components:?}");
        assert_eq!(components[0]["purl"], "pkg:cargo/a@1.0.0");
        assert_eq!(components[0]["hashes"][0]["content"], "ff");
        assert_eq!(components[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(sbom["metadata"]["component"]["name"], "p");
        assert_eq!(sbom["dependencies"].as_array().map(Vec::len), Some(2));
    }
}
