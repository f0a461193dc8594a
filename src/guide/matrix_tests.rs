//! The rules of the matrix, on hand-made cells.
#![allow(clippy::unwrap_used)]

use super::column::COLUMNS;
use super::matrix::{Matrix, MatrixCell};
use super::other_claims::answers;
use super::verdict::Verdict;
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::sample;
use crate::measure::source::SourceCount;
use crate::scenario::kinds::Headers;

/// Sizes in the order that the guide claims; of SSE's server nothing could be counted.
fn source() -> Vec<SourceCount> {
    let count = |protocol: &str, client_lines, server_lines, crates: usize| SourceCount {
        protocol: protocol.into(),
        client_lines,
        server_lines,
        dependencies: ["a", "b", "c", "d"][..crates].iter().map(|&name| name.into()).collect(),
    };
    vec![
        count("short-poll", 100, 100, 1),
        count("long-poll", 150, 100, 2),
        count("websocket", 300, 200, 3),
        count("sse", 200, 0, 1),
        count("webrtc", 900, 700, 4),
    ]
}

fn matrix(cells: &[Cell]) -> Matrix {
    Matrix::from_parts(cells, &source())
}

fn find<'a>(matrix: &'a Matrix, feature: &str, protocol: &str) -> &'a MatrixCell {
    matrix.cells().find(|cell| cell.feature == feature && cell.protocol == protocol).unwrap()
}

#[test]
fn without_cells_nothing_is_measured_and_nothing_is_missing() {
    let matrix = Matrix::from_parts(&[], &[]);
    assert_eq!(matrix.rows.len(), 11);
    assert!(matrix.rows.iter().all(|row| row.cells.len() == 5));
    for cell in matrix.cells() {
        assert!(
            matches!(&cell.verdict, Verdict::NotMeasured { what_would } if !what_would.is_empty()),
            "{cell:?}"
        );
        assert!(cell.value.is_none() && cell.measured.is_empty() && !cell.claimed.is_empty(), "{cell:?}");
    }
}

