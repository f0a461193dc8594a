//! The fault that holds memory. A process of its own: other tests would change what is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use harness::{Client, Server, soon};
use reference_server::Faults;

#[allow(dead_code)]
#[path = "contract/harness.rs"]
mod harness;

#[tokio::test]
async fn ballast_is_held_by_every_connection_that_subscribes_or_polls_and_by_no_other() {
    fn resident_bytes() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
    const BALLAST_BYTES: usize = 64 << 20;
    const SLACK: usize = BALLAST_BYTES / 8;
    let server = Server::with_faults(Faults { ballast_bytes: BALLAST_BYTES, ..Faults::default() });
    let mut idle = server.connect().await;
    idle.get("/healthz").await;
    let before = resident_bytes();
    for protocol in ["short-poll", "sse", "websocket"] {
        let mut client: Client = server.connect().await;
        match protocol {
            "sse" => drop(client.sse("topic=t", "").await),
            "websocket" => client.websocket("topic=t").await,
            _ => {
                let cursor = client.get("/poll?topic=t").await.header("rtbench-cursor").unwrap().to_owned();
                // One that only asks where the topic stands waits for nothing.
                assert_eq!(server.stat("subscribers.short-poll").await, 0);
                client.get(&format!("/poll?topic=t&after={cursor}")).await;
                client.get(&format!("/poll?topic=t&after={cursor}")).await;
            }
        }
        let held = resident_bytes() - before;
        assert!(held.abs_diff(BALLAST_BYTES) < SLACK, "{protocol}: {held}");
        drop(client);
        soon(async { while server.stat(&format!("subscribers.{protocol}")).await > 0 {} }).await;
        assert!(resident_bytes() < before + SLACK, "{protocol}");
    }
}
