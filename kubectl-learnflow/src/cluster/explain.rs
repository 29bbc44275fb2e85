//! What the API server and the way to it can answer, as a sentence with a next step.

use super::Cluster;
use crate::problem::{Kind, Problem};
use kube::core::Status;
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
            other => Problem::new(format!("Cannot reach the API server {server}: {}.", cause(other)))
                .kind(Kind::Unreachable)
                .next(format!(
                    "Check that context {context} is the one you mean and that `kubectl --context {context} \
                     cluster-info` answers."
                )),
        }
    }
}

fn answered(status: &Status, doing: &str, context: &str) -> Problem {
    if let Some(conflict) = conflict(status, doing) {
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
        503 | 504 => Problem::new(format!("Cannot {doing}: {message}.")).kind(Kind::Unreachable),
        _ => Problem::new(format!("Cannot {doing}: {message}.")),
    }
}

/// Fields that somebody else owns: who, and which. They are never taken over.
fn conflict(status: &Status, doing: &str) -> Option<Problem> {
    let causes = &status.details.as_ref()?.causes;
    let conflicts: Vec<String> = causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            // conflict with "argocd" using apps/v1 at 2026-01-01T00:00:00Z
            let who = cause.message.split('"').nth(1).unwrap_or("somebody else");
            format!("field {} belongs to {who}", cause.field)
        })
        .collect();
    if conflicts.is_empty() {
        return None;
    }
    Some(
        Problem::new(format!("Cannot {doing}: {}.", conflicts.join("; "))).next(
            "Take the field out of what that owner applies, and run this again; LearnFlow never takes a field over.",
        ),
    )
}

/// What really happened is at the bottom: "connection refused", not "client error".
fn cause(error: &kube::Error) -> String {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
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

fn deepest(error: &dyn Error) -> String {
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
        assert!(problem.next.expect("a next step").contains("never takes a field over"));
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
    fn a_conflict_of_another_sort_stays_what_it_is() {
        let answer = status(serde_json::json!({ "code": 409, "reason": "Conflict", "message": "try again" }));
        assert_eq!(answered(&answer, "apply X", "c").what, "Cannot apply X: try again.");
    }
}
