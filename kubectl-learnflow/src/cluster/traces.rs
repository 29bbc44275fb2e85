//! The trace store, asked through the API server like Prometheus.

use super::Cluster;
use crate::{
    monitoring::Address,
    objects::STACK_NAMESPACE,
    problem::{Kind, Problem},
    trace::Span,
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::{client::Body, core::Status};
use serde_json::Value;

/// More than the spans of any trace that somebody reads.
const ANSWER: usize = 64 << 20;

impl Cluster {
    /// The spans of a trace; none, if the store does not know it.
    pub(crate) async fn spans(&self, trace: &str) -> Result<Vec<Span>, Problem> {
        let store = Address::traces();
        let doing = format!("ask the trace store in {STACK_NAMESPACE}");
        let failed = |why: &dyn std::fmt::Display| Problem::new(format!("Cannot {doing}: {why}."));
        let path = format!(
            "/api/v1/namespaces/{}/services/{}/proxy/api/v3/traces/{trace}",
            store.namespace,
            store.proxied()
        );
        let request = Request::get(path).body(Body::empty()).map_err(|e| failed(&e))?;
        let answer = self.impatient.send(request).await.map_err(self.explain(&doing))?;
        let code = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        let body = body.map_err(|e| failed(&e))?.to_bytes();
        if code == StatusCode::OK {
            let answer: Value = serde_json::from_slice(&body).map_err(|e| failed(&e))?;
            return Ok(Span::read_all(&answer));
        }
        // Not all that is "not found" comes from the store.
        let status: Option<Status> = serde_json::from_slice::<Value>(&body)
            .ok()
            .filter(|said| said["kind"] == "Status")
            .and_then(|said| serde_json::from_value(said).ok());
        match (code, status) {
            (StatusCode::NOT_FOUND, None) => Ok(Vec::new()),
            (StatusCode::NOT_FOUND, Some(_)) => {
                let what = format!("There is no trace store in {STACK_NAMESPACE}.");
                Err(Problem::new(what).kind(Kind::NotFound))
            }
            (_, Some(status)) => Err(self.explain(&doing)(kube::Error::Api(status.boxed()))),
            (code, None) => Err(failed(&format_args!("it answered {}", code.as_u16()))),
        }
    }
}
