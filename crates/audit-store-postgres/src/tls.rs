//! TLS that checks the server's certificate and name, always.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;
use crate::settings::{ConnectionString, Settings};

/// What a connection to this address needs; the authorities are read only when it has TLS.
pub(crate) fn connector(
    settings: &Settings,
    address: &ConnectionString,
) -> Result<MakeRustlsConnect, OpenError> {
    let roots = match address.uses_tls() {
        true => authorities(settings)?,
        false => RootCertStore::empty(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| OpenError::Tls {
            what: "no protocol version",
            source: Box::new(source),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(settings: &Settings) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    match &settings.ca_file {
        Some(path) => {
            let unreadable = |source| OpenError::Authorities {
                path: path.clone(),
                source: Box::new(source),
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                let certificate = certificate.map_err(unreadable)?;
                roots.add(certificate).map_err(|source| OpenError::Tls {
                    what: "an authority's certificate",
                    source: Box::new(source),
                })?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            let (_added, unusable) = roots.add_parsable_certificates(found.certs);
            if unusable > 0 || !found.errors.is_empty() {
                tracing::warn!(
                    unusable,
                    errors = found.errors.len(),
                    "some of the system's certificates cannot be used"
                );
            }
        }
    }
    if roots.is_empty() {
        return Err(OpenError::NoAuthorities);
    }
    Ok(roots)
}
