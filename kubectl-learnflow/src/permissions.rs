//! What each verb does in a cluster, as permissions. One list, three uses: `install` asks the cluster
//! about it before it begins, `rbac` prints it, and the tests hold every request against it.

mod list;
mod roles;
mod scaling;
mod verify;

use crate::{
    applyset,
    budget::KUBE_STATE_METRICS,
    cluster::accesses,
    dlq::LEASE,
    external,
    grafana::Host,
    kafka,
    model::Access,
    monitoring::{Address, Keeper},
    objects::{OUR_NAMESPACES, Object, ObjectRef, Plan, STACK_NAMESPACE},
    quota,
};
use clap::ValueEnum;
pub(crate) use list::{access, granted, to};
use list::{both, named, ours};
pub(crate) use roles::roles;
pub(crate) use scaling::{explain_scaling, simulate_scaling};
use scaling::{let_go, measuring, scaled, scaling};
use std::collections::BTreeSet;
pub(crate) use verify::{
    autoscaling as verify_autoscaling, breaks as verify_breaks, looks as verify_looks, requests as verify_requests,
    restores as verify_restores,
};

/// Where Dapr's documentation puts its control plane.
pub(crate) const DAPR_NAMESPACE: &str = "dapr-system";
const MONITORING: &str = "monitoring.coreos.com";
const AUTOSCALERS: &str = "horizontalpodautoscalers";
const BUDGETS: &str = "poddisruptionbudgets";

/// A verb that asks the cluster for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Task {
    Bundle,
    Check,
    Coverage,
    Dashboard,
    Diff,
    Dlq,
    Enroll,
    Explain,
    Flow,
    Graph,
    Install,
    Render,
    Simulate,
    Status,
    Top,
    Trace,
    Ui,
    Unenroll,
    Uninstall,
    Verify,
    Version,
}

impl Task {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What a verb needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// Without one of these it does not do its work.
    pub(crate) required: BTreeSet<Access>,
    /// Without one of these it does its work, and something is missing from what it says.
    pub(crate) helpful: BTreeSet<Access>,
}

impl Permissions {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Access> {
        self.required.union(&self.helpful)
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.required.extend(other.required);
        self.helpful.extend(other.helpful);
        self.helpful.retain(|access| !self.required.contains(access));
        self
    }

    fn need(mut self, accesses: impl IntoIterator<Item = Access>) -> Self {
        self.required.extend(accesses);
        self
    }

    fn like(mut self, accesses: impl IntoIterator<Item = Access>) -> Self {
        self.helpful.extend(accesses);
        self
    }
}

/// What `task` needs for the services of a namespace, to do with a plan.
pub(crate) fn of(task: Task, plan: &Plan, namespace: &str) -> Permissions {
    match task {
        Task::Version => version(),
        Task::Status => status(plan, namespace),
        Task::Check => check(plan, namespace),
        Task::Install => install(plan, namespace),
        Task::Diff => diff(plan, namespace),
        // Policies and autoscaling: each is explained without the other's.
        Task::Explain => {
            let Permissions { required, helpful } = explain_scaling(namespace);
            let policies = explain(namespace).like(kept()).like(prometheus(&plan.keeper));
            policies.like(required).like(helpful)
        }
        Task::Simulate => explain(namespace)
            .like(kept())
            .like(prometheus(&plan.keeper))
            .like(simulate_scaling(namespace).required),
        Task::Dlq => dlq(namespace),
        Task::Flow | Task::Graph | Task::Ui => logs(namespace),
        // Lag is asked of Prometheus; which group is whose, Components say.
        Task::Top => logs(namespace)
            .like(to("list", "dapr.io", "components", Some(namespace)))
            .like(kept())
            .like(prometheus(&plan.keeper)),
        Task::Coverage => coverage(plan, namespace),
        Task::Trace => trace(plan, namespace),
        Task::Render => {
            let scaled = if plan.scales {
                scaled(namespace)
            } else {
                Permissions::default()
            };
            facts(namespace).and(choosing(plan)).and(scaled)
        }
        Task::Enroll | Task::Unenroll => facts(namespace).and(enrolling(plan, namespace)),
        Task::Uninstall => uninstall(plan, namespace),
        Task::Dashboard => dashboard(&plan.keeper),
        Task::Bundle => bundle(plan, namespace),
        Task::Verify => verify::all(namespace),
    }
}

