use super::*;
use serde_json::Value;

const ALL: &str = "\
namespaces: [shop]
services:
  - name: cart
    appId: cart-app
    container: web
  - name: user
exclude: [zoo]
pubsub: kafka-pubsub
only: [prometheus, middleware]
skip: []
prometheus: monitoring/k8s
profile: production
budget: 1Gi
registry: registry.example.com/mirror
imagePullSecret: pull
sampling: 0.1
slow: 500ms
";

#[test]
fn every_key_is_read() {
    let file = File::parse(ALL, "learnflow.yaml").expect("a good file");
    assert_eq!(file.namespaces[0].value.0, "shop");
    assert_eq!(file.services[0].value.app_id.as_deref(), Some("cart-app"));
    assert_eq!(file.services[1].value.app_id, None);
    assert_eq!(file.profile, Some(Profile::Production));
    assert_eq!(file.sampling.map(|share| share.to_string()).as_deref(), Some("0.1"));
    assert_eq!(file.slow.map(Slow::millis), Some(500));
    assert_eq!(
        file.only.map(|only| only.value),
        Some(vec![Concern::Prometheus, Concern::Middleware])
    );
}

#[test]
fn nothing_is_needed() {
    for empty in ["", "\n", "# only a comment\n", "{}", "---\n"] {
        assert_eq!(File::parse(empty, "f"), Ok(File::default()), "{empty:?}");
    }
}

#[test]
fn the_example_in_the_docs_is_read_and_has_every_key() {
    let docs = include_str!("../../../docs/install.md");
    let example = docs.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.expect("an example");
    File::parse(example, "docs/install.md").expect("a good example");
    let schema = schemars::schema_for!(File).to_value();
    for key in schema["properties"].as_object().expect("keys").keys() {
        let line = format!("{key}:");
        assert!(
            example.lines().any(|l| l.starts_with(&line)),
            "{key} is not in the example"
        );
    }
}

/// Written anew by `UPDATE_EXPECT=1 cargo test -p kubectl-learnflow schema`.
#[test]
fn the_schema_in_the_docs_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(File).to_value();
    plain(&mut schema);
    let text = serde_json::to_string_pretty(&schema).expect("a schema") + "\n";
    crate::testing::same_as_file("docs/learnflow.schema.json", &text);
}

/// A key that may be left out is not one that may be null, and a description has no lines.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            if let Some(Value::Array(types)) = map.get("type").cloned() {
                map.insert("type".into(), types[0].clone());
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}
