//! What the API server and the way to it can answer, as a sentence with a next step.

use super::Cluster;
use crate::{
    changes,
    problem::{Kind, Problem},
};
use kube::core::Status;
use serde_json::Value;
use std::{error::Error, io};

impl Cluster {
    /// `doing` completes "cannot …": "list Deployments in shop".
    pub(super) fn explain(&self, doing: &str) -> impl Fn(kube::Error) -> Problem + use<> {
        let (server, context, doing) = (self.server.clone(), self.context.clone(), doing.to_owned());
        move |error| match &error {
            kube::Error::Api(status) => answered(status, &doing, &context),
            kube::Error::Auth(e) => {
                Problem::new(format!("Cannot get credentials for context {context}: {}.", deepest(e)))
                    .next("Log in again, or correct the user of that context in the kubeconfig.")
            }
            kube::Error::SerdeError(e) => {
                Problem::new(format!("Cannot {doing}: the API server answered something else ({e})."))
                    .next(format!("Check that {server} is a Kubernetes API server."))
            }
            other => unreachable(other, &server, &context),
        }
    }
}

impl Cluster {
    /// Fields that somebody else owns: who, which, and what both want. Nothing if it is another error.
    pub(super) fn conflict(&self, error: &kube::Error, doing: &str, theirs: &Value, ours: &Value) -> Option<Problem> {
        match error {
            kube::Error::Api(status) => conflict(status, doing, theirs, ours),
            _ => None,
        }
    }
}

pub(super) fn unreachable(error: &(dyn Error + 'static), server: &str, context: &str) -> Problem {
    Problem::new(format!("Cannot reach the API server {server}: {}.", cause(error)))
        .kind(Kind::Unreachable)
        .next(format!(
            "Check that context {context} is the one you mean and that `kubectl --context {context} cluster-info` \
             answers."
        ))
}

fn answered(status: &Status, doing: &str, context: &str) -> Problem {
    if let Some(conflict) = conflict(status, doing, &Value::Null, &Value::Null) {
        return conflict;
    }
    let message = status.message.trim_end_matches('.');
    match status.code {
        401 => Problem::new(format!(
            "The API server does not accept the credentials of context {context}."
        ))
        .next("Log in again, or choose another context with --context."),
        403 => Problem::new(format!("Not allowed to {doing}: {message}."))
            .kind(Kind::Forbidden)
            .next("Ask whoever administers the cluster for that permission."),
        404 => Problem::new(format!("Cannot {doing}: {message}.")).kind(Kind::NotFound),
        429 | 503 | 504 => Problem::new(format!("Cannot {doing}: {message}.")).kind(Kind::Unreachable),
        _ if passes(status) => Problem::new(format!("Cannot {doing}: {message}.")).kind(Kind::Unreachable),
        _ => Problem::new(format!("Cannot {doing}: {message}.")),
    }
}

/// How much of a value is shown; more would be a page.
const SHOWN: usize = 60;

fn conflict(status: &Status, doing: &str, theirs: &Value, ours: &Value) -> Option<Problem> {
    let causes = &status.details.as_ref()?.causes;
    let conflicts: Vec<String> = causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            // conflict with "argocd" using apps/v1 at 2026-01-01T00:00:00Z
            let who = cause.message.split('"').nth(1).unwrap_or("somebody else");
            let field = &cause.field;
            match (changes::at(theirs, field), changes::at(ours, field)) {
                (Some(theirs), Some(ours)) => {
                    let (theirs, ours) = (short(theirs), short(ours));
                    format!("field {field} belongs to {who}, who set it to {theirs}; LearnFlow wants {ours}")
                }
                _ => format!("field {field} belongs to {who}"),
            }
        })
        .collect();
    if conflicts.is_empty() {
        return None;
    }
    Some(
        Problem::new(format!("Cannot {doing}: {}.", conflicts.join("; ")))
            .kind(Kind::Conflict)
            .next("Take the field out of what that owner applies, or take it over with --force-conflicts."),
    )
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Trouble that passes by itself: a webhook or etcd that does not answer just now, or somebody who wrote
/// at the same moment.
fn passes(status: &Status) -> bool {
    let passing = [
        "failed calling webhook",
        "etcdserver: ",
        "context deadline exceeded",
        "the object has been modified",
    ];
    matches!(status.code, 409 | 500) && passing.iter().any(|words| status.message.contains(words))
}

/// What really happened is at the bottom: "connection refused", not "client error".
fn cause(error: &(dyn Error + 'static)) -> String {
    let mut source = Some(error);
    while let Some(e) = source {
        let late = e
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
        if late {
            return "it does not answer in time (see --request-timeout)".to_owned();
        }
        source = e.source();
    }
    deepest(error)
}

pub(super) fn deepest(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text = e.to_string();
        source = e.source();
    }
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: serde_json::Value) -> Status {
        serde_json::from_value(json).expect("a Status")
    }

    #[test]
    fn a_conflict_says_who_and_which_field() {
        let answer = status(serde_json::json!({
            "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 1 conflict: conflict with \"argocd\" using apps/v1: .spec",
            "details": { "causes": [{
                "reason": "FieldManagerConflict",
                "message": "conflict with \"argocd\" using apps/v1",
                "field": ".spec.template.metadata.annotations.dapr.io/config",
            }]},
        }));
        let problem = answered(&answer, "apply Deployment shop/cart", "c");
        assert_eq!(
            problem.what,
            "Cannot apply Deployment shop/cart: field .spec.template.metadata.annotations.dapr.io/config \
             belongs to argocd."
        );
        assert!(problem.next.expect("a next step").contains("--force-conflicts"));

        let object = |config: &str| {
            let template = serde_json::json!({ "metadata": { "annotations": { "dapr.io/config": config } } });
            serde_json::json!({ "spec": { "template": template } })
        };
        let told = conflict(&answer, "apply X", &object("appconfig"), &object("learnflow")).expect("a conflict");
        assert!(
            told.what
                .ends_with("belongs to argocd, who set it to \"appconfig\"; LearnFlow wants \"learnflow\"."),
            "{told}"
        );
        assert_eq!(told.kind, Kind::Conflict);
    }

    #[test]
    fn a_refusal_names_verb_and_resource() {
        let answer = status(serde_json::json!({
            "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "deployments.apps is forbidden: User \"eve\" cannot list resource \"deployments\"",
        }));
        let problem = answered(&answer, "list Deployments in shop", "c");
        assert!(
            problem
                .what
                .starts_with("Not allowed to list Deployments in shop: deployments.apps is forbidden")
        );
        assert_eq!(problem.kind, Kind::Forbidden);
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        let kind = |code: u16, message: &str| {
            let answer = status(serde_json::json!({ "code": code, "message": message }));
            answered(&answer, "apply X", "c").kind
        };
        for (code, message) in [
            (429, "too many requests"),
            (503, "starting"),
            (
                500,
                "Internal error occurred: failed calling webhook \"x\": context deadline exceeded",
            ),
            (500, "etcdserver: leader changed"),
            (
                409,
                "the object has been modified; please apply your changes to the latest version",
            ),
        ] {
            assert_eq!(kind(code, message), Kind::Unreachable, "{message}");
        }
        assert_eq!(kind(500, "a defect"), Kind::Other);
        assert_eq!(kind(422, "failed calling webhook"), Kind::Other, "it did answer");
    }

    #[test]
    fn a_conflict_of_another_sort_stays_what_it_is() {
        let answer = status(serde_json::json!({ "code": 409, "reason": "Conflict", "message": "try again" }));
        assert_eq!(answered(&answer, "apply X", "c").what, "Cannot apply X: try again.");
    }
}