fn version() -> Permissions {
    let gateway = ObjectRef::deployment(STACK_NAMESPACE, "collector-gateway");
    Permissions::default()
        .need(to("list", "apps", "deployments", Some(DAPR_NAMESPACE)))
        .need(accesses(std::iter::once(&gateway), &["get"]))
}

/// Dapr, Kafka, and the services with their Configurations.
fn facts(namespace: &str) -> Permissions {
    Permissions::default()
        .need(to("list", "apps", "deployments", Some(DAPR_NAMESPACE)))
        .need(to("list", "apps", "deployments", Some(namespace)))
        .need(to(
            "list",
            "dapr.io",
            "components,configurations,resiliencies",
            Some(namespace),
        ))
        .like([named(access("get", "", "namespaces", None), namespace)])
}

/// Dapr's objects, and the ids of the workloads.
pub(crate) fn explain(namespace: &str) -> Permissions {
    let kinds = "components,resiliencies,subscriptions";
    Permissions::default()
        .need(to("list", "dapr.io", kinds, Some(namespace)))
        .need(to("list", "apps", "deployments", Some(namespace)))
}

/// The sidecars' logs.
fn logs(namespace: &str) -> Permissions {
    Permissions::default()
        .need(to("list,watch", "", "pods", Some(namespace)))
        .need(to("get", "", "pods/log", Some(namespace)))
}

/// Both sides of each count. Kafka may be in another namespace, which only its Component says: there it takes the same of
/// pods and services.
fn coverage(plan: &Plan, namespace: &str) -> Permissions {
    Permissions::default()
        .need(to("list", "", "pods", Some(namespace)))
        .need(to("list", "dapr.io", "components,subscriptions", Some(namespace)))
        .need(to("get", "", "pods/portforward", Some(namespace)))
        // From Kubernetes 1.35 on a port-forward needs this too.
        .like(to("create", "", "pods/portforward", Some(namespace)))
        .like(to("get", "", "pods/log,services", Some(namespace)))
        .like(kept())
        .like(prometheus(&plan.keeper))
}

fn status(plan: &Plan, namespace: &str) -> Permissions {
    let workloads = plan.stack.iter().filter(|object| object.is_workload());
    let workloads: Vec<ObjectRef> = workloads.map(Object::reference).collect();
    version()
        .need(accesses(workloads.iter(), &["get"]))
        .need(accesses(kafka::references(namespace).last().into_iter(), &["get"]))
        .need(to("get", "dapr.io", "components,configurations", Some(namespace)))
        .need(to("get", "", "configmaps", Some(namespace)))
        .need(to("list", "dapr.io", "configurations", Some(namespace)))
        .need(to("list", "apps", "deployments", Some(namespace)))
        .need(to("list", "", "pods", Some(namespace)))
        .need(to("list", "dapr.io", "resiliencies", Some(namespace)))
        .need(kept())
        .need(prometheus(&plan.keeper))
        .need(
            plan.keeper
                .object()
                .iter()
                .flat_map(|object| accesses(std::iter::once(object), &["get"])),
        )
        .like(to("list", "autoscaling", AUTOSCALERS, Some(namespace)))
        .like(to("list", "keda.sh", "scaledobjects", Some(namespace)))
        // Why something is not ready.
        .like(ours("list", "", "pods"))
        // How much memory it takes, and how much it may.
        .like(ours("list", "metrics.k8s.io", "pods"))
        .like(accesses(OUR_NAMESPACES.map(quota::of).iter(), &["get"]))
        .like(both(namespace, "list", "", "events"))
}

