//! Who may talk to whom. The flows are read from the configurations that make them, and the policies are held against these:
//! each is let through, and nothing else is. No cluster is asked, as not every network enforces policies; the lab's does not.

use super::*;
use crate::concern::Profile;
use std::collections::{BTreeMap, BTreeSet};

/// Somebody in the cluster; without labels, somebody outside of it or an address that no label selects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    name: &'static str,
    namespace: &'static str,
    labels: BTreeMap<String, String>,
}

/// Where API servers listen.
const API: [u64; 4] = [443, 6443, 8443, 16443];

type Flow = (&'static str, &'static str, u64);

/// With the collector of a Kafka at `kafka:9092`, among all others: only here it does not matter whose each is.
fn plan(profile: Profile) -> Plan {
    let shape = Shape {
        profile,
        ..Shape::default()
    };
    let mut plan = Plan::shaped("shop", &BTreeSet::new(), &shape).expect("the plugin's own manifests");
    let metadata = json!([{ "name": "brokers", "value": "kafka:9092" }, { "name": "authType", "value": "none" }]);
    let component = kafka::Component::read("events", &json!({ "spec": { "metadata": metadata } }));
    let kafka = kafka::plan("shop", &[component], &shape, true).expect("its own manifests");
    plan.stack.extend(kafka.objects);
    plan
}

fn has(plan: &Plan, name: &str) -> bool {
    plan.stack
        .iter()
        .any(|object| object.is_workload() && object.name() == name)
}

fn object<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Value {
    let mut objects = plan
        .stack
        .iter()
        .filter(|object| object.kind() == kind && object.name() == name);
    objects.next().unwrap_or_else(|| panic!("{kind} {name}")).value()
}

fn workload<'a>(plan: &'a Plan, name: &str) -> &'a Value {
    let mut objects = plan
        .stack
        .iter()
        .filter(|object| object.is_workload() && object.name() == name);
    objects.next().unwrap_or_else(|| panic!("{name}")).value()
}

fn config(plan: &Plan, name: &str, file: &str) -> Value {
    let text = object(plan, "ConfigMap", name)["data"][file]
        .as_str()
        .expect(file)
        .to_owned();
    serde_saphyr::from_str(&text).expect("YAML")
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), value.as_str().expect("a label").to_owned()))
        .collect()
}

fn peers(plan: &Plan) -> Vec<Peer> {
    let ours = |name: &'static str, namespace| Peer {
        name,
        namespace,
        labels: labels(&workload(plan, name)["spec"]["template"]["metadata"]["labels"]),
    };
    let other = |name, namespace, pairs: &[(&str, &str)]| Peer {
        name,
        namespace,
        labels: pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let of_production = has(plan, "collector-spans").then(|| ours("collector-spans", STACK_NAMESPACE));
    let mut peers = vec![
        ours("collector-agent", AGENT_NAMESPACE),
        ours("collector-gateway", STACK_NAMESPACE),
        ours("prometheus", STACK_NAMESPACE),
        ours("traces", STACK_NAMESPACE),
        ours("kube-state-metrics", STACK_NAMESPACE),
        ours("grafana", STACK_NAMESPACE),
        ours("prometheus-adapter", STACK_NAMESPACE),
        ours("collector-kafka", "shop"),
    ];
    peers.extend(of_production);
    peers.extend([
        // What the injector puts on a pod, and a Prometheus of somebody else.
        other(
            "sidecar",
            "shop",
            &[
                ("dapr.io/sidecar-injected", "true"),
                ("dapr.io/metrics-enabled", "true"),
            ],
        ),
        other(
            "their-prometheus",
            "monitoring",
            &[("app.kubernetes.io/name", "prometheus")],
        ),
        other(
            "their-kube-state-metrics",
            "monitoring",
            &[("app.kubernetes.io/name", "kube-state-metrics")],
        ),
        other("neighbour", STACK_NAMESPACE, &[("app", "x")]),
        other("stranger", "shop", &[("app", "x")]),
        other("outside", "", &[]),
    ]);
    peers
}

/// The port of a pod that `name:port` leads to through a Service of ours: (pod, port).
fn behind(plan: &Plan, address: &str) -> (&'static str, u64) {
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let service = host.split('.').next().expect("a name");
    let ports = object(plan, "Service", service)["spec"]["ports"]
        .as_array()
        .expect("ports");
    let port: u64 = port.parse().expect("a port");
    let found = ports
        .iter()
        .find(|other| other["port"] == port)
        .unwrap_or_else(|| panic!("{address}: no such port"));
    (
        known(service),
        container_port(plan, service, found["targetPort"].as_str().expect("a name")),
    )
}

