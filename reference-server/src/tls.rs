//! TLS: a certificate of the server's own making, and what it is spoken with.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Who a server says it is over TLS.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For [`Config::tls`](crate::Config::tls).
    pub config: Arc<rustls::ServerConfig>,
    /// The certificate, for clients to trust.
    pub certificate_pem: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// It could not be used.
    #[error("cannot use the certificate: {0}")]
    Tls(#[from] rustls::Error),
}

impl Identity {
    /// A fresh key (ECDSA P-256, as most servers have) and a certificate that it signed itself, valid for `localhost`
    /// and these addresses. TLS 1.2 and 1.3, two tickets per connection, no client certificates.
    ///
    /// # Errors
    /// If the cryptographic provider fails.
    pub fn self_signed(addresses: &[IpAddr]) -> Result<Identity, IdentityError> {
        let names = addresses.iter().map(IpAddr::to_string).chain(["localhost".to_owned()]);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names.collect::<Vec<_>>())?.self_signed(&key)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity { config: Arc::new(config), certificate_pem: certificate.pem() })
    }
}
