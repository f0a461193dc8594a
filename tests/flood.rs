//! A server that talks faster than anyone can listen keeps neither the clients beside it from being ready nor a run from its end.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use program::{assert_exit, cells, rtbench, run_dir};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The head of its answer, and what it then repeats for ever.
type Flood = fn(&str) -> (String, Vec<u8>);

/// Talks to the first that comes, as fast as the connection takes it; the others are accepted and hear nothing.
fn flooding(flood: Flood) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicU32::new(0));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let came = came.clone();
            std::thread::spawn(move || serve(socket, flood, &came));
        }
    });
    address
}

/// Ends with the connection.
fn serve(mut socket: TcpStream, flood: Flood, came: &AtomicU32) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if socket.read_exact(&mut byte).is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    if !request.starts_with("GET /ws") && !request.starts_with("GET /sse") {
        // Whether it is there, and whatever else it is asked beforehand.
        let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        return;
    }
    let (head, piece) = flood(&request);
    if socket.write_all(head.as_bytes()).is_err() {
        return;
    }
    if came.fetch_add(1, Ordering::Relaxed) == 0 {
        let pieces = piece.repeat(64 * 1024 / piece.len());
        while socket.write_all(&pieces).is_ok() {}
    }
    let _ = socket.read_to_end(&mut Vec::new());
}

fn websocket(request: &str) -> (String, Vec<u8>) {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    (format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n"), b"\x82\x01x".to_vec())
}

fn sse(_: &str) -> (String, Vec<u8>) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    (format!("{head}7\r\nid: a\n\n\r\n"), b"9\r\ndata: x\n\n\r\n".to_vec())
}

#[test]
fn a_flood_keeps_nobody_from_being_ready_and_no_run_from_its_end() {
    let floods: [(&str, Flood); 2] = [("websocket", websocket), ("sse", sse)];
    for (protocol, flood) in floods {
        let out = tempfile::tempdir().unwrap();
        let target = format!("http://{}", flooding(flood));
        let output = rtbench()
            .args(["run", "idle", "-p", protocol, "-c", "3", "-z", "1s", "--workers", "1", "--quiet"])
            .args(["--target", &target, "--out"])
            .arg(out.path())
            .output()
            .unwrap();
        // Payloads that are none of this run's are no result to believe.
        assert_exit(&output, 3);
        let cell = cells(&run_dir(out.path()).unwrap()).remove(0);
        assert_eq!(cell["status"], "finished", "{protocol}: {cell}");
        assert_eq!(cell["counts"]["connected"], 3, "{protocol}: {cell}");
        let foreign = cell["counts"]["foreign"].as_u64().unwrap();
        assert!(foreign > 10_000, "{protocol} was hardly flooded: {cell}");
    }
}
