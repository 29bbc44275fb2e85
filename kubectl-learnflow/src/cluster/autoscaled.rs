//! A Deployment with all that has to do with the number of its pods, and requests to it as its callers send them.

use super::{Cluster, explain::deepest, is_absent};
use crate::{
    autoscaled::{Autoscaler, Front, Scaled, ScaledPod},
    objects::ObjectRef,
    problem::{Kind, Problem},
};
use futures::try_join;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Limited};
use kube::{api::ListParams, client::Body};
use serde_json::Value;

/// How much of an answer is looked at; the rest is read and left.
const ANSWER: usize = 16 << 20;

/// A request, as often as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// From `/api/v1` on.
    pub(crate) uri: String,
    pub(crate) body: Option<String>,
    pub(crate) json: bool,
}

/// What an autoscaler has made of its Deployment, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) autoscaler: Autoscaler,
    pub(crate) scaled: Scaled,
    pub(crate) pods: Vec<ScaledPod>,
}

impl Cluster {
    pub(crate) async fn scaled(&self, name: &str) -> Result<Option<Scaled>, Problem> {
        let found = self.existing(&ObjectRef::deployment(&self.namespace, name)).await?;
        Ok(found.map(|found| Scaled::read(&found.value)))
    }

    pub(crate) async fn sight(&self, name: &str, autoscaler: &str) -> Result<Sight, Problem> {
        let hpa = ObjectRef::autoscaler(&self.namespace, autoscaler);
        let (hpa, scaled) = try_join!(self.existing(&hpa), self.scaled(name))?;
        let gone = |what: String| Problem::new(format!("{what} has been deleted meanwhile.")).kind(Kind::NotFound);
        let scaled = scaled.ok_or_else(|| gone(format!("Deployment {}/{name}", self.namespace)))?;
        let autoscaler = hpa
            .and_then(|hpa| Autoscaler::read(&hpa.value))
            .ok_or_else(|| gone(format!("HorizontalPodAutoscaler {}/{autoscaler}", self.namespace)))?;
        let pods = self.scaled_pods(&scaled).await?;
        Ok(Sight {
            autoscaler,
            scaled,
            pods,
        })
    }

    /// The autoscalers of Deployments, each with the name of its Deployment.
    pub(crate) async fn autoscalers(&self) -> Result<Vec<(String, Autoscaler)>, Problem> {
        let all = self
            .list_as("autoscaling/v2", "HorizontalPodAutoscaler", &ListParams::default())
            .await?;
        let of_deployment = |object: &Value| {
            let target = &object["spec"]["scaleTargetRef"];
            let name = target["name"].as_str().filter(|_| target["kind"] == "Deployment")?;
            Some((name.to_owned(), Autoscaler::read(object)?))
        };
        Ok(all.iter().filter_map(of_deployment).collect())
    }

    async fn scaled_pods(&self, scaled: &Scaled) -> Result<Vec<ScaledPod>, Problem> {
        let labels: Vec<String> = scaled
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let pods = self
            .list_as("v1", "Pod", &ListParams::default().labels(&labels.join(",")))
            .await?;
        let ended = |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        Ok(pods.iter().filter(|pod| !ended(pod)).map(ScaledPod::read).collect())
    }

    /// Services that lead to its pods; those that Dapr makes for its sidecars lead elsewhere.
    pub(crate) async fn fronts(&self, scaled: &Scaled) -> Result<Vec<Front>, Problem> {
        let services = self.list_as("v1", "Service", &ListParams::default()).await?;
        let daprs = scaled.app_id.as_ref().map(|id| format!("{id}-dapr"));
        let fronts = services
            .iter()
            .filter_map(|service| Front::read(service, &scaled.labels));
        Ok(fronts.filter(|front| Some(&front.name) != daprs.as_ref()).collect())
    }

    async fn list_as(&self, api_version: &str, kind: &str, wanted: &ListParams) -> Result<Vec<Value>, Problem> {
        let any = ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            ..ObjectRef::autoscaler(&self.namespace, "")
        };
        let list = self.dynamic(&any).list(wanted).await;
        let list = list.map_err(self.list_of(&format!("{kind}s"), Some(self.namespace.as_str())))?;
        let value =
            |object| serde_json::to_value(object).map_err(|e| Problem::new(format!("Cannot read a {kind}: {e}.")));
        list.into_iter().map(value).collect()
    }

    /// Sends it through the API server, once: code, whether the answer is the API server's own, and its text.
    /// The error is that of the way to it.
    pub(crate) async fn ask_once(&self, ask: &Ask) -> Result<(u16, String), String> {
        let request = Request::builder().method(ask.method.clone()).uri(&ask.uri);
        let body = ask.body.clone().unwrap_or_default().into_bytes();
        let mut request = request.body(Body::from(body)).map_err(|e| e.to_string())?;
        if ask.json {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let answer = self.impatient.send(request).await.map_err(|e| deepest(&e))?;
        let code = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        let body = body.map_err(|e| format!("the answer broke off: {e}"))?.to_bytes();
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Whether somebody serves what pods take. An APIService whose server is away answers with an error.
    pub(crate) async fn serves_metrics(&self, group: &str) -> Result<bool, Problem> {
        match self.client.list_api_group_resources(group).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if is_absent(&status) || matches!(status.code, 403 | 503) => Ok(false),
            Err(e) => Err(self.explain(&format!("ask for {group}"))(e)),
        }
    }
}
