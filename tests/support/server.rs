//! The reference server in this process, and a way to talk to it that none of the clients share.

use std::cell::RefCell;
use std::net::SocketAddr;

use reference_server::{Config, Listeners};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Server {
    pub address: SocketAddr,
    /// For all control requests, so that they come in order.
    control: RefCell<Option<TcpStream>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub fn start(config: Config) -> Server {
        let listeners = Listeners::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = listeners.http.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(reference_server::run(config, listeners, async {
            let _ = stopped.await;
        }));
        Server { address, control: RefCell::default(), stop, task }
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

    async fn request(&self, what: &str, body: &[u8]) -> String {
        let kept = self.control.take();
        let mut socket = match kept {
            Some(socket) => socket,
            None => TcpStream::connect(self.address).await.unwrap(),
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