fn known(name: &str) -> &'static str {
    let names = [
        "collector-agent",
        "collector-gateway",
        "collector-spans",
        "kube-state-metrics",
        "prometheus",
        "traces",
        "grafana",
    ];
    names
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or_else(|| panic!("{name}"))
}

fn container_port(plan: &Plan, workload_name: &str, port: &str) -> u64 {
    let ports = &workload(plan, workload_name)["spec"]["template"]["spec"]["containers"][0]["ports"];
    let found = ports
        .as_array()
        .into_iter()
        .flatten()
        .find(|other| other["name"] == port);
    found
        .and_then(|found| found["containerPort"].as_u64())
        .unwrap_or_else(|| panic!("{workload_name} has no port {port}"))
}

fn all_ports(plan: &Plan) -> BTreeSet<u64> {
    let mut ports = BTreeSet::from([22, 53, 80, 443, 3500, 5353, 6443, 8443, 9092, 10250, 16443, 50_000]);
    for object in plan.stack.iter().filter(|object| object.is_workload()) {
        let containers = &object.value()["spec"]["template"]["spec"]["containers"];
        let each = containers
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|container| container["ports"].as_array());
        ports.extend(each.flatten().filter_map(|port| port["containerPort"].as_u64()));
    }
    ports
}

/// What the configurations make happen.
fn flows(plan: &Plan) -> BTreeSet<Flow> {
    let mut flows: BTreeSet<Flow> = BTreeSet::new();
    let mut names: BTreeSet<&'static str> = BTreeSet::new();

    let agent = config(plan, "collector-agent", "config.yaml");
    for exporter in agent["exporters"].as_object().expect("exporters").values() {
        let (to, port) = behind(plan, exporter["endpoint"].as_str().expect("an endpoint"));
        flows.insert(("collector-agent", to, port));
        names.insert("collector-agent");
    }
    // Spans, from whom they are kept.
    let spans = config(plan, "collector-gateway", "spans.yaml");
    let (to, port) = behind(
        plan,
        spans["exporters"]["otlp_grpc"]["endpoint"]
            .as_str()
            .expect("an endpoint"),
    );
    flows.insert(("collector-gateway", to, port));
    names.insert("collector-gateway");
    if has(plan, "collector-spans") {
        flows.insert(("collector-spans", to, port));
        names.insert("collector-spans");
        let balance = config(plan, "collector-gateway", "balance.yaml");
        let dns = &balance["exporters"]["loadbalancing"]["resolver"]["dns"];
        let text = |key: &str| dns[key].as_str().expect("a text").to_owned();
        let (to, port) = behind(plan, &format!("{}:{}", text("hostname"), text("port")));
        flows.insert(("collector-gateway", to, port));
    }
    let spans = plan.configuration.value()["spec"]["tracing"]["otel"]["endpointAddress"]
        .as_str()
        .expect("an address");
    let (to, port) = behind(plan, spans);
    flows.insert(("sidecar", to, port));
    // And from the app beside it, by HTTP as well.
    flows.insert(("sidecar", to, container_port(plan, to, "otlp-http")));

    let prometheus = config(plan, "prometheus", "prometheus.yml");
    for job in prometheus["scrape_configs"].as_array().expect("jobs") {
        let static_targets = job["static_configs"].as_array().into_iter().flatten();
        for target in static_targets.flat_map(|group| group["targets"].as_array().expect("targets")) {
            let target = target.as_str().expect("a target");
            if target.starts_with("localhost:") {
                continue;
            }
            let (to, port) = behind(plan, target);
            flows.insert(("prometheus", to, port));
            names.insert("prometheus");
        }
        for discovery in job["kubernetes_sd_configs"].as_array().into_iter().flatten() {
            for port in API {
                flows.insert(("prometheus", "outside", port));
            }
            if discovery["role"] == "node" {
                // Where a node's kubelet says that it listens.
                flows.insert(("prometheus", "outside", 10250));
                continue;
            }
            let selector = discovery["selectors"][0]["label"].as_str().expect("a selector");
            // The port is its owner's choice.
            let any_port = |peer| all_ports(plan).into_iter().map(move |port| ("prometheus", peer, port));
            if selector.starts_with("dapr.io/") {
                flows.extend(any_port("sidecar"));
                continue;
            }
            let keep = job["relabel_configs"]
                .as_array()
                .expect("rules")
                .iter()
                .find(|rule| rule["source_labels"][0] == "__meta_kubernetes_pod_container_port_name");
            let port = keep.and_then(|rule| rule["regex"].as_str()).expect("a port's name");
            if selector.ends_with("=kube-state-metrics") {
                flows.extend(any_port("their-kube-state-metrics"));
                let port = container_port(plan, "kube-state-metrics", "http-metrics");
                flows.insert(("prometheus", "kube-state-metrics", port));
                continue;
            }
            let read = [
                "collector-agent",
                "collector-gateway",
                "collector-kafka",
                "collector-spans",
                "traces",
            ];
            for name in read
                .into_iter()
                .filter(|name| has(plan, name) && selector.contains(name))
            {
                flows.insert(("prometheus", name, container_port(plan, name, port)));
            }
        }
    }
    let sources = config(plan, "grafana", "datasources.yaml");
    let sources = sources["datasources"].as_array().expect("data sources");
    for url in sources.iter().filter_map(|source| source["url"].as_str()) {
        let (to, port) = behind(plan, url.trim_start_matches("http://"));
        flows.insert(("grafana", to, port));
        names.insert("grafana");
    }
    let kafka = config(plan, "collector-kafka", "brokers.yaml");
    for receiver in kafka["receivers"].as_object().expect("receivers").values() {
        for broker in receiver["brokers"].as_array().expect("brokers") {
            let port = broker
                .as_str()
                .and_then(|broker| broker.rsplit_once(':'))
                .expect("a port")
                .1;
            flows.insert(("collector-kafka", "outside", port.parse().expect("a port")));
            names.insert("collector-kafka");
        }
    }
    // What ours reads from the Collectors another one may read in its place.
    let read: Vec<Flow> = flows
        .iter()
        .filter(|(from, to, _)| {
            *from == "prometheus" && !["outside", "sidecar", "their-kube-state-metrics"].contains(to)
        })
        .copied()
        .collect();
    flows.extend(read.into_iter().map(|(_, to, port)| ("their-prometheus", to, port)));
    // It watches what it tells of, by the API server's address.
    flows.extend(API.map(|port| ("kube-state-metrics", "outside", port)));
    let adapter = workload(plan, "prometheus-adapter")["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let args = adapter.as_array().expect("arguments").iter().filter_map(Value::as_str);
    for url in args.filter_map(|arg| arg.strip_prefix("--prometheus-url=http://")) {
        let (to, port) = behind(plan, url);
        flows.insert(("prometheus-adapter", to, port));
        names.insert("prometheus-adapter");
    }
    // It listens where kubelets do, which Prometheus may call at any address.
    flows.insert((
        "prometheus",
        "prometheus-adapter",
        container_port(plan, "prometheus-adapter", "https"),
    ));
    // It asks the API server who its callers are.
    flows.extend(API.map(|port| ("prometheus-adapter", "outside", port)));
    // Names are looked up.
    for name in names {
        flows.extend([53, 5353].map(|port| (name, "outside", port)));
    }
    // The plugin asks through the API server, from wherever that is.
    for (asked, port) in [
        ("prometheus", "http"),
        ("traces", "http"),
        ("grafana", "http"),
        ("prometheus-adapter", "https"),
    ] {
        let port = container_port(plan, asked, port);
        let others = peers(plan)
            .into_iter()
            .filter(|peer| !peer.labels.contains_key(PART_OF));
        flows.extend(others.map(|peer| (peer.name, asked, port)));
    }
    flows
}

fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    assert!(selector["matchExpressions"].is_null(), "not read here");
    self::labels(&selector["matchLabels"])
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether one rule lets this through; `side` is `from` or `to`.
fn lets(rule: &Value, side: &str, other: &Peer, port: u64, protocol: &str) -> bool {
    let ports = rule["ports"].as_array();
    let port_is_meant = ports.is_none_or(|ports| ports.iter().any(|p| p["port"] == port && p["protocol"] == protocol));
    let peer_is_meant = rule[side].as_array().is_none_or(|peers| {
        peers.iter().any(|peer| {
            let namespace = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), other.namespace.to_owned())]);
            assert!(
                peer["ipBlock"].is_null() && peer["namespaceSelector"].is_object(),
                "not read here: {peer}"
            );
            other.name != "outside"
                && selects(&peer["namespaceSelector"], &namespace)
                && selects(&peer["podSelector"], &other.labels)
        })
    });
    port_is_meant && peer_is_meant
}

