//! TLS and the layers of bytes, as the user of the program meets them.
#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use program::{assert_exit, cells, rtbench, run, run_dir, text};
use serde_json::Value;

/// Quiet enough that each message is acknowledged by itself.
const QUIET: &str = r#"
about = "A few messages"
[load]
protocols = ["websocket"]
clients = 4
group = 2
rate = "10/s"
warmup = "100ms"
duration = "1s"
[connect]
tls = "plain"
"#;

fn scenario(dir: &Path, text: &str) -> String {
    let path = dir.join("quiet.toml");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

/// A server that stands, with the certificate it wrote down.
struct Standing {
    child: Child,
    url: String,
}

impl Standing {
    fn start(certificate: &Path) -> Standing {
        let mut child = rtbench()
            .args(["serve", "--tls", "--stdin-guard", "--certificate"])
            .arg(certificate)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"]["tls"], true);
        assert_eq!(ready["ready"]["certificate"], std::fs::read_to_string(certificate).unwrap());
        Standing { child, url: format!("https://{}", ready["ready"]["http"].as_str().unwrap()) }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn count(cell: &Value, role: &str, field: &str) -> u64 {
    cell[role][field].as_u64().unwrap_or_else(|| panic!("no {role}.{field}: {cell}"))
}

#[test]
fn a_cell_over_tls_adds_a_record_to_each_frame_and_a_header_to_each_segment() {
    let dir = tempfile::tempdir().unwrap();
    let path = scenario(dir.path(), QUIET);
    let out = dir.path().to_string_lossy().into_owned();
    for (tls, record_bytes) in [(false, 0), (true, 22)] {
        let out = format!("{out}/{tls}");
        let mut args = vec!["run", &path, "--quiet", "--out", &out];
        args.extend(tls.then_some("--tls"));
        assert_exit(&run(&args), 0);
        let cell = &cells(&run_dir(Path::new(&out)).unwrap())[0];
        assert_eq!(cell["spec"]["tls"], if tls { "tls" } else { "plain" });
        let messages = cell["counts"]["delivered_all"].as_u64().unwrap();
        assert!(messages > 10, "{cell}");
        let wire = |field| count(cell, "subscriber_wire", field);
        assert_eq!(wire("in_bytes"), messages * (2 + 100));
        assert_eq!(wire("socket_in_bytes"), messages * (2 + 100 + record_bytes));
        if cfg!(target_os = "linux") {
            // 20 of IP, 20 of TCP, 12 of timestamps; a loaded machine may send a segment again.
            let network = wire("ip_in_bytes") - wire("socket_in_bytes");
            assert!(network.abs_diff(messages * 52) <= 5 * 52, "{cell}");
            assert_eq!(wire("estimated_connections"), 0);
        }
    }
}

#[test]
fn a_target_over_https_is_believed_by_file_or_blindly_and_not_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let path =
        scenario(dir.path(), &QUIET.replace("[\"websocket\"]", "[\"websocket\", \"webrtc\", \"sse\"]"));
    let certificate = dir.path().join("server.pem");
    let server = Standing::start(&certificate);
    let out = dir.path().to_string_lossy().into_owned();
    let load = |trust: &[&str]| {
        let out = format!("{out}/by-{}", trust.len());
        let args = ["run", &path, "--quiet", "--out", &out, "--target", &server.url];
        run(&[&args[..], trust].concat())
    };
    let file = certificate.to_string_lossy().into_owned();
    assert_exit(&load(&["--ca", &file]), 0);
    assert_exit(&load(&["--insecure"]), 0);
    let refused = load(&[]);
    assert_exit(&refused, 4);
    let cells = cells(&run_dir(&dir.path().join("by-0")).unwrap());
    let reason = cells[0]["status"]["failed"].as_str().unwrap();
    assert!(reason.contains("is not believed; name it, or its issuer's, with --ca"), "{reason}");
    server.end();
    let plain = run(&["run", &path, "--tls", "--target", "http://127.0.0.1:1"]);
    assert_exit(&plain, 2);
    assert!(text(&plain).contains("is not https://"), "{}", text(&plain));
}
