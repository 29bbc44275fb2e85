//! What the lab is made of: every part, its version and how it is made. Data only.

/// How a part is made.
#[derive(Debug, Clone, Copy)]
pub enum Recipe {
    /// Static Go binaries, from the go.mod and go.sum in `parts/MODULE/`.
    Go {
        module: &'static str,
        tags: &'static str,
        /// What a release build sets: versions that programs report.
        set: &'static [(&'static str, &'static str)],
        packages: &'static [&'static str],
    },
    /// The same of one module, of which a few lines must be changed (`parts/MODULE/edits.json`) to build.
    GoEdited {
        module: &'static str,
        path: &'static str,
        package: &'static str,
    },
    /// One folder of a Go module that `parts/MODULE/go.mod` pins.
    GoFolder {
        module: &'static str,
        path: &'static str,
        folder: &'static str,
    },
    /// Debian packages, unpacked beside the system, so that no service of the machine starts.
    Debian { packages: &'static [&'static str] },
    /// Kafka's jars (`parts/kafka/pom.xml`) and a Java runtime with just the modules they need.
    Kafka { java_modules: &'static str },
    /// An image in docker-archive form, under its official name, from files of other parts.
    Image {
        reference: &'static str,
        entrypoint: &'static [&'static str],
        files: &'static [ImageFile],
    },
}

/// A file or folder of a part, and where it goes in an image.
#[derive(Debug, Clone, Copy)]
pub struct ImageFile {
    pub part: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

const fn file(part: &'static str, from: &'static str, to: &'static str) -> ImageFile {
    ImageFile { part, from, to }
}

#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub name: &'static str,
    pub version: &'static str,
    /// Whether the demo and the main tests need it; the rest is built by `lab build --all` and the full tests.
    pub base: bool,
    pub recipe: Recipe,
}

/// The images that pods of the lab start from. They exist nowhere else: pulling is impossible.
pub const DAPR: &str = "1.18.1";