fn check(plan: &Plan, namespace: &str) -> Permissions {
    // What is in a Secret is not for whoever looks.
    let all = plan.outside().map(Object::reference);
    let all = all.chain(kafka::references(namespace));
    let all: Vec<ObjectRef> = all.filter(|object| object.kind != "Secret").collect();
    let forward = ["get", "create"].map(|verb| access(verb, "", "pods/portforward", Some(namespace)));
    let scaling = explain_scaling(namespace);
    status(plan, namespace)
        .and(facts(namespace))
        .need(accesses(all.iter(), &["get"]))
        // Said where it is missing.
        .like(scaling.required)
        .like(scaling.helpful)
        .like(forward)
        .like(both(namespace, "list", "", "resourcequotas,limitranges"))
        .like(to("list", "", "nodes,services", None))
        .like(prometheuses())
        .like(grafanas())
}

/// Versions of the middleware lie side by side under names of their own, so here it is kinds that count.
fn enrolling(plan: &Plan, namespace: &str) -> Permissions {
    let mut kinds: BTreeSet<Access> = BTreeSet::new();
    for object in plan.middleware() {
        let verbs = ["get", "list", "create", "patch", "delete"];
        let each = accesses(std::iter::once(&object.reference()), &verbs);
        kinds.extend(each.into_iter().map(|access| Access { name: None, ..access }));
    }
    Permissions::default()
        .need(kinds)
        // Enrolling a service brings it into the scope of the Resiliency that is there, letting it go takes it out.
        .need(to("get,list,patch,delete", "dapr.io", "resiliencies", Some(namespace)))
        // A service that is let go is no longer scaled.
        .need(to("list,delete", "autoscaling", AUTOSCALERS, Some(namespace)))
        .need(to("list,delete", "policy", BUDGETS, Some(namespace)))
        .like(let_go(namespace))
        // A Configuration that is not announced lies in a Secret until it is needed.
        .need(to("get,create,patch", "", "secrets", Some(namespace)))
        .need(to("get,list,patch", "apps", "deployments", Some(namespace)))
        .need(to("list", "apps", "replicasets", Some(namespace)))
        // Whether there is somebody to ask about the sidecars.
        .need(kept())
        .need(to("list", "", "pods", Some(namespace)))
        // Whether the middleware runs, and why something does not become ready.
        .like(prometheus(&plan.keeper))
        .like(to("list", "", "events", Some(namespace)))
}

fn install(plan: &Plan, namespace: &str) -> Permissions {
    let all: Vec<ObjectRef> = plan.outside().map(Object::reference).collect();
    let mut permissions = facts(namespace)
        .and(choosing(plan))
        .need(accesses(all.iter(), &["get", "create", "patch"]))
        // Nobody may hand out what he does not have himself.
        .need(plan.outside().flat_map(granted));
    // Whether they are there from before.
    let others = ["collector-gateway", "traces"].map(|name| ObjectRef::deployment(STACK_NAMESPACE, name));
    permissions = permissions.need(accesses(others.iter(), &["get"]));
    if plan.enrols {
        permissions = permissions.and(enrolling(plan, namespace));
        permissions = permissions.need(to("create", "dapr.io", "resiliencies", Some(namespace)));
    }
    if plan.scales {
        permissions = permissions.and(scaling(namespace));
    }
    if plan.measures {
        permissions = permissions.and(measuring(namespace));
    }
    if all.is_empty() {
        return permissions;
    }
    // What a newer version no longer has is found by its labels, whatever it is called. Only within our
    // own namespace may it be removed by that: outside of it a name is a name.
    let members = all.iter().filter(|object| object.kind != "Namespace");
    for access in accesses(members, &["list", "delete"]) {
        let Access {
            verb,
            group,
            resource,
            namespace,
            ..
        } = &access;
        permissions = match namespace {
            Some(place) if !OUR_NAMESPACES.contains(&place.as_str()) => permissions
                .need(ours("list", group, resource))
                .need(to(verb, group, resource, Some(place))),
            Some(_) => permissions.need(ours(verb, group, resource)),
            None if verb == "list" => permissions.need(to(verb, group, resource, None)),
            None => permissions,
        };
    }
    // Where others look for what is told them, what was told before is looked for as well.
    let away = all.iter().filter(|object| {
        let namespace = object.namespace.as_deref();
        namespace.is_some_and(|namespace| !OUR_NAMESPACES.contains(&namespace))
    });
    for place in away.filter_map(|object| object.namespace.as_deref()) {
        permissions = permissions.need(to("list,delete", "", "configmaps", Some(place)));
    }
    permissions
        // What holds another budget may be there.
        .need(ours("get,list,delete", "", "resourcequotas"))
        .need(ours("list,delete", "", "limitranges"))
        // And the password of a Grafana that others take over from.
        .need(ours("list,delete", "", "secrets"))
        .need(ours("list", "", "pods"))
        .like(ours("list", "", "events"))
        // Whether a volume will come, and how many agents there will be.
        .like(to("list", "storage.k8s.io", "storageclasses", None))
        .like(to("list", "", "nodes", None))
}

