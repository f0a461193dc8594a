//! A server that follows a script, one list of acts for each connection.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the server does next on a connection. Behind the last act it says FIN and waits for the client's.
pub enum Act {
    /// Reads to the end of a request's head.
    Request,
    /// Writes all at once.
    Write(Vec<u8>),
    /// Writes what depends on the last request.
    Answer(fn(&str) -> Vec<u8>),
    /// Writes byte by byte, each in a packet of its own as far as the system lets it.
    Trickle(Vec<u8>),
    /// Waits until the test says so.
    Wait(Rc<Notify>),
    /// Breaks the connection.
    Reset,
    /// Reads until the client says FIN.
    AwaitEnd,
    /// Closes without waiting for the client, and tells the test.
    Close(Rc<Notify>),
}

pub fn write(text: impl AsRef<[u8]>) -> Act {
    Act::Write(text.as_ref().to_vec())
}

/// A running script; its result is the requests, in order.
pub struct Script {
    pub address: SocketAddr,
    task: JoinHandle<Vec<String>>,
}

impl Script {
    /// Follows the lists one after the other.
    pub async fn start(connections: Vec<Vec<Act>>) -> Script {
        Script::at("127.0.0.1:0".parse().unwrap(), connections).await
    }

    /// The same at an address of the test's choice.
    pub async fn at(address: SocketAddr, connections: Vec<Vec<Act>>) -> Script {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::task::spawn_local(async move {
            let mut requests = Vec::new();
            for acts in connections {
                let (socket, _) = listener.accept().await.unwrap();
                follow(socket, acts, &mut requests).await;
            }
            requests
        });
        Script { address, task }
    }

    /// The requests, when all was done.
    pub async fn requests(self) -> Vec<String> {
        super::driver::soon(self.task).await.unwrap()
    }
}

async fn follow(mut socket: TcpStream, acts: Vec<Act>, requests: &mut Vec<String>) {
    socket.set_nodelay(true).unwrap();
    for act in acts {
        match act {
            Act::Request => requests.push(read_head(&mut socket).await),
            // A client may have hung up on purpose, and then there is nobody to write to.
            Act::Write(bytes) => drop(socket.write_all(&bytes).await),
            Act::Answer(answer) => drop(socket.write_all(&answer(requests.last().unwrap())).await),
            Act::Trickle(bytes) => {
                for byte in bytes {
                    if socket.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Act::Wait(go) => go.notified().await,
            Act::Reset => return socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap(),
            Act::AwaitEnd => drop(socket.read_to_end(&mut Vec::new()).await),
            Act::Close(done) => {
                drop(socket);
                return done.notify_one();
            }
        }
    }
    let _ = socket.shutdown().await;
    let _ = socket.read_to_end(&mut Vec::new()).await;
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}
