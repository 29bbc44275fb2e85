//! Taking a Deployment in, and letting it go again: only our fields, by server-side apply.

use super::{Cluster, Mode, apply::applied};
use crate::{
    model::{Applied, Service},
    objects::{enrolment, release},
    problem::Problem,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::Value;

impl Cluster {
    /// Gives a service the middleware. Its pods roll, unless they have it already.
    pub(crate) async fn enrol(&self, service: &Service, revision: &str, mode: Mode) -> Result<Applied, Problem> {
        let patch = enrolment(&self.namespace, service, revision);
        self.patch_deployment(&service.name, "enrol", patch, mode.params())
            .await
    }

    /// Takes back every field of ours; what others own stays as it is.
    pub(crate) async fn release(&self, service: &str) -> Result<Applied, Problem> {
        self.patch_deployment(
            service,
            "release",
            release(&self.namespace, service),
            Mode::Real.params(),
        )
        .await
    }

    async fn patch_deployment(
        &self,
        name: &str,
        verb: &str,
        patch: Value,
        params: PatchParams,
    ) -> Result<Applied, Problem> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let doing = format!("{verb} Deployment {}/{name}", self.namespace);
        // Server-side apply creates what is not there; half a Deployment would be of no use.
        let before = api.get_metadata(name).await.map_err(self.explain(&doing))?;
        let after = api
            .patch(name, &params, &Patch::Apply(&patch))
            .await
            .map_err(self.explain(&doing))?;
        Ok(applied(
            before.resource_version().as_deref(),
            after.resource_version().as_deref(),
        ))
    }
}
