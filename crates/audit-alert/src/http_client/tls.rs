//! TLS that checks the receiver's certificate and name, always.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Whose certificates are trusted.
#[derive(Debug, Clone, Default)]
pub enum Authorities {
    /// The system's.
    #[default]
    System,
    /// These, in PEM, and no others.
    Pem(Vec<u8>),
}

/// No connection could be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate to go by.
    #[error("no certificate authority is known")]
    NoAuthorities,
    /// What was given is none.
    #[error("not a certificate of an authority")]
    NotACertificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub(super) fn connector(authorities: &Authorities) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Setup(Box::new(source)))?
        .with_root_certificates(roots(authorities)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(authorities: &Authorities) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Authorities::System => {
            let found = rustls_native_certs::load_native_certs();
            let (_added, unusable) = roots.add_parsable_certificates(found.certs);
            if unusable > 0 {
                tracing::warn!(unusable, "some of the system's certificates cannot be used");
            }
        }
        Authorities::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|source| TlsError::NotACertificate(Box::new(source)))?;
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::NotACertificate(Box::new(source)))?;
            }
        }
    }
    match roots.is_empty() {
        true => Err(TlsError::NoAuthorities),
        false => Ok(roots),
    }
}
