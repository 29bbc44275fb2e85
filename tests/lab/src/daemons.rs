//! The programs of the node, with the flags that any node has, and why the unusual ones.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::json;

use crate::{
    node::{NODE_IP, Plan},
    paths::Timings,
};

#[derive(Debug)]
pub struct Daemon {
    pub name: &'static str,
    pub program: &'static str,
    pub arguments: Vec<String>,
}

fn daemon(name: &'static str, program: &'static str, arguments: &[&str]) -> Daemon {
    Daemon {
        name,
        program,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    }
}

const CONTAINERD_CONFIG: &str = "/run/containerd.toml";
const CNI_FOLDER: &str = "/run/cni";
const KUBELET_CONFIG: &str = "/run/kubelet.json";
pub const DNS_IP: &str = "10.96.0.10";

const KWOK_STAGES: &[&str] = &[
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
];
const KWOK_CONFIG: &str = "/run/kwok.yaml";

/// Writes what containerd, CNI and the kubelet read.
pub fn write_configuration(lab: &Path, plan: &Plan) -> Result<()> {
    let cni_bin = plan.parts.file("debian", "usr/lib/cni");
    let cni_bin = cni_bin.display();
    fs::write(
        CONTAINERD_CONFIG,
        format!(
            r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.6"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_bin}"
    conf_dir = "{CNI_FOLDER}"
"#
        ),
    )?;
    fs::create_dir_all(CNI_FOLDER)?;
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
                "ipam": {
                    "type": "host-local", "dataDir": "/var/lib/cni",
                    "ranges": [[{"subnet": "10.244.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    fs::write(format!("{CNI_FOLDER}/10-lab.conflist"), serde_json::to_vec(&network)?)?;
    let pki = lab.join("pki");
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.join("kubelet.crt"),
        "tlsPrivateKeyFile": pki.join("kubelet.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "failCgroupV1": false,
        // The machine's disk is not the lab's: no evictions because of it.
        "localStorageCapacityIsolation": false,
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 200,
        "resolvConf": "/dev/null",
        // What the tests wait for: a rollout sees a changed pod at once.
        "syncFrequency": "10s",
        "serializeImagePulls": false,
    });
    fs::write(KUBELET_CONFIG, serde_json::to_vec(&kubelet)?)?;
    fs::write(KWOK_CONFIG, include_str!("../manifests/kwok.yaml"))?;
    fs::create_dir_all(lab.join("logs"))?;
    Ok(())
}

pub fn etcd() -> Daemon {
    daemon(
        "etcd",
        "etcd",
        &[
            "--name=lab",
            // In memory: the lab is thrown away, and a disk would only slow it down.
            "--data-dir=/run/etcd",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=lab=http://127.0.0.1:2380",
        ],
    )
}

pub fn containerd() -> Daemon {
    daemon("containerd", "containerd", &["--config", CONTAINERD_CONFIG])
}

pub fn apiserver(lab: &Path) -> Daemon {
    let pki = lab.join("pki");
    let pki = pki.display();
    let mut apiserver = daemon("apiserver", "kube-apiserver", &[]);
    apiserver.arguments = vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=0.0.0.0".into(),
        format!("--advertise-address={NODE_IP}"),
        "--secure-port=6443".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        format!("--client-ca-file={pki}/ca.crt"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-signing-key-file={pki}/service-accounts.key"),
        format!("--service-account-key-file={pki}/service-accounts.pub"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--kubelet-client-certificate={pki}/kubelet-client.crt"),
        format!("--kubelet-client-key={pki}/kubelet-client.key"),
        format!("--kubelet-certificate-authority={pki}/ca.crt"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--proxy-client-cert-file={pki}/front-proxy.crt"),
        format!("--proxy-client-key-file={pki}/front-proxy.key"),
        format!("--requestheader-client-ca-file={pki}/ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--enable-aggregator-routing=true".into(),
    ];
    apiserver
}

/// Everything that wants an API server: `kubeconfig` names its own credentials.
pub fn after_the_api(lab: &Path, plan: &Plan) -> Vec<Daemon> {
    let pki = lab.join("pki");
    let pki = pki.display();
    let mut daemons = vec![
        daemon(
            "controller-manager",
            "kube-controller-manager",
            &[
                &format!("--kubeconfig={pki}/controller-manager.kubeconfig"),
                &format!("--authentication-kubeconfig={pki}/controller-manager.kubeconfig"),
                &format!("--authorization-kubeconfig={pki}/controller-manager.kubeconfig"),
                "--bind-address=127.0.0.1",
                &format!("--service-account-private-key-file={pki}/service-accounts.key"),
                &format!("--root-ca-file={pki}/ca.crt"),
                &format!("--cluster-signing-cert-file={pki}/ca.crt"),
                &format!("--cluster-signing-key-file={pki}/ca.key"),
                "--use-service-account-credentials=true",
                "--leader-elect=false",
            ],
        ),
        daemon(
            "scheduler",
            "kube-scheduler",
            &[
                &format!("--kubeconfig={pki}/scheduler.kubeconfig"),
                &format!("--authentication-kubeconfig={pki}/scheduler.kubeconfig"),
                &format!("--authorization-kubeconfig={pki}/scheduler.kubeconfig"),
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ],
        ),
        daemon(
            "kubelet",
            "kubelet",
            &[
                &format!("--config={KUBELET_CONFIG}"),
                &format!("--kubeconfig={pki}/kubelet.kubeconfig"),
                "--cert-dir=/run/kubelet-pki",
                "--hostname-override=lab",
                &format!("--node-ip={NODE_IP}"),
            ],
        ),
        daemon(
            "proxy",
            "kube-proxy",
            &[
                &format!("--kubeconfig={pki}/proxy.kubeconfig"),
                "--proxy-mode=iptables",
                "--cluster-cidr=10.244.0.0/16",
                "--hostname-override=lab",
                // These are settings of the whole machine: left alone.
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
            ],
        ),
    ];
    if plan.timings == Timings::Short {
        // Tests cannot wait for the defaults (15 s, 30 s, 5 min).
        daemons[0].arguments.extend(
            [
                "--horizontal-pod-autoscaler-sync-period=5s",
                "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
                "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
            ]
            .map(str::to_owned),
        );
    }
    // It panics unless the resolution is longer than the timeout.
    let (resolution, timeout) = match plan.timings {
        Timings::Short => ("10s", "5s"),
        Timings::Default => ("15s", "10s"),
    };
    if plan.metrics_server {
        daemons.push(daemon(
            "metrics-server",
            "metrics-server",
            &[
                &format!("--kubeconfig={pki}/admin.kubeconfig"),
                &format!("--authentication-kubeconfig={pki}/admin.kubeconfig"),
                &format!("--authorization-kubeconfig={pki}/admin.kubeconfig"),
                &format!("--bind-address={NODE_IP}"),
                "--secure-port=14443",
                &format!("--tls-cert-file={pki}/metrics-server.crt"),
                &format!("--tls-private-key-file={pki}/metrics-server.key"),
                "--kubelet-use-node-status-port",
                "--kubelet-preferred-address-types=InternalIP",
                &format!("--kubelet-certificate-authority={pki}/ca.crt"),
                &format!("--metric-resolution={resolution}"),
                &format!("--kubelet-request-timeout={timeout}"),
            ],
        ));
    }
    if plan.kwok {
        let mut kwok = daemon(
            "kwok",
            "kwok",
            &[
                &format!("--kubeconfig={pki}/admin.kubeconfig"),
                // It adopts only nodes that say so, never the real one.
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                "--cidr=10.245.0.1/16",
                &format!("--node-ip={NODE_IP}"),
                "--node-name=kwok",
                "--node-port=10247",
                &format!("--server-address={NODE_IP}:10247"),
                &format!("--tls-cert-file={pki}/kwok.crt"),
                &format!("--tls-private-key-file={pki}/kwok.key"),
                "--node-lease-duration-seconds=40",
            ],
        );
        // What becomes of a fake node and its pods, in which order: KWOK has no defaults.
        kwok.arguments.extend(KWOK_STAGES.iter().map(|stage| {
            let file = plan.parts.file("kwok-stages", &format!("{stage}.yaml"));
            format!("--config={}", file.display())
        }));
        kwok.arguments.push(format!("--config={KWOK_CONFIG}"));
        daemons.push(kwok);
    }
    daemons
}
