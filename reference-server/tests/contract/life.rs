//! Cutting connections, and the end of the server.

use std::io::ErrorKind;

use reference_server::Config;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::harness::{Client, Server, soon};

async fn one_of_each(server: &Server) -> [Client; 3] {
    let mut clients = [server.connect().await, server.connect().await, server.connect().await];
    clients[0].sse("topic=t", "").await;
    clients[1].websocket("topic=t").await;
    clients[2].send("GET /poll?topic=t&wait=20 HTTP/1.1\r\nhost: t\r\n\r\n").await;
    server.until_stat("requests.long-poll", 1).await;
    clients
}

#[tokio::test]
async fn a_cut_resets_every_subscriber_and_nobody_else() {
    let server = Server::start(Config::default());
    let mut bystander = server.connect().await;
    bystander.get("/healthz").await;
    let clients = one_of_each(&server).await;
    let answer = server.request("POST /cut HTTP/1.1\r\nhost: t\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer.status, 204);
    for mut client in clients {
        let error = soon(client.stream.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(bystander.get("/healthz").await.status, 200);
    assert_eq!(server.stat("cut").await, 3);
    assert_eq!(server.stat("subscribers.sse").await, 0);
    assert_eq!(server.stat("subscribers.websocket").await, 0);
}

#[tokio::test]
async fn everything_ends_in_its_own_good_order() {
    let server = Server::start(Config::default());
    let address = server.address;
    let mut idle = server.connect().await;
    idle.get("/healthz").await;
    let [mut sse, mut websocket, mut long_poll] = one_of_each(&server).await;
    let ends = async {
        assert_eq!(sse.rest().await, b"0\r\n\r\n", "the last chunk");
        websocket.expect_close(1001).await;
        let answer = long_poll.answer().await;
        assert_eq!((answer.status, answer.header("rtbench-cursor").is_some()), (204, true));
        assert_eq!(long_poll.rest().await, b"");
        assert_eq!(idle.rest().await, b"");
    };
    soon(async { tokio::join!(server.stop(), ends) }).await;
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn one_that_does_not_answer_cannot_keep_the_server() {
    let server = Server::start(Config::default());
    let mut stuck = server.connect_narrow().await;
    stuck.websocket("topic=t").await;
    for _ in 0..100 {
        server.text("t", vec![b'x'; 100_000]).await;
    }
    soon(server.stop()).await;
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let server = Server::start(Config::default());
    let error = reference_server::Listeners::bind(server.address, 0).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let free = reference_server::Listeners::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    assert_eq!(free.rtc.len(), 2);
}
