//! What a Component says of TLS and passwords, with all that lay in Secrets, in the words of the client.

use crate::{problem::Problem, text};
use rskafka::client::{Credentials as Account, SaslConfig};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{fmt, sync::Arc};

/// Brokers, and how to log in to them.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// `HOST:PORT`.
    pub(crate) brokers: Vec<String>,
    pub(crate) tls: Option<Tls>,
    pub(crate) sasl: Option<Sasl>,
}

/// PEM.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<String>,
    pub(crate) identity: Option<(String, String)>,
    pub(crate) unverified: bool,
}

#[derive(Clone)]
pub(crate) struct Sasl {
    pub(crate) mechanism: &'static str,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Nothing of it is for a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}

impl Sasl {
    pub(super) fn config(&self) -> SaslConfig {
        let account = Account::new(self.user.clone(), self.password.clone());
        match self.mechanism {
            "SCRAM-SHA-256" => SaslConfig::ScramSha256(account),
            "SCRAM-SHA-512" => SaslConfig::ScramSha512(account),
            _ => SaslConfig::Plain(account),
        }
    }
}

impl Tls {
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, Problem> {
        let provider = Arc::new(ring::default_provider());
        let failed = |e: &dyn fmt::Display| Problem::new(format!("Cannot speak TLS to Kafka: {e}."));
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| failed(&e))?;
        let builder = match self.unverified {
            true => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
            false => builder.with_root_certificates(self.roots()?),
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("clientCert", certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| unreadable("clientKey"))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| failed(&e))?
            }
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(ca) => {
                for certificate in certificates("caCert", ca)? {
                    roots.add(certificate).map_err(|_| unreadable("caCert"))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        Ok(roots)
    }
}

fn certificates(setting: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(list) if !list.is_empty() => Ok(list),
        _ => Err(unreadable(setting)),
    }
}

fn unreadable(setting: &str) -> Problem {
    Problem::new(format!("{setting} of the Component is no PEM that can be read."))
        .next("Correct it in the Component, or in the Secret that it names.")
}

/// Of `HOST:PORT,HOST:PORT`.
pub(crate) fn brokers(given: &str) -> Result<Vec<String>, String> {
    let all = given.split(',').map(str::trim);
    let checked = all.map(|broker| match crate::kafka::port(broker) {
        // The client's way through a proxy takes no such address.
        Some(_) if broker.starts_with('[') => Err(format!(
            "`{}` is an IPv6 address; name the host",
            text::harmless(broker)
        )),
        Some(_) => Ok(broker.to_owned()),
        None => Err(format!("`{}` is no HOST:PORT", text::harmless(broker))),
    });
    checked.collect()
}

/// `skipVerify: true`: as the sidecars do, whoever answers is believed.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
