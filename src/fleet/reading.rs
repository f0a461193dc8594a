//! What a worker reads of itself at the ends of a span: its sockets, its CPU.

use std::ops::Sub;
use std::rc::Rc;

use crate::host::clock::monotonic_ns;
use crate::host::process;
use crate::measure::cell::Wire;
use crate::transport::meter::Meter;

/// The counts of both roles' sockets.
#[derive(Default)]
pub(super) struct Meters {
    pub(super) subscriber: Rc<Meter>,
    pub(super) publisher: Rc<Meter>,
}

/// Readings at one end of a span.
#[derive(Clone, Default)]
pub(super) struct Reading {
    pub(super) at_ns: u64,
    pub(super) subscriber: Wire,
    pub(super) publisher: Wire,
    pub(super) cpu_ns: Option<u64>,
    pub(super) run_queue_delay_ns: Option<u64>,
}

impl Reading {
    /// Everything that costs next to nothing to read.
    pub(super) fn take(meters: &Meters) -> Reading {
        Reading {
            at_ns: monotonic_ns(),
            subscriber: read_meter(&meters.subscriber),
            publisher: read_meter(&meters.publisher),
            cpu_ns: process::cpu_ns(std::process::id()),
            run_queue_delay_ns: process::own_run_queue_delay_ns(),
        }
    }

    /// Also asks for packets, which takes longer than the ends of the window allow.
    pub(super) fn with_packets(meters: &Meters) -> Reading {
        Reading {
            subscriber: read_packets(&meters.subscriber),
            publisher: read_packets(&meters.publisher),
            ..Reading::take(meters)
        }
    }
}

fn read_meter(meter: &Meter) -> Wire {
    Wire {
        in_bytes: meter.wire_in_bytes.get(),
        out_bytes: meter.wire_out_bytes.get(),
        socket_in_bytes: meter.socket_in_bytes.get(),
        socket_out_bytes: meter.socket_out_bytes.get(),
        mtu_1500_extra_in: meter.mtu_1500_extra_in.get(),
        mtu_1500_extra_out: meter.mtu_1500_extra_out.get(),
        estimated_connections: meter.estimated_connections.get(),
        connections: meter.connections.get(),
        exchanges: meter.exchanges.get(),
        empty_exchanges: meter.empty_exchanges.get(),
        exchange_in_bytes: meter.exchange_in_bytes.get(),
        exchange_out_bytes: meter.exchange_out_bytes.get(),
        datagrams_in: meter.datagrams_in.get(),
        datagrams_out: meter.datagrams_out.get(),
        stun_ip_bytes: meter.stun_ip_bytes.get(),
        dtls_ip_bytes: meter.dtls_ip_bytes.get(),
        sctp_control_ip_bytes: meter.sctp_control_ip_bytes.get(),
        exchanges_in_window: meter.exchanges.get(),
        empty_exchanges_in_window: meter.empty_exchanges.get(),
        ..Wire::default()
    }
}

/// The same with the packets of every connection, which the kernel must be asked for.
fn read_packets(meter: &Meter) -> Wire {
    let packets = meter.packets();
    Wire {
        segments_in: packets.segments_in,
        segments_out: packets.segments_out,
        ip_in_bytes: packets.ip_in_bytes,
        ip_out_bytes: packets.ip_out_bytes,
        ..read_meter(meter)
    }
}

/// What was counted from `from` to `to`, with the exchanges of the window from `opened` to `closed`.
pub(super) fn span(from: &Wire, to: &Wire, opened: &Wire, closed: &Wire) -> Wire {
    let window = closed.zip(opened, u64::sub);
    Wire {
        exchanges_in_window: window.exchanges_in_window,
        empty_exchanges_in_window: window.empty_exchanges_in_window,
        ..to.zip(from, u64::sub)
    }
}
