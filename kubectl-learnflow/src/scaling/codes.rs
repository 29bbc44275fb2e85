//! Every finding about autoscaling. Codes stay what they are from version to version; docs/autoscaling.md has the same table.

use learnflow_resilience::explain::Code;

macro_rules! codes {
    ($($constant:ident $id:literal $name:literal $about:literal,)*) => {
        $(pub(super) const $constant: Code = Code { id: $id, name: $name, about: $about };)*
        #[cfg(test)]
        pub(crate) const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    NOT_SCALED "LF501" "not-scaled" "A service has no autoscaler, and why.",
    NO_REQUEST "LF502" "no-request" "An autoscaler goes by a share of a request that a container does not make: it never scales.",
    NO_FIGURES "LF503" "no-figures" "An autoscaler goes by a metric that nobody serves: it never scales.",
    TWO_SCALERS "LF504" "two-autoscalers" "Two autoscalers set the pods of one Deployment, and fight.",
    REPLICAS_SET "LF505" "replicas-set" "Whoever applies the Deployment sets spec.replicas as well: each time the autoscaler's number is lost.",
    QUOTA "LF506" "beyond-quota" "The maximum does not fit into a ResourceQuota.",
    REFUSED "LF507" "pods-refused" "A ResourceQuota or a LimitRange refuses each new pod.",
    NODES "LF508" "beyond-nodes" "The maximum does not fit on the nodes that there are.",
    TOGETHER "LF509" "not-all-at-once" "Each service fits into the ResourceQuota, and all at their maximum at once do not.",
    NO_SPREAD "LF510" "not-spread" "Nothing spreads the pods of a service over nodes: one node may take all of them along.",
    NO_BUDGET "LF511" "no-disruption-budget" "Nothing keeps a drained node from taking several pods of a service at once.",
    TWO_BUDGETS "LF512" "two-disruption-budgets" "Pods are under two PodDisruptionBudgets: evicting one of them always fails.",
    BLOCKS_DRAIN "LF513" "blocks-drains" "A PodDisruptionBudget lets no pod go while the service has its minimum: a drained node waits for ever.",
    MEMORY "LF514" "memory-holds-pods" "Memory alone keeps pods that the calls do not need.",
    PARTITIONS "LF515" "beyond-partitions" "A consumer may get more pods than its topics have partitions: each one more idles.",
}