#[test]
fn claims_are_the_guides_words() {
    let matrix = matrix(&[]);
    let row = |feature: &str| {
        COLUMNS.iter().map(|c| find(&matrix, feature, c.protocol).claimed.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(row("Connection"), ["new each", "held open", "persistent", "held open", "P2P"]);
    assert_eq!(row("Latency"), ["2-10 s", "<1 s", "<50 ms", "<200 ms", "<30 ms"]);
    assert_eq!(row("Overhead/Msg"), ["500 B or more", "500 B or more", "2-6 B", "20 B or more", "minimal"]);
    assert_eq!(row("Scalability"), ["easy", "medium", "hard", "medium", "N/A"]);
    assert_eq!(row("Firewall Issues"), ["no", "no", "some", "no", "yes"]);
}

#[test]
fn a_probe_is_compared_with_the_guides_word() {
    let cell = sample::cell("probe/sse")
        .probe("binary", "no", "text only")
        .probe("reconnect", "no", "3 lost")
        .build();
    let matrix = matrix(&[cell]);
    let binary = find(&matrix, "Binary Data", "sse");
    assert_eq!((binary.verdict.word(), binary.measured.as_str()), ("reproduced", "no"));
    assert_eq!(binary.evidence, "probe binary in probe/sse");
    let reconnect = find(&matrix, "Auto-Reconnect", "sse");
    assert_eq!(
        (reconnect.verdict.word(), reconnect.condition.as_str()),
        ("not reproduced", "found no; 3 lost")
    );
    assert_eq!(find(&matrix, "Direction", "sse").condition, "needs the probe direction of sse");
}

#[test]
fn failed_and_invalid_cells_measure_nothing() {
    let good = || sample::cell("workload/websocket").stream(2.0, 6.0).latency_ms(&[1.0; 900], 100);
    let latency = |cell: Cell| find(&matrix(&[cell]), "Latency", "websocket").clone();
    assert_eq!(latency(good().build()).verdict.word(), "depends");
    let failed = latency(good().with(|cell| cell.status = Status::Failed("server gone".into())).build());
    assert_eq!(failed.condition, "needs the cell workload/websocket again: it failed (server gone)");
    let invalid = good().with(|cell| {
        cell.trust.level = TrustLevel::Invalid;
        cell.trust.reasons.push("counts disagree".into());
    });
    let invalid = latency(invalid.build());
    assert_eq!((invalid.verdict.word(), invalid.value), ("not measured", None));
    assert!(invalid.condition.contains("counts disagree"));
}

#[test]
fn latency_on_loopback_leaves_the_rest_to_the_network() {
    let samples: Vec<f64> = (0..2_000).map(|i| 0.2 + f64::from(i) / 10_000.0).collect();
    let cell = |scale: f64| {
        let samples: Vec<f64> = samples.iter().map(|ms| ms * scale).collect();
        sample::cell("workload/websocket").stream(2.0, 6.0).latency_ms(&samples, 2_000)
    };
    let fast = find(&matrix(&[cell(1.0).build()]), "Latency", "websocket").clone();
    assert_eq!(fast.verdict.word(), "depends");
    assert!(fast.condition.contains("server and protocol take 0.3 ms of the 50 ms"), "{}", fast.condition);
    assert!(fast.condition.contains("network adds less than 49.70 ms"), "{}", fast.condition);
    // Too slow without any network is too slow with one.
    let slow = find(&matrix(&[cell(1_000.0).build()]), "Latency", "websocket").clone();
    assert!(slow.condition.starts_with("6") && slow.verdict.word() == "not reproduced", "{}", slow.condition);
    let linked = cell(1.0).with(|cell| cell.spec.link = "rtt=50ms".parse().unwrap()).build();
    assert_eq!(find(&matrix(&[linked]), "Latency", "websocket").verdict.word(), "reproduced");
}

fn polled() -> Cell {
    let uniform: Vec<f64> = (0..600).map(|i| 5_000.0 * (f64::from(i) + 0.5) / 600.0).collect();
    let cell = sample::cell("poll-latency/short-poll").polls(6_000, 5_400, 600).delivering(600);
    cell.latency_ms(&uniform, 600).with(|cell| cell.spec.rate_per_s = 0.02).build()
}

#[test]
fn short_polls_are_judged_by_the_interval_of_their_mean() {
    let matrix = matrix(&[polled()]);
    let latency = find(&matrix, "Latency", "short-poll");
    assert_eq!((latency.verdict.word(), latency.measured.as_str()), ("reproduced", "mean 2.5 s"));
    for part in ["5 s interval", "largest 5 s", "90% of polls wasted", "predicts 90.5% at one event in 50 s"]
    {
        assert!(latency.condition.contains(part), "{part} in {}", latency.condition);
    }
    let once = sample::cell("poll-latency/short-poll").latency_ms(&[2_500.0; 9], 1).build();
    let once = find(&Matrix::from_parts(&[once], &[]), "Latency", "short-poll").clone();
    assert_eq!((once.verdict.word(), once.value), ("not measured", None));
    assert!(once.condition.contains("had 1, too few"), "{}", once.condition);
}

#[test]
fn wasted_polls_depend_on_the_event_rate() {
    let answers = answers(&[polled()]);
    let of = |id: &str| answers.iter().find(|answer| answer.claim.id == id).unwrap();
    let wasted = of("sp-wasted");
    assert_eq!((wasted.verdict.word(), wasted.measured.as_str()), ("depends", "90%"));
    assert!(wasted.condition.contains("90% needs fewer than one event in 47.5 s"), "{}", wasted.condition);
    assert_eq!(of("sp-requests").verdict.word(), "reproduced");
    assert_eq!(of("lp-requests").condition, "needs the cell workload/long-poll");
    // Uniform between 0 and 5 s, 600 events: the interval is 4.6% to each side, inside the 5% of `about`.
    assert_eq!(of("sp-latency-mean").verdict.word(), "reproduced");
}

#[test]
fn overhead_of_polls_depends_on_headers_where_the_verdict_does() {
    let polls = |name: &str, bytes: u64, headers: Headers| {
        let cell = sample::cell(name).polls(1_000, 0, bytes).delivering(1_000);
        cell.with(|cell| cell.spec.http.headers = headers).build()
    };
    let verdict = |browser, minimal| {
        let cells = [
            polls("workload/long-poll", browser, Headers::Browser),
            polls("minimal/long-poll", minimal, Headers::Minimal),
        ];
        find(&matrix(&cells), "Overhead/Msg", "long-poll").clone()
    };
    let both = verdict(900, 600);
    assert_eq!((both.verdict.word(), both.value), ("reproduced", Some(900.0)));
    assert!(both.condition.contains("600 B per message with minimal headers"), "{}", both.condition);
    let differ = verdict(900, 250);
    assert_eq!(differ.verdict.word(), "depends");
    assert!(differ.condition.starts_with("depends on headers"), "{}", differ.condition);
    assert!(
        differ.condition.contains("900 B per message with browser headers, 250 B per message with minimal")
    );
    assert_eq!(verdict(300, 250).verdict.word(), "not reproduced");
}

#[test]
fn websocket_framing_is_judged_in_both_directions() {
    let framing = |down, up| {
        let cell = sample::cell("workload/websocket").stream(down, up).build();
        find(&matrix(&[cell]), "Overhead/Msg", "websocket").clone()
    };
    assert_eq!(framing(2.0, 6.0).verdict.word(), "reproduced");
    let large = framing(4.0, 8.0);
    assert_eq!((large.verdict.word(), large.value), ("depends", Some(4.0)));
    assert!(
        large.condition.starts_with("depends on the direction: 4 B server to client"),
        "{}",
        large.condition
    );
    assert_eq!(framing(7.0, 9.0).verdict.word(), "not reproduced");
}

/// Workload and memory cells in the order that the guide claims.
fn loaded(cpu_us: [u64; 5], kb: [u64; 5]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (i, column) in COLUMNS.iter().enumerate() {
        let name = format!("workload/{}", column.protocol);
        cells.push(sample::cell(&name).stream(2.0, 6.0).cpu_us(cpu_us[i]).build());
        for clients in [100, 500, 1_000] {
            let name = format!("memory/{}/{clients}", column.protocol);
            cells.push(sample::cell(&name).idle(clients, kb[i] * 1_000).build());
        }
    }
    cells
}

fn words(matrix: &Matrix, feature: &str) -> Vec<&'static str> {
    COLUMNS.iter().map(|column| find(matrix, feature, column.protocol).verdict.word()).collect()
}

#[test]
fn server_load_is_an_order() {
    // high, medium, medium, medium, low
    let agreed = matrix(&loaded([90, 50, 30, 40, 5], [40, 30, 10, 20, 5]));
    assert_eq!(words(&agreed, "Server Load"), ["reproduced"; 5]);
    let load = find(&agreed, "Server Load", "websocket");
    assert_eq!((load.measured.as_str(), load.value), ("30 us, 10 KB/client", Some(30.0)));
    assert!(load.condition.contains("coarse: 3 points"), "{}", load.condition);
    assert!(
        agreed.rows[5]
            .note
            .contains("Short polling 10, Long polling 7 to 8, WebSocket 4, SSE 6 to 7, WebRTC 2"),
        "{}",
        agreed.rows[5].note
    );
    // Peers that cost the server as much as a WebSocket, as far as cells that drift can tell, are not ordered with it.
    let alike = matrix(&loaded([90, 50, 30, 40, 29], [40, 30, 10, 20, 10]));
    assert_eq!(
        words(&alike, "Server Load"),
        ["reproduced", "reproduced", "not measured", "reproduced", "not measured"]
    );
    let condition = &find(&alike, "Server Load", "webrtc").condition;
    assert!(condition.contains("too much to be ordered with WebSocket"), "{condition}");
    // Peers that cost it more are not low.
    let heavy = matrix(&loaded([120, 50, 30, 40, 75], [40, 30, 10, 20, 35]));
    assert_eq!(
        words(&heavy, "Server Load"),
        ["reproduced", "not reproduced", "not reproduced", "not reproduced", "not reproduced"]
    );
    assert!(
        find(&heavy, "Server Load", "webrtc").condition.contains("out of order with Long polling, WebSocket")
    );
}

#[test]
fn an_order_needs_somebody_else() {
    let cells: Vec<Cell> = loaded([9, 9, 9, 9, 9], [9; 5])
        .into_iter()
        .filter(|cell| cell.spec.id.protocol.name == "sse")
        .collect();
    let load = find(&matrix(&cells), "Server Load", "sse").clone();
    assert_eq!((load.verdict.word(), load.value), ("not measured", Some(9.0)));
}

#[test]
fn an_order_is_that_of_all_who_are_ranked() {
    let uncounted = matrix(&[]);
    assert_eq!(words(&uncounted, "Implementation"), ["not measured"; 5], "nobody knows where SSE stands");
    let websocket = find(&uncounted, "Implementation", "websocket");
    assert_eq!((websocket.measured.as_str(), websocket.value), ("500 lines, 3 crates", Some(500.0)));
    assert!(websocket.condition.starts_with("needs the same of all protocols that are ranked; SSE missing"));
    let mut source = source();
    source[3].server_lines = 50;
    let counted = Matrix::from_parts(&[], &source);
    assert_eq!(words(&counted, "Implementation"), ["reproduced"; 5]);
    let mut loaded = loaded([90, 50, 30, 40, 5], [40, 30, 10, 20, 5]);
    loaded.retain(|cell| !cell.spec.id.is_named("workload/long-poll"));
    assert_eq!(words(&matrix(&loaded), "Server Load"), ["not measured"; 5]);
}

#[test]
fn scalability_needs_all_three_criteria_and_peers_need_no_server() {
    let mut cells = loaded([40, 30, 20, 25, 5], [10; 5]);
    for cell in &mut cells {
        if cell.spec.id.is_named("workload/webrtc") {
            cell.spec.webrtc.peer_to_peer = true;
            cell.server.as_mut().unwrap().published_bytes = Some(0);
        }
        if cell.spec.id.is_named("workload/short-poll") {
            *cell = sample::cell("workload/short-poll").polls(30_000, 10_000, 600).cpu_us(40).build();
        }
    }
    let before = matrix(&cells);
    assert_eq!(words(&before, "Scalability")[0], "not measured", "the reconnect probe is missing");
    assert_eq!(find(&before, "Scalability", "webrtc").measured, "server carries 0%");
    assert_eq!(words(&before, "Scalability")[4], "reproduced");
    for (protocol, found) in [("short-poll", "yes"), ("long-poll", "no"), ("websocket", "no"), ("sse", "yes")]
    {
        cells.push(sample::cell(&format!("probe/{protocol}")).probe("reconnect", found, "").build());
    }
    let after = matrix(&cells);
    let short = find(&after, "Scalability", "short-poll");
    // 40 us x 900/s is 3.6% of a core for 1,000 clients.
    assert_eq!(short.measured, "27,778 clients/core");
    assert!(short.condition.contains("next message at another server: yes"), "{}", short.condition);
    // Ranks: short polling 1 + 4 + 1.5, long polling 3 + (2 to 3) + 3.5, WebSocket 3 + (1 to 2) + 3.5, SSE 3 + (1 to 3) + 1.5.
    let sums = "Short polling 6.5, Long polling 8.5 to 9.5, WebSocket 7.5 to 8.5, SSE 5.5 to 7.5";
    assert!(after.rows[4].note.ends_with(sums), "{}", after.rows[4].note);
}

#[test]
fn a_data_channels_overhead_has_a_figure_before_it_has_a_verdict() {
    let cell = sample::cell("workload/webrtc").datagrams(31_500, 16_000).build();
    let overhead = find(&matrix(&[cell]), "Overhead/Msg", "webrtc").clone();
    assert_eq!(overhead.verdict.word(), "not measured");
    assert!(
        overhead.value.unwrap() > 100.0 && overhead.condition.contains("WebSocket over TLS"),
        "{overhead:?}"
    );
}
