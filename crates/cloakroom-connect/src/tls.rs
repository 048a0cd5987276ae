//! TLS as all connectors configure it.

use std::sync::Arc;

use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which certificates are trusted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file of the authorities to trust instead of the public ones.
    pub ca_file: Option<Template>,
}

/// A client configuration: TLS 1.2 and 1.3, the server's name and chain always verified.
///
/// # Errors
/// When the file of authorities cannot be read.
pub fn client(config: &TlsConfig) -> Result<ClientConfig, ConnectorError> {
    let mut roots = RootCertStore::empty();
    match &config.ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let file = file.resolve_plain()?;
            let bad = |_| ConnectorError::configuration(format!("`ca_file` {file}: not a PEM file of certificates"));
            let text = std::fs::read(&file).map_err(|error| ConnectorError::io(format!("`ca_file` {file}"), &error))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.map_err(bad)?;
                roots.add(certificate).map_err(|_| {
                    ConnectorError::configuration(format!("`ca_file` {file}: a certificate is damaged"))
                })?;
            }
            if roots.is_empty() {
                return Err(ConnectorError::configuration(format!("`ca_file` {file}: no certificate in it")));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| ConnectorError::configuration("TLS cannot be set up"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
