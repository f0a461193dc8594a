//! The reference server in this process, and a way to talk to it that none of the clients share.

use std::cell::RefCell;
use std::net::SocketAddr;

use reference_server::tls::Identity;
use reference_server::{Config, Listeners};
use rtbench::transport::tls::{Tls, Trust};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// What control requests go over.
trait Control: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Control for S {}

pub struct Server {
    pub address: SocketAddr,
    /// Where data channels arrive.
    pub rtc: Vec<SocketAddr>,
    /// For all control requests, so that they come in order.
    control: RefCell<Option<Box<dyn Control>>>,
    /// How clients speak TLS to it, if it does.
    pub tls: Option<Tls>,
    connector: Option<TlsConnector>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// One that speaks TLS, with a certificate of its own.
    pub fn secured(config: Config) -> Server {
        let identity = Identity::self_signed(&[[127, 0, 0, 1].into()]).unwrap();
        let mut server = Server::start(Config { tls: Some(identity.config), ..config });
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        server.connector = Some(TlsConnector::from(std::sync::Arc::new(client)));
        server.tls = Some(Tls::new(&Trust::Pem(identity.certificate_pem), "127.0.0.1").unwrap());
        server
    }

    pub fn start(config: Config) -> Server {
        Server::with(Listeners::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap(), config)
    }

    /// One that has its sockets already.
    pub fn with(listeners: Listeners, config: Config) -> Server {
        let address = listeners.http.local_addr().unwrap();
        let rtc = listeners.rtc.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(reference_server::run(config, listeners, async {
            let _ = stopped.await;
        }));
        Server { address, rtc, control: RefCell::default(), tls: None, connector: None, stop, task }
    }

    /// Publishes text.
    pub async fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) {
        let answer = self.request(&format!("POST /topics/{topic}"), payload.as_ref()).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }

    /// Breaks every subscription.
    pub async fn cut(&self) {
        let answer = self.request("POST /cut", b"").await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }

    /// One number out of `/stats`, by its path.
    pub async fn stat(&self, path: &str) -> u64 {
        let answer = self.request("GET /stats", b"").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let stats: serde_json::Value = serde_json::from_str(body).unwrap();
        path.split('.').fold(&stats, |value, key| &value[key]).as_u64().unwrap()
    }

    async fn connect(&self) -> Box<dyn Control> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        match &self.connector {
            None => Box::new(socket),
            Some(tls) => Box::new(tls.connect(ServerName::from(self.address.ip()), socket).await.unwrap()),
        }
    }

    async fn request(&self, what: &str, body: &[u8]) -> String {
        let kept = self.control.take();
        let mut socket = match kept {
            Some(socket) => socket,
            None => self.connect().await,
        };
        let head = format!("{what} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = String::new();
        while !is_whole(&answer) {
            let mut buffer = [0; 4096];
            let read = super::driver::soon(socket.read(&mut buffer)).await.unwrap();
            assert!(read > 0, "no answer to {what}");
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        self.control.replace(Some(socket));
        answer
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        drop(self.control);
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// Whether a head and the body it announces are there.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() == length.map_or(0, |length| length.parse().unwrap())
}
