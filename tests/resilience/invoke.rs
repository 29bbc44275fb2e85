//! Calls from service to service with the profile that is shipped for those that may be repeated.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Result, ensure};
use learnflow_tests::{
    http::Answer,
    sidecar::{Middleware, Rig, app},
};
use serde_json::json;

use crate::policies;

/// A Resiliency of the user's names it for an app, and it is in force: 503 is tried again, 500 is not.
pub fn profile_named_elsewhere(rig: &mut Rig) -> Result<String> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let callee = app(json!([]), move |request| {
        let before = counted.fetch_add(1, Ordering::Relaxed);
        match request.path() {
            "/busy" if before < 2 => Answer::new(503, "later"),
            "/wrong" => Answer::new(500, "wrong"),
            _ => Answer::new(200, "done"),
        }
    })?;
    let _callee = rig
        .sidecar(Middleware::installed()?)
        .app_id("callee")
        .app(callee)
        .start()?;
    let theirs = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "by-hand"},
        "spec": {"targets": {"apps": {"callee": {
            "timeout": "learnflow-invoke", "retry": "learnflow-invoke", "circuitBreaker": "learnflow-invoke",
        }}}},
    });
    let caller = rig.sidecar(Middleware::installed()?).app_id("caller");
    let caller = caller.resource(policies::shipped()?).resource(theirs).start()?;
    let ask = |path: &str| -> Result<(u16, usize)> {
        calls.store(0, Ordering::Relaxed);
        let path = format!("/v1.0/invoke/callee/method/{path}");
        let answer = caller.client()?.send("GET", &path, &[], b"", false)?;
        Ok((answer.status(), calls.load(Ordering::Relaxed)))
    };
    let (busy, wrong) = (ask("busy")?, ask("wrong")?);
    ensure!(
        busy == (200, 3) && wrong == (500, 1),
        "busy: {busy:?}, wrong: {wrong:?}"
    );
    Ok("503 twice, then 200: the caller gets 200 of the third call; 500: it gets it at once".into())
}
