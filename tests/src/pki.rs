//! A made-up authority, for a Kafka with TLS.

use std::{fs, path::Path};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Whom to believe, and a certificate and a key of a client, signed by it.
#[derive(Debug)]
pub struct Pki {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

impl Pki {
    /// Writes what the broker reads: `ca.pem` and `broker.pem`.
    pub fn write(folder: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key)?.pem();
        let issuer = Issuer::new(authority, key);
        let signed = || -> Result<_> {
            let key = KeyPair::generate()?;
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
            Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
        };
        let (certificate, key) = signed()?;
        fs::write(folder.join("ca.pem"), &root)?;
        fs::write(folder.join("broker.pem"), format!("{certificate}{key}"))?;
        let (certificate, key) = signed()?;
        Ok(Self {
            authority: root,
            certificate,
            key,
        })
    }
}
