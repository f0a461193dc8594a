//! The table of metrics: everything that is derived from a cell, defined once.
//!
//! CSV columns, thresholds, `list` and every report iterate this table. A metric that a cell does not have is
//! `None`, never 0; a failed cell has none but what was asked of it.

use super::bytes;
use super::bytes::per;
use super::cell::{Cell, Distribution, ServerCost, Status};
use super::layers::{
    self,
    Direction::{In, Out},
    Layer,
};
use crate::stats::{Bounds, proportion};

/// Something measured, and how to read it from a cell.
#[derive(Debug)]
pub struct Metric {
    /// Snake case, the unit as suffix, e.g. `response_p50_ms`. Names columns; never changes its meaning.
    pub name: &'static str,
    /// Unit for people, e.g. `ms`; empty for plain counts.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether two runs of one seed must agree.
    pub tier: Tier,
    /// What it is, in one line.
    pub about: &'static str,
    /// Reads it from a cell that was measured.
    value: fn(&Cell) -> Option<f64>,
    /// Its 95% interval, where one cell can tell it.
    bounds: Option<fn(&Cell) -> Option<Bounds>>,
}

/// Which direction is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// Neither: it describes the workload.
    Neither,
}

impl Better {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "neither",
        }
    }
}

/// How a change of a metric is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The same seed gives the same value on a healthy system: any change is a change.
    Exact,
    /// It depends on timing and on the host: a change needs statistics.
    Noisy,
}

impl Tier {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Tier::Exact => "exact",
            Tier::Noisy => "noisy",
        }
    }
}

impl Metric {
    /// The value in `cell`, if it has one.
    pub fn value(&self, cell: &Cell) -> Option<f64> {
        match cell.status {
            Status::Failed(_) => None,
            Status::Finished | Status::Interrupted => (self.value)(cell),
        }
    }

    /// The 95% interval of the value, where one cell can tell it.
    pub fn bounds(&self, cell: &Cell) -> Option<Bounds> {
        self.value(cell)?;
        self.bounds.and_then(|bounds| bounds(cell))
    }

    /// Whether its values are whole numbers: counts, and sizes that are no share of something.
    pub fn is_whole(&self) -> bool {
        matches!(self.unit, "" | "B") && !self.name.contains("_per_")
    }

    const fn bounded(self, bounds: fn(&Cell) -> Option<Bounds>) -> Metric {
        Metric { bounds: Some(bounds), ..self }
    }
}

/// The metric of this name.
pub fn find(name: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| metric.name == name)
}

type Value = fn(&Cell) -> Option<f64>;

const fn exact(
    name: &'static str,
    unit: &'static str,
    better: Better,
    about: &'static str,
    value: Value,
) -> Metric {
    Metric { name, unit, better, tier: Tier::Exact, about, value, bounds: None }
}

const fn noisy(
    name: &'static str,
    unit: &'static str,
    better: Better,
    about: &'static str,
    value: Value,
) -> Metric {
    Metric { name, unit, better, tier: Tier::Noisy, about, value, bounds: None }
}

use Better::{Higher, Lower, Neither};

