//! TLS between a protocol and its socket.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{Connect, TlsConnector};

use super::link::Linked;
use super::socket::Socket;
use crate::failure::{Failure, Kind, Phase};

/// Whose certificates a client believes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// Those that the system believes.
    System,
    /// Those signed by one of these, in PEM.
    Pem(String),
    /// Any at all.
    Anyone,
}

/// Why a client cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the text.
    #[error("there is no certificate to trust: {0}")]
    Pem(String),
    /// A name that no certificate can have.
    #[error("'{0}' is no name of a server")]
    Name(String),
    /// Refused by the library.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// How the clients of one worker speak TLS to one server. Cheap to clone.
///
/// Sessions are not resumed: all clients share this, and one user must not take up where another left off. So each
/// connection pays for a full handshake, as that of a user does who comes for the first time.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// For a server of this name or address (a port behind it does not matter).
    ///
    /// # Errors
    /// The name or the certificates are none.
    pub fn new(trust: &Trust, host: &str) -> Result<Tls, TlsError> {
        Ok(Tls { config: Arc::new(config(trust)?), name: server_name(host)? })
    }

    pub(super) fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.config)
    }

    /// Name or address that the certificate must show.
    pub fn name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Nothing is sent before the first [`Secured::poll_connected`].
    pub(super) fn over(&self, socket: Linked<Socket>) -> Secured {
        let connect = TlsConnector::from(self.config.clone()).connect(self.name.clone(), socket);
        Secured::Dialled(Box::new(connect))
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let bare = match bracketed {
        Some((address, _)) => address,
        None if host.parse::<IpAddr>().is_ok() => host,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(bare.to_owned()))
}

/// A configuration that no server can satisfy.
pub(super) fn trusting_nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("this provider has cipher suites for every version")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

fn config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::System => builder.with_platform_verifier()?.with_no_client_auth(),
        Trust::Pem(text) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Given::new(certificates(text)?, provider)?))
            .with_no_client_auth(),
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = read.map_err(|error| TlsError::Pem(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(TlsError::Pem("the file holds none".to_owned())),
        false => Ok(certificates),
    }
}

/// Whether a request failed because the server's certificate is not believed.
pub fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        match error.downcast_ref::<io::Error>() {
            // It passes over what it holds itself when it is asked for its source.
            Some(io) => io.get_ref().map(|held| held as &(dyn Error + 'static)),
            None => error.source(),
        }
    }
    let mut causes = std::iter::successors(Some(error), |error| cause(*error));
    causes.any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

/// Believes what the given certificates have signed, and each of them for itself: one that signs others may be a server's
/// own, as those are that `openssl req -x509` makes.
#[derive(Debug)]
struct Given {
    signed: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Given {
    fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Given, TlsError> {
        let mut roots = RootCertStore::empty();
        certificates.iter().try_for_each(|certificate| roots.add(certificate.clone()))?;
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Given { signed: signed.map_err(|error| TlsError::Pem(error.to_string()))?, certificates })
    }

    /// Whether a certificate was refused for what it signs or who signed it, and not for its dates, which are looked at first.
    fn is_for_its_place(error: &rustls::Error) -> bool {
        let rustls::Error::InvalidCertificate(error) = error else { return false };
        match error {
            CertificateError::UnknownIssuer => true,
            CertificateError::Other(other) => {
                matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
            }
            _ => false,
        }
    }
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.signed.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match verified {
            Err(error) if self.certificates.contains(end_entity) && Given::is_for_its_place(&error) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Believes every certificate; that the peer holds its key is still checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A socket on its way to being encrypted.
pub enum Secured {
    /// The TCP connection is not made yet.
    Dialled(Box<Connect<Linked<Socket>>>),
    /// Hands are being shaken.
    Shaking(Box<Connect<Linked<Socket>>>),
    /// Bytes can flow.
    Open(Box<TlsStream<Linked<Socket>>>),
    /// The handshake failed.
    Failed,
}

impl Secured {
    /// Ready, once, when bytes can flow.
    pub(super) fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match std::mem::replace(self, Secured::Failed) {
                Secured::Dialled(mut connect) => {
                    let connected = match connect.get_mut() {
                        Some(socket) => socket.poll_connected(cx),
                        None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                    };
                    let Poll::Ready(connected) = connected else {
                        *self = Secured::Dialled(connect);
                        return Poll::Pending;
                    };
                    connected.map_err(|e| Failure::io(Phase::Connect, &e))?;
                    *self = Secured::Shaking(connect);
                }
                Secured::Shaking(mut connect) => match Pin::new(&mut *connect).poll(cx) {
                    Poll::Pending => {
                        *self = Secured::Shaking(connect);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(stream)) => *self = Secured::Open(Box::new(stream)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::io(Phase::Tls, &error))),
                },
                Secured::Open(stream) => {
                    *self = Secured::Open(stream);
                    return Poll::Ready(Ok(()));
                }
                Secured::Failed => {
                    return Poll::Ready(Err(Failure::new(Phase::Tls, Kind::Eof, "there is no connection")));
                }
            }
        }
    }

    fn open(self: Pin<&mut Self>) -> io::Result<Pin<&mut TlsStream<Linked<Socket>>>> {
        match self.get_mut() {
            Secured::Open(stream) => Ok(Pin::new(&mut **stream)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The link and the socket beneath.
    pub(super) fn socket(&mut self) -> Option<&mut Linked<Socket>> {
        match self {
            Secured::Open(stream) => Some(stream.get_mut().0),
            _ => None,
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.open()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_has_a_name_or_an_address_and_perhaps_a_port() {
        for (host, name) in [
            ("example.org:8443", "example.org"),
            ("example.org", "example.org"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(server_name(host).unwrap().to_str(), name, "{host}");
        }
        assert!(server_name("a b").is_err());
    }

    #[test]
    fn trust_needs_a_certificate() {
        assert!(matches!(Tls::new(&Trust::Pem(String::new()), "localhost"), Err(TlsError::Pem(_))));
        assert!(Tls::new(&Trust::Anyone, "localhost").is_ok());
        assert!(Tls::new(&Trust::System, "localhost").is_ok());
    }
}
