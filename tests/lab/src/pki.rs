//! The lab's own certificates and kubeconfigs. They live and die with one lab.

use std::{fs, path::Path};

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use crate::node::{NODE_IP, SERVICE_IP};

/// A certificate of the lab: `(file name, organisation, common name, names and addresses it is valid for)`.
const CERTIFICATES: &[(&str, &str, &str, &[&str])] = &[
    (
        "apiserver",
        "",
        "kube-apiserver",
        &[
            "127.0.0.1",
            NODE_IP,
            SERVICE_IP,
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
    ),
    ("admin", "system:masters", "admin", &[]),
    (
        "controller-manager",
        "",
        "system:kube-controller-manager",
        &["localhost"],
    ),
    ("scheduler", "", "system:kube-scheduler", &["localhost"]),
    ("kubelet-client", "system:masters", "kube-apiserver-kubelet-client", &[]),
    ("front-proxy", "", "front-proxy-client", &[]),
    ("kubelet", "system:nodes", "system:node:lab", &["lab", NODE_IP]),
    ("proxy", "", "system:kube-proxy", &[]),
    (
        "metrics-server",
        "",
        "metrics-server",
        &["metrics-server.kube-system.svc", NODE_IP],
    ),
    ("kwok", "", "kwok", &[NODE_IP, "127.0.0.1"]),
];

/// Who gets a kubeconfig.
const KUBECONFIGS: &[&str] = &["admin", "controller-manager", "scheduler", "kubelet", "proxy"];

/// Writes all certificates and the kubeconfigs of the node's own programs to `folder`.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let ca_key = KeyPair::generate()?;
    let mut ca = params("", "learnflow-lab", &[])?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = ca.self_signed(&ca_key)?;
    fs::write(folder.join("ca.crt"), certificate.pem())?;
    fs::write(folder.join("ca.key"), ca_key.serialize_pem())?;
    let issuer = Issuer::new(ca, ca_key);

    for (name, organisation, common_name, valid_for) in CERTIFICATES {
        let key = KeyPair::generate()?;
        let mut params = params(organisation, common_name, valid_for)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &issuer)?;
        fs::write(folder.join(format!("{name}.crt")), certificate.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    let service_accounts = KeyPair::generate()?;
    fs::write(folder.join("service-accounts.key"), service_accounts.serialize_pem())?;
    fs::write(folder.join("service-accounts.pub"), service_accounts.public_key_pem())?;

    for name in KUBECONFIGS {
        kubeconfig(
            folder,
            name,
            &format!("https://{NODE_IP}:6443"),
            &folder.join(format!("{name}.kubeconfig")),
        )?;
    }
    Ok(())
}

fn params(organisation: &str, common_name: &str, valid_for: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = valid_for.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    if !organisation.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// Writes a kubeconfig for `user` that reaches the lab at `server`.
pub fn kubeconfig(pki: &Path, user: &str, server: &str, out: &Path) -> Result<()> {
    let data = |file: String| -> Result<String> { Ok(STANDARD.encode(fs::read(pki.join(file))?)) };
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "learnflow-lab",
        "clusters": [{"name": "learnflow-lab", "cluster": {
            "server": server,
            "certificate-authority-data": data("ca.crt".into())?,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": data(format!("{user}.crt"))?,
            "client-key-data": data(format!("{user}.key"))?,
        }}],
        "contexts": [{"name": "learnflow-lab", "context": {"cluster": "learnflow-lab", "user": user}}],
    });
    fs::write(out, serde_json::to_vec_pretty(&config)?)?;
    Ok(())
}