/// Every metric, in the order of the columns.
#[rustfmt::skip]
pub static ALL: &[Metric] = &[
    // What was asked for, and what became of it.
    exact("clients", "", Neither, "Simulated users asked for", |c| count(c.spec.clients.into())),
    exact("connected", "", Higher, "Clients that became ready", |c| count(c.counts.connected)),
    exact("cut_short", "", Lower, "Clients that were ready and missed a part of the rest: cut off for good, not back at the end, or for a while where the protocol does not resume", |c| count(c.counts.cut_short)),
    exact("published", "", Neither, "Events sent in the window", |c| count(c.counts.published)),
    exact("expected", "", Neither, "Deliveries owed for them, counted by publishers", |c| count(c.counts.expected)),
    exact("delivered", "", Higher, "Deliveries received once, counted by subscribers", |c| count(c.counts.delivered)),
    exact("lost", "", Lower, "Deliveries that never came", |c| count(c.counts.lost)),
    exact("lost_percent", "%", Lower, "Deliveries that never came, of those owed", |c| percent(c.counts.lost, c.counts.expected)),
    exact("excused", "", Lower, "Deliveries that fell due while a client was cut off whose protocol does not resume: owed to nobody", |c| count(c.counts.excused)),
    exact("duplicates", "", Lower, "Deliveries received again", |c| count(c.counts.duplicates)),
    exact("reordered", "", Lower, "Deliveries that came after a later one", |c| count(c.counts.reordered)),
    exact("reordered_by", "", Lower, "How many events behind the worst of those came", |c| count(c.reordered_by.into())),
    noisy("late", "", Lower, "Deliveries after the drain's deadline, also counted as lost", |c| count(c.counts.late)),
    noisy("censored", "", Lower, "Lost deliveries that stand in the response times at their time-out", |c| count(c.counts.censored)),
    exact("corrupt", "", Lower, "Payloads with a wrong checksum", |c| count(c.counts.corrupt)),
    exact("declared_missed", "", Lower, "Deliveries that the server said it dropped", |c| count(c.counts.declared_missed)),
    exact("lost_silently", "", Lower, "Lost deliveries that no server declared, at least", |c| count(c.counts.lost.saturating_sub(c.counts.declared_missed))),
    noisy("shed", "", Lower, "Events that were due and that the generator could not send", |c| count(c.counts.shed)),
    noisy("held_back", "", Lower, "Events that were due and could not be sent, as the server had not taken or answered what was sent before", |c| count(c.counts.held_back)),
    noisy("unanswered", "", Lower, "Events published that the server had neither acknowledged nor refused at the end", |c| count(c.counts.unanswered)),
    exact("failures", "", Lower, "Failures of clients, all phases and kinds", |c| count(c.failures.iter().map(|f| f.count).sum())),
    noisy("received_in_window", "", Neither, "Deliveries received while the window was open, whenever they were due", |c| count(c.counts.received_in_window)),
    noisy("delivered_per_s", "1/s", Higher, "Deliveries received per second of the window, whenever they were due", |c| rate(c.counts.received_in_window, c.measured_s)),
    noisy("connect_s", "s", Lower, "First connect to last client ready", |c| some(c.connect_s)),
    noisy("connects_per_s", "1/s", Higher, "Clients made ready per second, from the first connect to the last client ready", |c| rate(c.counts.connected, c.connect_s)),

    // Times.
    noisy("response_mean_ms", "ms", Lower, "Receipt minus due time, mean", |c| ms(c.response.mean_s()))
        .bounded(|c| ms_bounds(c.response.mean_bounds_s())),
    noisy("response_p50_ms", "ms", Lower, "Receipt minus due time, median", |c| quantile(&c.response, 0.5))
        .bounded(|c| quantile_bounds(&c.response, 0.5)),
    noisy("response_p90_ms", "ms", Lower, "Receipt minus due time, 90th percentile", |c| quantile(&c.response, 0.9))
        .bounded(|c| quantile_bounds(&c.response, 0.9)),
    noisy("response_p95_ms", "ms", Lower, "Receipt minus due time, 95th percentile", |c| quantile(&c.response, 0.95))
        .bounded(|c| quantile_bounds(&c.response, 0.95)),
    noisy("response_p99_ms", "ms", Lower, "Receipt minus due time, 99th percentile", |c| quantile(&c.response, 0.99))
        .bounded(|c| quantile_bounds(&c.response, 0.99)),
    noisy("response_p99_9_ms", "ms", Lower, "Receipt minus due time, 99.9th percentile", |c| quantile(&c.response, 0.999))
        .bounded(|c| quantile_bounds(&c.response, 0.999)),
    noisy("response_max_ms", "ms", Lower, "Receipt minus due time, largest", |c| ms(c.response.max_s())),
    noisy("service_p50_ms", "ms", Lower, "Receipt minus write, median", |c| quantile(&c.service, 0.5))
        .bounded(|c| quantile_bounds(&c.service, 0.5)),
    noisy("service_p99_ms", "ms", Lower, "Receipt minus write, 99th percentile", |c| quantile(&c.service, 0.99))
        .bounded(|c| quantile_bounds(&c.service, 0.99)),
    noisy("spread_p50_ms", "ms", Lower, "From an event's first subscriber to its last, median", |c| quantile(&c.spread, 0.5))
        .bounded(|c| quantile_bounds(&c.spread, 0.5)),
    noisy("spread_p99_ms", "ms", Lower, "From an event's first subscriber to its last, 99th percentile", |c| quantile(&c.spread, 0.99))
        .bounded(|c| quantile_bounds(&c.spread, 0.99)),
    noisy("send_lag_p50_ms", "ms", Lower, "What the generator was late with sending, median", |c| quantile(&c.send_lag, 0.5))
        .bounded(|c| quantile_bounds(&c.send_lag, 0.5)),
    noisy("send_lag_p99_ms", "ms", Lower, "What the generator was late with sending, 99th percentile", |c| quantile(&c.send_lag, 0.99))
        .bounded(|c| quantile_bounds(&c.send_lag, 0.99)),
    noisy("send_wait_mean_ms", "ms", Lower, "How long an event waited for the server to take or answer what went before, or for a connection, mean over all", |c| per(c.send_wait.sum_s * 1e3, c.counts.published)),
    noisy("send_wait_max_ms", "ms", Lower, "The same, largest", |c| if c.counts.published > 0 { Some(c.send_wait.max_ns as f64 / 1e6) } else { None }),
    noisy("answer_p50_ms", "ms", Lower, "Publishing, where it is answered: from write to answer, median", |c| quantile(&c.answer, 0.5))
        .bounded(|c| quantile_bounds(&c.answer, 0.5)),
    noisy("answer_p99_ms", "ms", Lower, "Publishing, where it is answered: from write to answer, 99th percentile", |c| quantile(&c.answer, 0.99))
        .bounded(|c| quantile_bounds(&c.answer, 0.99)),
    noisy("answer_max_ms", "ms", Lower, "Publishing, where it is answered: from write to answer, largest", |c| ms(c.answer.max_s())),

    noisy("exchange_p50_ms", "ms", Lower, "A poll that brought something, or was held, from asking to the answer, median", |c| quantile(&c.exchange, 0.5))
        .bounded(|c| quantile_bounds(&c.exchange, 0.5)),
    noisy("exchange_max_ms", "ms", Lower, "A poll that brought something, or was held, from asking to the answer, largest", |c| ms(c.exchange.max_s())),

    // Bytes, from the barrier to the end of the drain.
    exact("framing_in_bytes_per_delivery", "B", Lower, "Read by a subscriber beyond payload; byte streams only", bytes::framing_in),
    exact("framing_out_bytes_per_delivery", "B", Lower, "Written by a subscriber beyond payload; byte streams only", bytes::framing_out),
    exact("publish_framing_out_bytes_per_event", "B", Lower, "Written by a publisher beyond payload; byte streams only", bytes::publish_framing_out),
    noisy("overhead_bytes_per_delivery", "B", Lower, "Beyond payload, both ways, of a subscriber", bytes::overhead_per_delivery),
    noisy("overhead_bytes_per_exchange", "B", Lower, "Beyond payload, both ways, per poll", bytes::overhead_per_exchange),
    noisy("publish_overhead_bytes_per_event", "B", Lower, "Beyond payload, both ways, of a publisher", bytes::publish_overhead),
    noisy("all_bytes_per_delivery", "B", Lower, "All bytes of all clients, payload included", bytes::all_per_delivery),

    // What lies below the protocol: payload | framing and headers | TLS | TCP/IP or UDP/IP.
    noisy("tls_in_bytes_per_delivery", "B", Lower, "Added by TLS to a subscriber", |c| Layer::Tls.per_delivery(c, In)),
    noisy("tls_out_bytes_per_delivery", "B", Lower, "Added by TLS from a subscriber", |c| Layer::Tls.per_delivery(c, Out)),
    noisy("network_in_bytes_per_delivery", "B", Lower, "Added by TCP/IP or UDP/IP to a subscriber: headers, acknowledgements, handshakes; loopback hides segments (MTU 65536)", |c| Layer::Network.per_delivery(c, In)),
    noisy("network_out_bytes_per_delivery", "B", Lower, "Added by TCP/IP or UDP/IP from a subscriber: headers, acknowledgements, handshakes; loopback hides segments (MTU 65536)", |c| Layer::Network.per_delivery(c, Out)),
    noisy("network_mtu1500_in_bytes_per_delivery", "B", Lower, "Added by TCP/IP or UDP/IP to a subscriber at an MTU of 1500, by arithmetic", |c| Layer::NetworkMtu1500.per_delivery(c, In)),
    noisy("network_mtu1500_out_bytes_per_delivery", "B", Lower, "Added by TCP/IP or UDP/IP from a subscriber at an MTU of 1500, by arithmetic", |c| Layer::NetworkMtu1500.per_delivery(c, Out)),
    noisy("ip_bytes_per_delivery", "B", Lower, "All bytes of IP packets of a subscriber, both ways, payload included", layers::ip_per_delivery),
    noisy("ip_overhead_bytes_per_delivery", "B", Lower, "Bytes of IP packets of a subscriber beyond payload, both ways", layers::ip_overhead_per_delivery),
    noisy("ip_overhead_bytes_per_exchange", "B", Lower, "Bytes of IP packets beyond payload, both ways, per poll", layers::ip_overhead_per_exchange),
    noisy("stun_bytes_per_delivery", "B", Lower, "IP packets of a subscriber with ICE's checks and keep-alives; datagrams only", |c| layers::aside_per_delivery(c, |wire| wire.stun_ip_bytes)),
    noisy("dtls_bytes_per_delivery", "B", Lower, "IP packets of a subscriber with DTLS handshakes and alerts; datagrams only", |c| layers::aside_per_delivery(c, |wire| wire.dtls_ip_bytes)),
    noisy("sctp_control_bytes_per_delivery", "B", Lower, "IP packets of a subscriber with SCTP's heartbeats and the acknowledgements that travel alone; datagrams only", |c| layers::aside_per_delivery(c, |wire| wire.sctp_control_ip_bytes)),
    noisy("mesh_upload_bytes_per_s", "B/s", Lower, "What each participant of a mesh sends if all send this stream; peer to peer only", layers::mesh_upload_per_s),
    noisy("segments_per_delivery", "", Lower, "TCP segments or datagrams of a subscriber, both ways", layers::segments_per_delivery),
    noisy("headers_in_bytes_per_exchange", "B", Lower, "Beyond payload in a poll's answer", |c| layers::headers_per_exchange(c, In)),
    noisy("headers_out_bytes_per_exchange", "B", Lower, "Beyond payload in a poll's request", |c| layers::headers_per_exchange(c, Out)),
    noisy("tls_in_bytes_per_exchange", "B", Lower, "Added by TLS towards the client, per poll", |c| Layer::Tls.per_exchange(c, In)),
    noisy("tls_out_bytes_per_exchange", "B", Lower, "Added by TLS from the client, per poll", |c| Layer::Tls.per_exchange(c, Out)),
    noisy("network_in_bytes_per_exchange", "B", Lower, "Added by TCP/IP towards the client, per poll", |c| Layer::Network.per_exchange(c, In)),
    noisy("network_out_bytes_per_exchange", "B", Lower, "Added by TCP/IP from the client, per poll", |c| Layer::Network.per_exchange(c, Out)),
    noisy("network_mtu1500_in_bytes_per_exchange", "B", Lower, "Added by TCP/IP towards the client at an MTU of 1500, per poll, by arithmetic", |c| Layer::NetworkMtu1500.per_exchange(c, In)),
    noisy("network_mtu1500_out_bytes_per_exchange", "B", Lower, "Added by TCP/IP from the client at an MTU of 1500, per poll, by arithmetic", |c| Layer::NetworkMtu1500.per_exchange(c, Out)),
    noisy("publish_tls_bytes_per_event", "B", Lower, "Added by TLS, both ways, of a publisher", |c| Layer::Tls.publish(c)),
    noisy("publish_network_bytes_per_event", "B", Lower, "Added by TCP/IP or UDP/IP, both ways, of a publisher", |c| Layer::Network.publish(c)),

    // Requests and connections.
    noisy("exchanges_per_s", "1/s", Neither, "Polls completed per second of the window", |c| polled(c, rate(c.subscriber_wire.exchanges_in_window, c.measured_s))),
    noisy("wasted_percent", "%", Lower, "Polls of the window that brought nothing", |c| polled(c, percent(c.subscriber_wire.empty_exchanges_in_window, c.subscriber_wire.exchanges_in_window)))
        .bounded(|c| proportion::wilson(c.subscriber_wire.empty_exchanges_in_window, c.subscriber_wire.exchanges_in_window).map(|b| b.scaled(100.0))),
    noisy("exchanges_per_delivery", "", Lower, "Polls per message received in the window", |c| polled(c, per(c.subscriber_wire.exchanges_in_window as f64, c.counts.received_in_window))),
    noisy("connections_per_delivery", "", Lower, "Connections opened per delivered message, after all were ready", |c| per(c.subscriber_wire.connections as f64, c.counts.delivered_all)),

    // The server.
    noisy("server_cpu_us_per_delivery", "us", Lower, "Server CPU per message received in the window", |c| per(server(c)?.cpu_ns? as f64 / 1e3, c.counts.received_in_window)),
    noisy("server_cpu_percent", "%", Lower, "Server CPU, of one core", |c| rate(server(c)?.cpu_ns?, c.measured_s).map(|ns| ns / 1e7)),
    noisy("server_memory_empty_bytes", "B", Lower, "Private memory of the server before any client", |c| count(server(c)?.memory_empty_bytes?)),
    noisy("server_memory_idle_bytes", "B", Lower, "Private memory of the server with all clients connected and idle", |c| count(server(c)?.memory_idle_bytes?)),
    noisy("server_memory_after_bytes", "B", Lower, "Private memory of the server after the traffic, with all clients connected", |c| count(server(c)?.memory_after_bytes?)),
    noisy("server_memory_bytes_per_client", "B", Lower, "Idle minus empty, per client; rough, a slope over client counts is better", memory_per_client),
    noisy("kernel_memory_idle_bytes", "B", Lower, "Slabs of the host's kernel with all clients idle, minus before any client: both ends of their connections", |c| grown(server(c)?.kernel_empty_bytes, server(c)?.kernel_idle_bytes)),
    noisy("kernel_memory_after_bytes", "B", Lower, "Slabs of the host's kernel after the traffic, minus before any client: both ends of the connections", |c| grown(server(c)?.kernel_empty_bytes, server(c)?.kernel_after_bytes)),
    noisy("host_cpu_us_per_delivery", "us", Lower, "CPU of the whole host, whatever else ran on it, per message received in the window: on loopback the receiver's kernel work lands on the sender", |c| per(server(c)?.host_busy_ns? as f64 / 1e3, c.counts.received_in_window)),
    noisy("server_connections", "", Neither, "Connections open at the end of the window", |c| count(server(c)?.connections?)),
    noisy("lookups_per_s", "1/s", Lower, "Look-ups into the message store", |c| rate(server(c)?.lookups?, c.measured_s)),
    noisy("server_payload_percent", "%", Neither, "Payload published through the server, of all published in the window", server_payload_percent),

    // The generator.
    noisy("generator_cpu_us_per_delivery", "us", Lower, "CPU of all workers per message received in the window", |c| per(c.generator.cpu_ns? as f64 / 1e3, c.counts.received_in_window)),
    noisy("generator_busiest_percent", "%", Lower, "CPU of the workers on their busiest core, of that core", |c| some(c.generator.busiest_share? * 100.0)),
    noisy("generator_waiting_percent", "%", Lower, "Share of the window that a worker waited for a core, the largest", |c| some(c.generator.waiting_share? * 100.0)),
    noisy("generator_loop_lag_p99_ms", "ms", Lower, "How late the workers' event loops came to what was due, 99th percentile", |c| quantile(&c.generator.loop_lag, 0.99)),
    noisy("host_steal_percent", "%", Lower, "Processor time that a hypervisor took", |c| some(c.host.steal_share? * 100.0)),
    noisy("host_listen_overflows", "", Lower, "Connections that found a listen queue of this host full", |c| count(c.host.listen_overflows?)),
];

