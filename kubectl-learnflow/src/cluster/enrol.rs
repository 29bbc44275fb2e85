//! Taking a Deployment in, and letting it go again: only our fields, by server-side apply.

use super::{Cluster, Mode, apply::applied};
use crate::{
    enrolment::{Enrolment, Release},
    model::{Applied, Service},
    problem::Problem,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::Value;

impl Cluster {
    /// Gives a service the middleware. Its pods roll, unless they have it already. By force only to
    /// take over the two annotations that the enrolment remembers; the patch has no other field that
    /// could be anybody's.
    pub(crate) async fn enrol(
        &self,
        service: &Service,
        enrolment: &Enrolment,
        force: bool,
        mode: Mode,
    ) -> Result<Applied, Problem> {
        let patch = Patch::Apply(enrolment.patch(&self.namespace, service));
        let mut params = mode.params();
        params.force = force;
        self.patch_deployment(&service.name, "enrol", &patch, params).await
    }

    /// Takes back every field of ours and puts back what was there; what others own stays as it is.
    pub(crate) async fn release(&self, service: &Service) -> Result<Applied, Problem> {
        let (patch, params) = match Release::of(&self.namespace, service) {
            Release::Withdraw(patch) => (Patch::Apply(patch), Mode::Real.params()),
            Release::Restore { manager, patch } => (
                Patch::Strategic(patch),
                PatchParams {
                    field_manager: Some(manager),
                    ..PatchParams::default()
                },
            ),
        };
        self.patch_deployment(&service.name, "release", &patch, params).await
    }

    async fn patch_deployment(
        &self,
        name: &str,
        verb: &str,
        patch: &Patch<Value>,
        params: PatchParams,
    ) -> Result<Applied, Problem> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let doing = format!("{verb} Deployment {}/{name}", self.namespace);
        // Server-side apply creates what is not there; half a Deployment would be of no use.
        let before = api.get_metadata(name).await.map_err(self.explain(&doing))?;
        let after = api.patch(name, &params, patch).await.map_err(self.explain(&doing))?;
        Ok(applied(
            before.resource_version().as_deref(),
            after.resource_version().as_deref(),
        ))
    }
}
