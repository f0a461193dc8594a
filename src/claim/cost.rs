//! What many users would cost, projected from what this run measured per message and per client.

use super::evidence::Evidence;
use super::matrix::COLUMNS;
use super::verdict::short;
use crate::measure::cell::Cell;

/// Users that the table is about.
pub const USERS: f64 = 10_000.0;

/// Seconds of a month of 30 days.
const MONTH_S: f64 = 30.0 * 86_400.0;

/// What [`USERS`] users of one protocol cost. Absent is what was not measured.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCost {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Server processors kept busy.
    pub cores: Option<f64>,
    /// Server memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// Bytes of all clients in a month, in GB (1e9).
    pub gb_per_month: Option<f64>,
    /// How the figures were reached, one line each.
    pub arithmetic: Vec<String>,
}

/// The cost for each protocol whose workload was measured.
pub fn of(cells: &[Cell]) -> Vec<UserCost> {
    let evidence = Evidence::new(cells, &[]);
    COLUMNS.iter().filter_map(|column| one(&evidence, column.protocol)).collect()
}

fn one(evidence: &Evidence<'_>, protocol: &'static str) -> Option<UserCost> {
    let workload = format!("workload/{protocol}");
    let cell = evidence.cell_by(&workload, "delivered_per_s").ok()?;
    let metric = |name: &str| evidence.metric(&workload, name).ok();
    let messages_per_s = metric("delivered_per_s")? / f64::from(cell.spec.clients.max(1));
    let mut cost =
        UserCost { protocol, cores: None, memory_bytes: None, gb_per_month: None, arithmetic: Vec::new() };
    let users = short(USERS);
    if let Some(us) = metric("server_cpu_us_per_delivery") {
        let cores = USERS * messages_per_s * us / 1e6;
        cost.cores = Some(cores);
        cost.arithmetic.push(format!(
            "{users} users x {} messages/s x {} us = {} cores",
            short(messages_per_s),
            short(us),
            short(cores)
        ));
    }
    if let (Ok(slope), Some(empty)) = (evidence.memory_slope(protocol), metric("server_memory_empty_bytes")) {
        let bytes = empty + USERS * slope.value;
        cost.memory_bytes = Some(bytes);
        cost.arithmetic.push(format!(
            "{} MB + {users} users x {} KB{} = {} MB",
            short(empty / 1e6),
            short(slope.value / 1e3),
            if slope.coarse { " (coarse)" } else { "" },
            short(bytes / 1e6)
        ));
    }
    if let Some(bytes) = metric("all_bytes_per_delivery") {
        let gb = USERS * messages_per_s * bytes * MONTH_S / 1e9;
        cost.gb_per_month = Some(gb);
        let whose = if cell.spec.peer_to_peer { " between peers, not through the server" } else { "" };
        cost.arithmetic.push(format!(
            "{users} users x {} messages/s x {} B x {} s = {} GB a month{whose}",
            short(messages_per_s),
            short(bytes),
            short(MONTH_S),
            short(gb)
        ));
    }
    Some(cost)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::measure::sample;

    #[test]
    fn the_arithmetic_is_shown_and_right() {
        let mut cells = vec![sample::cell("workload/websocket").stream(2.0, 6.0).cpu_us(20).build()];
        for clients in [100, 500, 1_000] {
            cells.push(sample::cell(&format!("memory/websocket/{clients}")).idle(clients, 10_000).build());
        }
        let costs = of(&cells);
        assert_eq!(costs.len(), 1, "only what was measured");
        let cost = &costs[0];
        // 27,000 deliveries in 30 s to 1,000 clients: 0.9 per client and second.
        assert!((cost.cores.unwrap() - 0.18).abs() < 1e-9);
        assert!((cost.memory_bytes.unwrap() - 104e6).abs() < 1.0);
        // 31,500 deliveries of 102 B and 3,500 events of 106 B.
        let bytes = 102.0 + 106.0 * 3_500.0 / 31_500.0;
        assert!((cost.gb_per_month.unwrap() - 10_000.0 * 0.9 * bytes * 2_592_000.0 / 1e9).abs() < 1e-6);
        assert_eq!(cost.arithmetic[0], "10,000 users x 0.9 messages/s x 20 us = 0.18 cores");
        assert_eq!(cost.arithmetic[1], "4 MB + 10,000 users x 10 KB (coarse) = 104 MB");
    }

    #[test]
    fn what_was_not_measured_costs_nothing_known() {
        let cell = sample::cell("workload/sse").stream(40.0, 0.0).with(|cell| cell.server = None).build();
        let costs = of(&[cell]);
        assert_eq!((costs[0].cores, costs[0].memory_bytes), (None, None));
        assert!(of(&[]).is_empty());
    }
}
