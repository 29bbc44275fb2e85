//! Which sidecars really run the middleware, and give metrics.
//!
//! Dapr (1.18) counts a middleware that it could not load, also with `ignoreErrors`, but none that it
//! loaded. So being loaded is concluded: an enrolled sidecar reads its Components once, when it
//! starts; it runs the middleware when the Component was there by then, is meant for it, and the
//! sidecar's own metrics count no failure to load it. A sidecar that gives no metrics proves nothing.

use crate::{
    cluster::Cluster,
    model::{Existing, Pod, Sample, Service},
    objects::MIDDLEWARE,
    problem::Problem,
};
use futures::try_join;

/// The job of `manifests/prometheus` that scrapes the sidecars.
const JOB: &str = "dapr";

/// What is known about one sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Loaded,
    /// It gives metrics and surely runs without.
    Without,
    /// It gives no metrics.
    Unknown,
}

/// What Prometheus says about the sidecars of a namespace.
#[derive(Debug, Default)]
pub(super) struct EnrolledSidecars {
    /// `up` of each sidecar.
    pub(super) up: Vec<Sample>,
    /// Sidecars that could not load our Component.
    pub(super) failed: Vec<Sample>,
}

impl EnrolledSidecars {
    pub(super) async fn of(cluster: &Cluster) -> Result<Self, Problem> {
        let only = format!("job=\"{JOB}\",namespace=\"{}\"", cluster.namespace);
        let up = format!("up{{{only}}}");
        let failed = format!("dapr_runtime_component_init_fail_total{{{only},componentName=\"{MIDDLEWARE}\"}} > 0");
        let (up, failed) = try_join!(cluster.query(&up), cluster.query(&failed))?;
        Ok(Self { up, failed })
    }

    pub(super) fn is_up(&self, pod: &str) -> bool {
        let own = |sample: &&Sample| sample.label("pod") == pod;
        self.up.iter().find(own).is_some_and(|sample| sample.value == 1.0)
    }

    /// Dapr says itself that this sidecar could not load the middleware.
    pub(super) fn has_failed(&self, pod: &Pod) -> bool {
        self.failed.iter().any(|sample| sample.label("pod") == pod.name)
    }

    pub(super) fn of_pod(&self, service: &Service, pod: &Pod, component: Option<&Existing>) -> Seen {
        if !self.is_up(&pod.name) {
            return Seen::Unknown;
        }
        let meant = component.is_some_and(|component| {
            let in_scope = service.app_id.as_ref().is_some_and(|id| component.scopes.contains(id));
            let started = pod.sidecar.as_ref().and_then(|sidecar| sidecar.started);
            in_scope && started >= component.created
        });
        if meant && pod.revision.is_some() && !self.has_failed(pod) {
            Seen::Loaded
        } else {
            Seen::Without
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assets, model::Sidecar};

    const NOW: i64 = 1_000;

    fn sample(pod: &str) -> Sample {
        Sample {
            labels: [("pod".to_owned(), pod.to_owned())].into(),
            value: 1.0,
        }
    }

    #[test]
    fn the_job_is_one_that_our_prometheus_has() {
        let objects = assets::folder("prometheus").expect("the manifest");
        let job = format!("job_name: {JOB}\n");
        let config = |object: &crate::objects::Object| object.value().to_string().contains(&job.replace('\n', "\\n"));
        assert!(objects.iter().any(config), "no {job}");
    }

    #[test]
    fn a_sidecar_runs_the_middleware_when_nothing_speaks_against_it() {
        let service = Service {
            app_id: Some("cart".into()),
            ..Service::default()
        };
        let pod = Pod {
            name: "cart-1".into(),
            revision: Some("r".into()),
            sidecar: Some(Sidecar { started: Some(NOW) }),
            ..Pod::default()
        };
        let component = Existing {
            created: Some(NOW),
            scopes: vec!["cart".into()],
            ..Existing::default()
        };
        let up = EnrolledSidecars {
            up: vec![sample("cart-1")],
            failed: vec![],
        };
        assert_eq!(up.of_pod(&service, &pod, Some(&component)), Seen::Loaded);

        assert_eq!(
            EnrolledSidecars::default().of_pod(&service, &pod, Some(&component)),
            Seen::Unknown,
            "no metrics"
        );
        let failed = EnrolledSidecars {
            up: vec![sample("cart-1")],
            failed: vec![sample("cart-1")],
        };
        assert_eq!(
            failed.of_pod(&service, &pod, Some(&component)),
            Seen::Without,
            "Dapr says so itself"
        );
        assert_eq!(up.of_pod(&service, &pod, None), Seen::Without);
        let late = Existing {
            created: Some(NOW + 1),
            ..component.clone()
        };
        assert_eq!(
            up.of_pod(&service, &pod, Some(&late)),
            Seen::Without,
            "it came after the sidecar's start"
        );
        let others = Existing {
            scopes: vec!["other".into()],
            ..component.clone()
        };
        assert_eq!(up.of_pod(&service, &pod, Some(&others)), Seen::Without);
        let bare = Pod { revision: None, ..pod };
        assert_eq!(
            up.of_pod(&service, &bare, Some(&component)),
            Seen::Without,
            "never enrolled"
        );
    }
}
