//! Data channels of the reference server against aiortc, an implementation that shares no code with ours.
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;

use std::process::Stdio;

use reference_server::{Config, Listeners};
use tokio::process::Command;
use tokio::sync::oneshot;

#[tokio::test]
async fn aiortc_gets_echo_and_subscription_as_the_contract_says() {
    if missing::modules(&["aiortc"]) {
        return;
    }
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let url = format!("http://{}", listeners.http.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(reference_server::run(Config::default(), listeners, async {
        let _ = stopped.await;
    }));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/aiortc_echo.py");
    let mut python = Command::new("python3");
    let output = python.arg(script).arg(url).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim() == "OK", "{out}{err}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
