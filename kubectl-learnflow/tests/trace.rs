//! `trace` of saved logs: no cluster is asked.

use serde_json::Value;
use std::process::{Command, Output, Stdio};

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/records.text.log");

fn trace(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-learnflow"));
    command.arg("trace").args(arguments).args(["--file", LOG]);
    command.env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
    command.output().expect("the plugin runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_event_is_found_by_its_place_and_by_its_trace() {
    for asked in [
        "lesson.generated/0/42",
        "lesson.generated[0]@42",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        let output = trace(&[asked, "-o", "json"]);
        assert_eq!(output.status.code(), Some(0), "{asked}: {}", text(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(document["trace"], "4bf92f3577b34da6a3ce929d0e0e4736", "{asked}");
        let steps = document["steps"].as_array().expect("steps");
        // The publish comes before the delivery that tells its trace.
        assert_eq!(
            (&steps[0]["hop"], &steps[0]["service"]),
            (&"publish".into(), &"course-agent".into())
        );
        assert_eq!(
            (&steps[1]["hop"], &steps[1]["what"]),
            (&"delivery".into(), &"lesson.generated[0]@42".into())
        );
    }
}

#[test]
fn what_was_not_asked_is_said() {
    let output = trace(&["lesson.generated/0/42"]);
    let printed = text(&output.stdout);
    assert!(
        printed.contains("No broker: with --file Kafka is asked only if"),
        "{printed}"
    );
    assert!(
        printed.contains("No spans (HTTP request, database): with --file"),
        "{printed}"
    );
}

#[test]
fn what_nobody_knows_is_1() {
    let output = trace(&["lesson.generated/0/41"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert!(said.contains("Nothing is known of lesson.generated[0]@41"), "{said}");
    assert!(
        said.contains("user-progress has got to offset 42 of that partition"),
        "{said}"
    );
}