/// Whether the policies of one side let it through; `None`: no policy selects that pod, so anything is.
fn side(plan: &Plan, pod: &Peer, other: &Peer, port: u64, protocol: &str, ingress: bool) -> Option<bool> {
    let (kind, rules, peer) = if ingress {
        ("Ingress", "ingress", "from")
    } else {
        ("Egress", "egress", "to")
    };
    let policies: Vec<&Value> = plan
        .stack
        .iter()
        .filter(|object| object.kind() == "NetworkPolicy" && object.namespace() == Some(pod.namespace))
        .map(|object| &object.value()["spec"])
        .filter(|spec| {
            spec["policyTypes"]
                .as_array()
                .is_some_and(|types| types.contains(&json!(kind)))
        })
        .filter(|spec| selects(&spec["podSelector"], &pod.labels))
        .collect();
    let rules = |spec: &&Value| spec[rules].as_array().cloned().unwrap_or_default();
    (!policies.is_empty()).then(|| {
        policies
            .iter()
            .flat_map(rules)
            .any(|rule| lets(&rule, peer, other, port, protocol))
    })
}

fn passes(plan: &Plan, from: &Peer, to: &Peer, port: u64, protocol: &str) -> bool {
    let out = from.name == "outside" || side(plan, from, to, port, protocol, false).unwrap_or(true);
    let into = to.name == "outside" || side(plan, to, from, port, protocol, true).unwrap_or(true);
    out && into
}