fn some(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn count(n: u64) -> Option<f64> {
    Some(n as f64)
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    per(part as f64 * 100.0, whole)
}

fn rate(n: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| n as f64 / seconds)
}

fn ms(seconds: Option<f64>) -> Option<f64> {
    seconds.map(|s| s * 1e3)
}

fn ms_bounds(seconds: Option<Bounds>) -> Option<Bounds> {
    seconds.map(|bounds| bounds.scaled(1e3))
}

fn quantile(time: &Distribution, p: f64) -> Option<f64> {
    ms(time.quantile_s(p))
}

fn quantile_bounds(time: &Distribution, p: f64) -> Option<Bounds> {
    ms_bounds(time.quantile_bounds_s(p))
}

fn polled(cell: &Cell, value: Option<f64>) -> Option<f64> {
    value.filter(|_| bytes::polls(cell))
}

fn server(cell: &Cell) -> Option<&ServerCost> {
    cell.server.as_ref()
}

fn grown(from: Option<u64>, to: Option<u64>) -> Option<f64> {
    Some(to? as f64 - from? as f64)
}

fn memory_per_client(cell: &Cell) -> Option<f64> {
    let server = server(cell)?;
    let grown = server.memory_idle_bytes? as f64 - server.memory_empty_bytes? as f64;
    per(grown, cell.counts.connected)
}

fn server_payload_percent(cell: &Cell) -> Option<f64> {
    let published = cell.counts.published * u64::from(cell.spec.payload_bytes);
    percent(server(cell)?.published_bytes?, published)
}

#[cfg(test)]
#[path = "metric_tests.rs"]
mod tests;