/// In the order of building: the long ones first, so that two cores end together.
pub const PARTS: &[Part] = &[
    Part {
        name: "kubernetes",
        version: "1.34.4",
        base: true,
        recipe: Recipe::Go {
            module: "kubernetes",
            tags: "",
            set: &[
                ("k8s.io/component-base/version.gitVersion", "v1.34.4"),
                ("k8s.io/component-base/version.gitMajor", "1"),
                ("k8s.io/component-base/version.gitMinor", "34"),
                ("k8s.io/client-go/pkg/version.gitVersion", "v1.34.4"),
            ],
            packages: &[
                "k8s.io/kubernetes/cmd/kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-scheduler",
                "k8s.io/kubernetes/cmd/kubelet",
                "k8s.io/kubernetes/cmd/kube-proxy",
                "k8s.io/kubernetes/cmd/kubectl",
            ],
        },
    },
    Part {
        name: "dapr",
        version: DAPR,
        base: true,
        recipe: Recipe::Go {
            module: "dapr",
            // In Kubernetes mode daprd needs its secret store and name resolver: all components.
            tags: "allcomponents",
            set: &[
                ("github.com/dapr/dapr/pkg/buildinfo.version", DAPR),
                ("github.com/dapr/kit/logger.DaprVersion", DAPR),
            ],
            packages: &[
                "github.com/dapr/dapr/cmd/daprd",
                "github.com/dapr/dapr/cmd/operator",
                "github.com/dapr/dapr/cmd/sentry",
                "github.com/dapr/dapr/cmd/injector",
            ],
        },
    },
    Part {
        name: "prometheus",
        version: "3.16.0",
        base: true,
        recipe: Recipe::Go {
            module: "prometheus",
            // Of all service discoveries only the one that a cluster uses: the others double the build.
            tags: "remove_all_sd,enable_kubernetes_sd",
            set: &[("github.com/prometheus/common/version.Version", "3.16.0")],
            packages: &[
                "github.com/prometheus/prometheus/cmd/prometheus",
                "github.com/prometheus/prometheus/cmd/promtool",
            ],
        },
    },
    // The newest version that has every component to be had.
    Part {
        name: "collector",
        version: "0.148.0",
        base: true,
        recipe: Recipe::Go {
            module: "collector",
            tags: "",
            set: &[],
            packages: &["."],
        },
    },
    // Jaeger v2 has its Go module still under v1. The Collector's modules it asks for are not all to be had, those of the next
    // release are: hence the edits.
    Part {
        name: "jaeger",
        version: "2.13.0",
        base: true,
        recipe: Recipe::GoEdited {
            module: "jaeger",
            path: "github.com/jaegertracing/jaeger",
            package: "github.com/jaegertracing/jaeger/cmd/jaeger",
        },
    },
    Part {
        name: "kube-state-metrics",
        version: "2.18.0",
        base: true,
        recipe: Recipe::Go {
            module: "kube-state-metrics",
            tags: "",
            set: &[("github.com/prometheus/common/version.Version", "v2.18.0")],
            packages: &["k8s.io/kube-state-metrics/v2"],
        },
    },
    // With the libraries of its own release: it does not compile with those of a newer Kubernetes.
    Part {
        name: "prometheus-adapter",
        version: "0.12.0",
        base: false,
        recipe: Recipe::Go {
            module: "prometheus-adapter",
            tags: "",
            set: &[],
            packages: &["sigs.k8s.io/prometheus-adapter/cmd/adapter"],
        },
    },
    Part {
        name: "coredns",
        version: "1.12.2",
        base: true,
        recipe: Recipe::Go {
            module: "coredns",
            tags: "",
            set: &[],
            packages: &["."],
        },
    },
    Part {
        name: "etcd",
        version: "3.6.16",
        base: true,
        recipe: Recipe::Go {
            module: "etcd",
            tags: "",
            set: &[],
            packages: &["."],
        },
    },
    Part {
        name: "helm",
        version: "3.22.0",
        base: true,
        recipe: Recipe::Go {
            module: "helm",
            tags: "",
            set: &[],
            packages: &["helm.sh/helm/v3/cmd/helm"],
        },
    },
    Part {
        name: "kwok-metrics-server",
        version: "0.8.0, 0.9.0",
        base: false,
        recipe: Recipe::Go {
            module: "kwok-metrics-server",
            tags: "",
            set: &[],
            packages: &[
                "sigs.k8s.io/metrics-server/cmd/metrics-server",
                "sigs.k8s.io/kwok/cmd/kwok",
            ],
        },
    },
    Part {
        name: "prometheus-operator",
        version: "0.85.0",
        base: false,
        recipe: Recipe::Go {
            module: "prometheus-operator",
            tags: "",
            set: &[("github.com/prometheus/common/version.Version", "0.85.0")],
            packages: &[
                "github.com/prometheus-operator/prometheus-operator/cmd/operator",
                "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader",
            ],
        },
    },
    Part {
        name: "kafka",
        version: "4.1.0",
        base: true,
        recipe: Recipe::Kafka {
            // java.desktop: Kafka's logging wants `java.beans`.
            java_modules: "java.base,java.desktop,java.logging,java.management,java.naming,java.rmi,java.security.jgss,\
                           java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.management,jdk.unsupported",
        },
    },
    Part {
        name: "debian",
        version: "containerd 1.6, runc 1.1",
        base: true,
        recipe: Recipe::Debian {
            packages: &["containerd", "runc", "containernetworking-plugins", "busybox-static"],
        },
    },
    Part {
        name: "dapr-chart",
        version: DAPR,
        base: true,
        recipe: Recipe::GoFolder {
            module: "dapr",
            path: "github.com/dapr/dapr",
            folder: "charts/dapr",
        },
    },
    Part {
        name: "kwok-stages",
        version: "0.8.0",
        base: false,
        recipe: Recipe::GoFolder {
            module: "kwok-metrics-server",
            path: "sigs.k8s.io/kwok",
            folder: "kustomize/stage",
        },
    },
    Part {
        name: "prometheus-operator-crds",
        version: "0.85.0",
        base: false,
        recipe: Recipe::GoFolder {
            module: "prometheus-operator",
            path: "github.com/prometheus-operator/prometheus-operator",
            folder: "example/prometheus-operator-crd",
        },
    },
    image(
        "image-pause",
        "registry.k8s.io/pause:3.6",
        &["/busybox", "sleep", "2147483647"],
        &[file("debian", "bin/busybox", "busybox")],
    ),
    image(
        "image-coredns",
        "registry.k8s.io/coredns/coredns:v1.12.2",
        &["/coredns"],
        &[file("coredns", "coredns", "coredns")],
    ),
    image(
        "image-dapr-operator",
        "ghcr.io/dapr/operator:1.18.1",
        &["/operator"],
        &[file("dapr", "operator", "operator")],
    ),
    image(
        "image-dapr-sentry",
        "ghcr.io/dapr/sentry:1.18.1",
        &["/sentry"],
        &[file("dapr", "sentry", "sentry")],
    ),
    image(
        "image-dapr-injector",
        "ghcr.io/dapr/injector:1.18.1",
        &["/injector"],
        &[file("dapr", "injector", "injector")],
    ),
    image(
        "image-daprd",
        "ghcr.io/dapr/daprd:1.18.1",
        &["/daprd"],
        &[file("dapr", "daprd", "daprd")],
    ),
    image(
        "image-kafka",
        "docker.io/apache/kafka:4.1.0",
        &["/bin/sh"],
        &[
            file("debian", "bin/busybox", "bin/sh"),
            file("kafka", "jre", "opt/jre"),
            file("kafka", "root", ""),
            file("kafka", "lib", "opt/kafka/lib"),
        ],
    ),
    image(
        "image-collector",
        "docker.io/otel/opentelemetry-collector-contrib:0.148.0",
        &["/otelcol-contrib"],
        &[file("collector", "collector", "otelcol-contrib")],
    ),
    image(
        "image-jaeger",
        "docker.io/jaegertracing/jaeger:2.13.0",
        &["/cmd/jaeger/jaeger-linux"],
        &[file("jaeger", "jaeger", "cmd/jaeger/jaeger-linux")],
    ),
    image(
        "image-prometheus",
        "quay.io/prometheus/prometheus:v3.16.0",
        &["/bin/prometheus"],
        &[file("prometheus", "prometheus", "bin/prometheus")],
    ),
    image(
        "image-kube-state-metrics",
        "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0",
        &["/kube-state-metrics"],
        &[file("kube-state-metrics", "kube-state-metrics", "kube-state-metrics")],
    ),
    beyond_the_base(image(
        "image-prometheus-adapter",
        "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0",
        &["/adapter"],
        &[file("prometheus-adapter", "adapter", "adapter")],
    )),
    beyond_the_base(image(
        "image-prometheus-operator",
        "quay.io/prometheus-operator/prometheus-operator:v0.85.0",
        &["/bin/operator"],
        &[file("prometheus-operator", "operator", "bin/operator")],
    )),
    beyond_the_base(image(
        "image-prometheus-config-reloader",
        "quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0",
        &["/bin/prometheus-config-reloader"],
        &[file(
            "prometheus-operator",
            "prometheus-config-reloader",
            "bin/prometheus-config-reloader",
        )],
    )),
];