/// It lets the server try everything out, which takes the same; only that nothing is removed, and nothing waited for.
fn diff(plan: &Plan, namespace: &str) -> Permissions {
    let Permissions { mut required, helpful } = install(plan, namespace);
    let waits = |access: &Access| access.resource == "pods" && access.verb == "list" && access.namespace.is_some();
    // A quota is looked for by its name to see whether it must go.
    let goes = |access: &Access| access.resource == "resourcequotas" && access.verb == "get" && access.name.is_none();
    required.retain(|access| access.verb != "delete" && !waits(access) && !goes(access));
    Permissions { required, helpful }
}

fn uninstall(plan: &Plan, namespace: &str) -> Permissions {
    let all: Vec<ObjectRef> = plan.outside().map(Object::reference).collect();
    let here = Some(namespace);
    Permissions::default()
        .need(accesses(kafka::references(namespace).iter(), &["get", "delete"]))
        .need(accesses(all.iter(), &["get", "delete"]))
        .need(accesses(quota::references().iter(), &["get", "delete"]))
        .need(to("get,list,delete", "", "configmaps", here))
        .need(to("get,delete", "dapr.io", "components,configurations", here))
        .need(to("list", "dapr.io", "configurations", here))
        .need(to("get,list,delete", "dapr.io", "resiliencies", here))
        .need(to("get,list,delete", "autoscaling", AUTOSCALERS, here))
        .need(to("get,list,delete", "policy", BUDGETS, here))
        .need(to("get", "", "secrets", here))
        .need(to("get,list,patch", "apps", "deployments", here))
        // Whether another namespace still needs the stack.
        .need(to("list", "dapr.io", "components", None))
        // Volumes, and whether something of somebody else's is in our namespace: else that stays.
        .like(ours("list", "*", "*"))
        .like(to("get,delete", "", "persistentvolumeclaims", Some(STACK_NAMESPACE)))
        .like(to("list", "", "pods,events", here))
        .like(let_go(namespace))
}

fn dashboard(keeper: &Keeper) -> Permissions {
    let address = keeper.address();
    let mut permissions = Permissions::default().need(kept());
    for namespace in [STACK_NAMESPACE, &address.namespace] {
        permissions = permissions
            .need(to("list", "", "pods", Some(namespace)))
            .need([access("get", "", "pods/portforward", Some(namespace))])
            // From Kubernetes 1.35 on a port-forward needs this too.
            .like([access("create", "", "pods/portforward", Some(namespace))]);
    }
    match keeper {
        Keeper::Own => permissions,
        // Which pods are behind it.
        _ => permissions.need(to("get", "", &address.resource, Some(&address.namespace))),
    }
}

