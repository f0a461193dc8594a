//! The attacks: each a number of connections that do one thing, again and again, as fast as the server lets them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

type Doing = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// One way to be a nuisance.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    connections: usize,
    /// What one connection does, by its number.
    act: fn(SocketAddr, usize) -> Doing,
}

#[rustfmt::skip]
pub(crate) static ALL: &[Attack] = &[
    Attack { name: "slowloris", about: "1,000 requests, a byte at a time", connections: 1000, act: |to, _| Box::pin(slowloris(to)) },
    Attack { name: "unread", about: "500 that never read 200 KB messages", connections: 501, act: |to, at| Box::pin(unread(to, at)) },
    Attack { name: "giants", about: "20 that echo frames of 1 MiB", connections: 20, act: |to, _| Box::pin(giants(to, true)) },
    Attack { name: "giants-unread", about: "5 that echo frames of 1 MiB and never read", connections: 5, act: |to, _| Box::pin(giants(to, false)) },
    Attack { name: "partial", about: "500 frames of 1 MiB without their last byte", connections: 500, act: |to, _| Box::pin(partial(to)) },
    Attack { name: "pings", about: "200 that ping at full speed", connections: 200, act: |to, _| Box::pin(pings(to)) },
    Attack { name: "fragments", about: "50 that send messages in empty parts", connections: 50, act: |to, _| Box::pin(fragments(to)) },
    Attack { name: "topics", about: "2 that subscribe to 75,000 topics, 16 to 1,000 and leave", connections: 18, act: |to, at| Box::pin(topics(to, at)) },
    Attack { name: "offers", about: "offers with 14,500 candidates, and no offers", connections: 4, act: |to, at| Box::pin(offers(to, at)) },
    Attack { name: "churn", about: "64 that come, ask and go", connections: 64, act: |to, _| Box::pin(churn(to)) },
    Attack { name: "publish", about: "20 that publish 100 B at full speed, 4 that publish 1 MiB", connections: 24, act: |to, at| Box::pin(publish(to, at)) },
];

/// Attacks until it is killed.
pub(crate) fn run(name: &str, address: SocketAddr) -> Result<()> {
    rtbench::host::process::descriptor_limit();
    // SAFETY: no memory is involved. Whoever is killed with all his connections leaves no orphan behind, and in a session of
    // its own it is no more than any other program.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::setsid();
    }
    let attack = ALL.iter().find(|attack| attack.name == name).context("there is no such attack")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    for at in 0..attack.connections {
        local.spawn_local(async move {
            loop {
                // Who is thrown out comes back.
                let _ = (attack.act)(address, at).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    runtime.block_on(local);
    Ok(())
}

/// The request for a WebSocket.
pub(crate) fn upgrade(query: &str) -> String {
    format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A masked frame, whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0xff);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

async fn websocket(to: SocketAddr, query: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(upgrade(query).as_bytes()).await?;
    answered(&mut stream).await?;
    Ok(stream)
}

/// Waits for an answer.
async fn answered(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0; 4096]).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn slowloris(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    for byte in b"GET /poll?topic=t HTTP/1.1\r\nHost: t\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn unread(to: SocketAddr, at: usize) -> io::Result<()> {
    if at == 500 {
        let mut stream = websocket(to, "publish=unread").await?;
        let message = frame(0x82, &vec![b'x'; 200_000]);
        loop {
            stream.write_all(&message).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(upgrade("topic=unread").as_bytes()).await?;
    std::future::pending().await
}

async fn giants(to: SocketAddr, reads: bool) -> io::Result<()> {
    let message = frame(0x82, &vec![b'x'; 1 << 20]);
    if reads {
        return flood(to, "echo=1", message).await;
    }
    let mut stream = websocket(to, "echo=1").await?;
    loop {
        stream.write_all(&message).await?;
    }
}

async fn partial(to: SocketAddr) -> io::Result<()> {
    let mut stream = websocket(to, "echo=1").await?;
    let message = frame(0x82, &vec![b'x'; 1 << 20]);
    stream.write_all(&message[..message.len() - 1]).await?;
    // Until it is thrown out.
    stream.read(&mut [0; 64]).await.map(drop)
}

async fn pings(to: SocketAddr) -> io::Result<()> {
    flood(to, "echo=1", frame(0x89, b"").repeat(1000)).await
}

async fn fragments(to: SocketAddr) -> io::Result<()> {
    flood(to, "echo=1", [frame(0x01, b""), frame(0x00, b"").repeat(10_000), frame(0x80, b"")].concat()).await
}

/// Sends the same again and again, and reads what comes.
async fn flood(to: SocketAddr, query: &str, message: Vec<u8>) -> io::Result<()> {
    let (mut reader, mut writer) = websocket(to, query).await?.into_split();
    tokio::task::spawn_local(async move {
        let mut scratch = vec![0; 256 * 1024];
        while reader.read(&mut scratch).await.is_ok_and(|bytes| bytes > 0) {}
    });
    loop {
        writer.write_all(&message).await?;
    }
}

async fn topics(to: SocketAddr, at: usize) -> io::Result<()> {
    let (topics, leaves) = if at < 2 { (75_000, false) } else { (1000, true) };
    for round in 0.. {
        let names: Vec<_> = (0..topics).map(|topic| format!("\"{at}.{round}.{topic}\"")).collect();
        let command =
            frame(0x81, format!(r#"{{"op":"subscribe","topics":[{}]}}"#, names.join(",")).as_bytes());
        let mut stream = websocket(to, "").await?;
        for _ in 0..if leaves { 1 } else { 1000 } {
            stream.write_all(&command).await?;
            answered(&mut stream).await?;
        }
    }
    Ok(())
}

async fn offers(to: SocketAddr, at: usize) -> io::Result<()> {
    let mut offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=fingerprint:sha-256 "
        .to_owned();
    offer += &["AB"; 32].join(":");
    offer += "\r\n";
    let candidates = if at == 0 { 14_500 } else { 2 };
    for port in 1..=candidates {
        offer += &format!("a=candidate:{port} 1 udp {port} 127.0.0.1 {port} typ host\r\n");
    }
    if at > 1 {
        offer.truncate(offer.len() / 2);
    }
    let request = format!(
        "POST /rtc?topic=t HTTP/1.1\r\nHost: t\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        offer.len()
    );
    let mut stream = TcpStream::connect(to).await?;
    loop {
        stream.write_all(request.as_bytes()).await?;
        answered(&mut stream).await?;
    }
}

async fn churn(to: SocketAddr) -> io::Result<()> {
    loop {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(b"GET /poll?topic=t HTTP/1.1\r\nHost: t\r\n\r\n").await?;
        answered(&mut stream).await?;
        // No port is left waiting.
        stream.set_zero_linger()?;
    }
}

async fn publish(to: SocketAddr, at: usize) -> io::Result<()> {
    if at < 20 {
        let mut stream = websocket(to, &format!("publish=flood{at}")).await?;
        let message = frame(0x81, &[b'x'; 100]).repeat(100);
        loop {
            stream.write_all(&message).await?;
        }
    }
    let mut stream = TcpStream::connect(to).await?;
    let head = format!("POST /topics/big{at} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", 1 << 20);
    let request = [head.as_bytes(), &vec![b'x'; 1 << 20]].concat();
    loop {
        stream.write_all(&request).await?;
        answered(&mut stream).await?;
    }
}