const fn beyond_the_base(part: Part) -> Part {
    Part { base: false, ..part }
}

const fn image(
    name: &'static str,
    reference: &'static str,
    entrypoint: &'static [&'static str],
    files: &'static [ImageFile],
) -> Part {
    Part {
        name,
        version: reference,
        base: true,
        recipe: Recipe::Image {
            reference,
            entrypoint,
            files,
        },
    }
}

impl Part {
    /// The parts that must be there before this one can be made.
    pub fn needs(&self) -> Vec<&'static str> {
        match self.recipe {
            Recipe::Image { files, .. } => files.iter().map(|file| file.part).collect(),
            _ => Vec::new(),
        }
    }

    pub fn find(name: &str) -> Option<&'static Part> {
        PARTS.iter().find(|part| part.name == name)
    }

    /// A part that is known to exist.
    pub fn named(name: &str) -> &'static Part {
        Self::find(name).unwrap_or_else(|| panic!("no part is called {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_needed_part_exists_and_comes_first() {
        for (index, part) in PARTS.iter().enumerate() {
            for need in part.needs() {
                let at = PARTS.iter().position(|other| other.name == need);
                assert!(at.is_some_and(|at| at < index), "{} needs {need}", part.name);
            }
        }
    }

    #[test]
    fn the_base_needs_nothing_beyond_the_base() {
        for part in PARTS.iter().filter(|part| part.base) {
            for need in part.needs() {
                assert!(Part::named(need).base, "{} needs {need}", part.name);
            }
        }
    }
}