#[test]
fn every_flow_is_let_through_and_nothing_else() {
    for profile in [Profile::Dev, Profile::Production] {
        every_flow_of(&plan(profile));
    }
}

fn every_flow_of(plan: &Plan) {
    let peers = peers(plan);
    let wanted = flows(plan);
    assert!(wanted.len() > 20, "{wanted:?}");
    let is_ours = |peer: &Peer| peer.labels.get(PART_OF).is_some_and(|part_of| part_of == MIDDLEWARE);
    let mut seen: BTreeSet<&Flow> = BTreeSet::new();
    for (from, to) in peers.iter().flat_map(|from| peers.iter().map(move |to| (from, to))) {
        if from == to || !(is_ours(from) || is_ours(to)) {
            continue;
        }
        for port in all_ports(plan) {
            let passes = passes(plan, from, to, port, "TCP");
            // Any address at a port is also a pod's address at that port.
            let to_any = is_ours(from) && wanted.contains(&(from.name, "outside", port)) && !is_ours(to);
            let flow = (from.name, to.name, port);
            assert_eq!(passes, wanted.contains(&flow) || to_any, "{flow:?}");
            seen.extend(wanted.get(&flow));
        }
    }
    let self_made: Vec<&Flow> = wanted
        .iter()
        .filter(|flow| !seen.contains(*flow) && flow.0 != flow.1)
        .collect();
    assert!(self_made.is_empty(), "never looked at: {self_made:?}");
}

#[test]
fn names_are_looked_up_by_udp() {
    let plan = plan(Profile::Production);
    let peers = peers(&plan);
    let outside = peers.last().expect("outside");
    for peer in peers.iter().filter(|peer| has(&plan, peer.name)) {
        let calls = [
            "collector-agent",
            "collector-gateway",
            "collector-spans",
            "grafana",
            "collector-kafka",
            "prometheus-adapter",
        ]
        .contains(&peer.name);
        assert_eq!(passes(&plan, peer, outside, 53, "UDP"), calls, "{}", peer.name);
        assert!(!passes(&plan, peer, outside, 443, "UDP"), "{}", peer.name);
    }
}

#[test]
fn a_pod_of_ours_without_a_policy_of_its_own_is_shut() {
    let plan = plan(Profile::Production);
    let peers = peers(&plan);
    for namespace in OUR_NAMESPACES {
        let labels = BTreeMap::from([(PART_OF.to_owned(), MIDDLEWARE.to_owned())]);
        let new = Peer {
            name: "new",
            namespace,
            labels,
        };
        for peer in &peers {
            for port in all_ports(&plan) {
                assert!(!passes(&plan, peer, &new, port, "TCP"), "{} to a new pod", peer.name);
                // Prometheus is open to all that may send.
                assert!(!passes(&plan, &new, peer, port, "TCP"), "a new pod to {}", peer.name);
            }
        }
    }
}
