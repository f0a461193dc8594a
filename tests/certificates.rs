//! Which certificates `--ca` makes a client believe: those that the given ones have signed, and the given ones themselves.
#![allow(clippy::unwrap_used)]

mod support;

use std::rc::Rc;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rtbench::protocol::{Failure, Phase, Seat, Step, Target};
use rtbench::transport::tls::{Tls, Trust};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use support::driver::{Driver, named, run, seat, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1 with its key.
struct Shown {
    pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn params(ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

/// As `openssl req -x509` makes it by default where it signs others, too.
fn self_signed(params: CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Shown { pem: certificate.pem(), chain: vec![certificate.der().clone()], key }
}

/// What comes of connecting to a server of this name that shows this certificate, for a client that was given another.
async fn connect(shown: &Shown, given: &str, name: &str) -> Result<Step, Failure> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(shown.key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(shown.chain.clone(), key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(socket).await else { return };
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: a\n\n";
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read(&mut [0; 1]).await;
    });
    let tls = Tls::new(&Trust::Pem(given.to_owned()), name).unwrap();
    let plain = seat(address, &["t"], None);
    let target = Target { address, tls: Some(tls), host: name.into(), headers: String::new() };
    let mut driver = Driver::new(named("sse"), Seat { target: Rc::new(target), ..plain });
    soon(driver.step()).await
}

#[track_caller]
fn assert_refused(outcome: Result<Step, Failure>, why: &str) {
    let told = outcome.unwrap_err();
    assert!(told.phase == Phase::Tls && told.detail.contains(why), "{told}");
}

#[test]
fn the_very_certificate_that_was_given_is_believed() {
    run(async {
        for ca in [true, false] {
            let shown = self_signed(params(ca));
            assert_eq!(connect(&shown, &shown.pem, "127.0.0.1").await.unwrap(), Step::Ready, "CA: {ca}");
            assert_eq!(connect(&shown, &shown.pem, "localhost").await.unwrap(), Step::Ready, "CA: {ca}");
            let among_others = self_signed(params(true)).pem + &shown.pem;
            assert_eq!(connect(&shown, &among_others, "127.0.0.1").await.unwrap(), Step::Ready, "CA: {ca}");
        }
    });
}

#[test]
fn what_an_authority_signed_is_believed_and_so_is_the_certificate_alone() {
    run(async {
        let mut authority = params(true);
        authority.distinguished_name.push(DnType::CommonName, "an authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = params(false).signed_by(&key, &authority).unwrap();
        let shown = Shown { pem: leaf.pem(), chain: vec![leaf.der().clone()], key };
        assert_eq!(connect(&shown, &authority.pem(), "127.0.0.1").await.unwrap(), Step::Ready);
        assert_eq!(connect(&shown, &shown.pem, "127.0.0.1").await.unwrap(), Step::Ready);
    });
}

#[test]
fn another_certificate_another_name_or_another_time_is_refused() {
    run(async {
        let shown = self_signed(params(true));
        assert_refused(
            connect(&shown, &self_signed(params(true)).pem, "127.0.0.1").await,
            "invalid peer certificate",
        );
        assert_refused(connect(&shown, &shown.pem, "example.org").await, "not valid for name");
        let mut old = params(true);
        (old.not_before, old.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        let old = self_signed(old);
        assert_refused(connect(&old, &old.pem, "127.0.0.1").await, "expired");
    });
}