/// Kafka may be in another namespace, which only its Component says: there it takes the same of pods and services.
fn broker(namespace: &str) -> Permissions {
    Permissions::default()
        .need(to("list", "dapr.io", "components,subscriptions", Some(namespace)))
        .need(to("list", "", "pods", Some(namespace)))
        .like(to("get", "", "services", Some(namespace)))
        .like(to("get,create", "", "pods/portforward", Some(namespace)))
}

/// What it may not ask, it says, and shows the rest.
fn trace(plan: &Plan, namespace: &str) -> Permissions {
    let Permissions { required, helpful } = logs(namespace).and(broker(namespace));
    let set = applyset::reference(STACK_NAMESPACE);
    Permissions::default()
        .like(required)
        .like(helpful)
        .like(proxied(&Address::traces()))
        // How far consumer groups are.
        .like(accesses(std::iter::once(&set), &["get"]))
        .like(prometheus(&plan.keeper))
}

fn dlq(namespace: &str) -> Permissions {
    let lease = |verb| named(access(verb, "coordination.k8s.io", "leases", Some(namespace)), LEASE);
    broker(namespace)
        // So that two replays do not run at a time.
        .like(to("create", "coordination.k8s.io", "leases", Some(namespace)))
        .like(["get", "patch", "delete"].map(lease))
}

fn bundle(plan: &Plan, namespace: &str) -> Permissions {
    let kinds = "components,configurations,resiliencies,subscriptions";
    check(plan, namespace)
        .need(both(namespace, "list", "", "pods,events"))
        .need(both(namespace, "get", "", "pods/log"))
        .need(to("list", "", "configmaps", Some(namespace)))
        .need(to("list", "dapr.io", kinds, Some(namespace)))
}

/// Whose Prometheus and whose Grafana were chosen.
fn kept() -> BTreeSet<Access> {
    let set = applyset::reference(STACK_NAMESPACE);
    let own = ["prometheus", "grafana"].map(|name| ObjectRef::deployment(STACK_NAMESPACE, name));
    accesses(own.iter().chain([&set]), &["get"])
}

/// And whose it could be; whether there is a kube-state-metrics, ours or another one.
fn choosing(plan: &Plan) -> Permissions {
    let states = ObjectRef::deployment(STACK_NAMESPACE, KUBE_STATE_METRICS);
    let permissions = Permissions::default()
        .need(kept())
        .need(accesses(std::iter::once(&states), &["get"]))
        // Who tells autoscalers about lag.
        .like(accesses(std::iter::once(&external::registration()), &["get"]))
        .like(to("list", "", "pods", None));
    let permissions = match plan.host {
        Host::Own | Host::None => permissions.like(grafanas()),
        Host::Existing(_) => permissions.need(grafanas()),
    };
    let keeper = &plan.keeper;
    match keeper {
        Keeper::Own => permissions.like(prometheuses()),
        Keeper::Operated(operated) => permissions
            .need(to("list", MONITORING, "prometheuses", None))
            .need([named(access("get", "", "namespaces", None), &operated.namespace)])
            .need([named(access("get", "", "namespaces", None), STACK_NAMESPACE)])
            .like(prometheuses()),
        Keeper::Plain(_) => permissions.need(prometheus(keeper)),
    }
}

/// The objects Prometheus, with the labels of their namespaces.
fn prometheuses() -> Vec<Access> {
    let mut all = to("list", MONITORING, "prometheuses", None);
    all.extend(to("get", "", "namespaces", None));
    all
}

/// Every Grafana, with what its pods run.
fn grafanas() -> Vec<Access> {
    to("list", "apps", "deployments,statefulsets", None)
}

fn prometheus(keeper: &Keeper) -> [Access; 1] {
    proxied(&keeper.address())
}

fn proxied(address: &Address) -> [Access; 1] {
    let proxy = format!("{}/proxy", address.resource);
    [named(
        access("get", "", &proxy, Some(&address.namespace)),
        &address.proxied(),
    )]
}

#[cfg(test)]
#[path = "permissions_tests.rs"]
mod tests;
