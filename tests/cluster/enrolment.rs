//! A service with a Configuration of its own: what it has goes on working, ours works beside it, and in the end all is as before.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_core::Direction;
use learnflow_tests::{SERVICES_NAMESPACE, Target, records};
use serde_json::{Value, json};

use crate::{Test, expect};

const OWN: &str = include_str!("../cases/own-configuration.yaml");

pub const TESTS: &[(&str, Test)] = &[(
    "enrolment::a_configuration_of_its_own_is_merged_and_given_back",
    a_configuration_of_its_own_is_merged_and_given_back,
)];

fn a_configuration_of_its_own_is_merged_and_given_back(target: &Target) -> Result<()> {
    target.deploy_services()?;
    target.apply(Some(SERVICES_NAMESPACE), OWN)?;
    patch(target, "appconfig")?;
    let (before, original) = (course_agent(target)?, configuration(target, "appconfig")?);

    let (_, said) = expect(target, &["enroll", "deployment/course-agent"], 0)?;
    ensure!(
        said.contains("dapr.io/config: appconfig (set by kubectl-patch)"),
        "{said}"
    );
    let copy = config(&course_agent(target)?);
    ensure!(copy.starts_with("learnflow-appconfig-"), "{copy}");
    let handlers = |spec: &Value| spec["httpPipeline"]["handlers"].as_array().map_or(0, Vec::len);
    ensure!(
        handlers(&configuration(target, &copy)?["spec"]) == 2,
        "the copy has not both handlers"
    );
    publish_too_fast(target)?;

    // Somebody puts it back; who, that is told, and it can be mended.
    patch(target, "appconfig")?;
    let (told, _) = expect(target, &["status"], 1)?;
    ensure!(
        told.contains("kubectl-patch has set dapr.io/config to appconfig"),
        "{told}"
    );
    expect(target, &["enroll", "course-agent"], 0)?;

    expect(target, &["unenroll", "course-agent"], 0)?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/course-agent")?;
    let after = course_agent(target)?;
    ensure!(
        after["spec"]["template"] == before["spec"]["template"],
        "it was {} and is {}",
        before["spec"]["template"],
        after["spec"]["template"]
    );
    let text = after["metadata"]["managedFields"].to_string();
    ensure!(
        !text.contains("kubectl-learnflow"),
        "fields of it are still ours: {text}"
    );
    ensure!(
        configuration(target, "appconfig")? == original,
        "the original was touched"
    );
    let left = target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "get",
        "components.dapr.io,configmaps,secrets",
        "--selector=app.kubernetes.io/managed-by=kubectl-learnflow",
        "--output=name",
    ])?;
    ensure!(!left.contains("component"), "left: {left}");
    // Earlier revisions of the Deployment still refer to the copies; this removes them.
    expect(target, &["uninstall"], 0)?;
    target
        .run_kubectl(&["delete", "namespace", SERVICES_NAMESPACE, "--wait"])
        .map(|_| ())
}

/// More publishes than theirs lets through. Ours stands behind it: it sees those that pass, and no other.
fn publish_too_fast(target: &Target) -> Result<()> {
    let forward = target.port_forward(SERVICES_NAMESPACE, "deployment/course-agent", 3500)?;
    let url = forward.url("/v1.0/publish/kafka-pubsub/lesson.generated");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let (mut passed, mut refused) = (0, 0);
    for number in 0..40 {
        let lesson = json!({"id": format!("fast-{number}"), "course": "rust", "title": "fast", "text": ""});
        match agent.post(&url).send_json(lesson)?.status().as_u16() {
            204 => passed += 1,
            429 => refused += 1,
            other => bail!("a publish is answered with {other}"),
        }
    }
    ensure!(
        passed > 0 && refused > 0,
        "{passed} passed and {refused} were refused: theirs does not work"
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = records(target, "course-agent", Direction::Publish)?.len();
        if seen == passed {
            return Ok(());
        }
        ensure!(
            seen < passed && Instant::now() < deadline,
            "{passed} passed, {refused} were refused, {seen} records"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

fn patch(target: &Target, config: &str) -> Result<()> {
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"dapr.io/config": config}}}}});
    let patch = format!("--patch={patch}");
    target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "patch",
        "deployment/course-agent",
        &patch,
    ])?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/course-agent")
}

fn get(target: &Target, object: &str) -> Result<Value> {
    let text = target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "get",
        object,
        "--output=json",
        "--show-managed-fields",
    ])?;
    serde_json::from_str(&text).context("not JSON")
}

fn course_agent(target: &Target) -> Result<Value> {
    get(target, "deployment/course-agent")
}

fn configuration(target: &Target, name: &str) -> Result<Value> {
    get(target, &format!("configuration.dapr.io/{name}"))
}

fn config(deployment: &Value) -> String {
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    annotations["dapr.io/config"].as_str().unwrap_or_default().to_owned()
}
