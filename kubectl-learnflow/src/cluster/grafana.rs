//! Which Grafana shows the boards: what was decided at the last `install`, and what there is to choose from.

use super::Cluster;
use crate::{
    grafana::{Candidate, Host},
    objects::{HOST, OUR_NAMESPACES, ObjectRef},
    problem::Problem,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// As its chart and manifests label it.
const GRAFANA: &str = "app.kubernetes.io/name=grafana";
/// Who gives a Secret what nobody has chosen. Not the manager that applies: an apply without that field would take it away.
const GIVER: &str = "kubectl-learnflow-password";

impl Cluster {
    /// Who shows the boards of what is installed; none: nobody was chosen yet.
    pub(crate) async fn host(&self) -> Result<Option<Host>, Problem> {
        self.chosen_before(
            HOST,
            "grafana",
            "Say which Grafana it is with `kubectl learnflow install --grafana`.",
        )
        .await
    }

    /// Every Grafana that is not ours.
    pub(crate) async fn grafanas(&self) -> Result<Vec<Candidate>, Problem> {
        let mut found = Vec::new();
        for kind in ["Deployment", "StatefulSet"] {
            let any = ObjectRef {
                api_version: "apps/v1".into(),
                kind: kind.into(),
                namespace: None,
                name: String::new(),
            };
            let list = self.dynamic(&any).list(&ListParams::default().labels(GRAFANA)).await;
            found.extend(
                list.map_err(self.list_of(&format!("{kind}s"), None))?
                    .into_iter()
                    .map(candidate),
            );
        }
        found.retain(|one| !OUR_NAMESPACES.contains(&one.namespace.as_str()));
        Ok(found)
    }

    /// Gives a Secret a value at random, unless it has one.
    pub(crate) async fn give_password(&self, secret: &ObjectRef, key: &str) -> Result<bool, Problem> {
        let doing = format!("choose a password for {secret}");
        let found = self.existing(secret).await?.unwrap_or_default();
        if found.value["data"].get(key).is_some() {
            return Ok(false);
        }
        let mut bytes = [0; 18];
        getrandom::fill(&mut bytes).map_err(|e| Problem::new(format!("Cannot {doing}: {e}.")))?;
        let password = STANDARD.encode(STANDARD.encode(bytes));
        let change = json!({
            // Two at once would each believe that theirs is the one.
            "metadata": { "resourceVersion": found.resource_version },
            "data": { key: password },
        });
        let params = PatchParams {
            field_manager: Some(GIVER.into()),
            ..PatchParams::default()
        };
        let given = self
            .dynamic(secret)
            .patch(&secret.name, &params, &Patch::Merge(change))
            .await;
        match given {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(e) => Err(self.explain(&doing)(e)),
        }
    }
}

fn candidate(object: DynamicObject) -> Candidate {
    let containers = object.data.pointer("/spec/template/spec/containers");
    Candidate {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        containers: containers.and_then(Value::as_array).cloned().unwrap_or_default(),
    }
}
