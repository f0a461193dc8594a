//! What a TCP connection has cost so far, as the kernel counted it.

use std::os::fd::RawFd;

/// A reading of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCost {
    /// Payload bytes that arrived in order.
    pub in_bytes: u64,
    /// Payload bytes that were sent, those sent again included.
    pub out_bytes: u64,
    /// Segments that arrived: SYN, pure acknowledgements and FIN included.
    pub segments_in: u64,
    /// Segments that were sent, likewise.
    pub segments_out: u64,
    /// Whether each segment carries the timestamps option (RFC 7323).
    pub timestamps: bool,
    /// Nothing more can come or go: both ends have said FIN, or the connection was reset.
    pub ended: bool,
}

/// Reads an open descriptor. `None` where it is no TCP socket, or the system does not tell.
#[cfg(target_os = "linux")]
pub fn cost(fd: RawFd) -> Option<TcpCost> {
    let mut info = linux::TcpInfo::default();
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the system writes at most `length` bytes into plain integers, and refuses a descriptor that is no socket.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            std::ptr::from_mut(&mut info).cast(),
            &mut length,
        )
    };
    // A kernel before 4.19 knows no `bytes_sent`, which is the last field read here.
    (result == 0 && length as usize >= size_of_val(&info)).then(|| info.cost())
}

#[cfg(not(target_os = "linux"))]
pub fn cost(_fd: RawFd) -> Option<TcpCost> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use super::TcpCost;

    /// `struct tcp_info` of linux/tcp.h, up to the last field that is needed.
    #[derive(Default)]
    #[repr(C)]
    pub(super) struct TcpInfo {
        state: u8,
        _congestion: [u8; 4],
        options: u8,
        _scales_and_flags: [u8; 2],
        /// `rto` to `total_retrans`.
        _times_and_windows: [u32; 24],
        _pacing_rates: [u64; 2],
        _bytes_acked: u64,
        bytes_received: u64,
        segs_out: u32,
        segs_in: u32,
        /// `notsent_bytes`, `min_rtt`, `data_segs_in`, `data_segs_out`.
        _counts: [u32; 4],
        /// `delivery_rate`, `busy_time`, `rwnd_limited`, `sndbuf_limited`.
        _rates: [u64; 4],
        /// `delivered`, `delivered_ce`.
        _delivered: [u32; 2],
        bytes_sent: u64,
    }

    const OPTION_TIMESTAMPS: u8 = 1;

    const CLOSE: u8 = 7;

    /// TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING: the peer's FIN has come.
    const BEHIND_PEERS_FIN: [u8; 5] = [6, CLOSE, 8, 9, 11];

    impl TcpInfo {
        pub(super) fn cost(&self) -> TcpCost {
            // The kernel counts what it acknowledges, and a FIN is acknowledged like a byte.
            let fin = u64::from(BEHIND_PEERS_FIN.contains(&self.state));
            TcpCost {
                in_bytes: self.bytes_received.saturating_sub(fin),
                out_bytes: self.bytes_sent,
                segments_in: self.segs_in.into(),
                segments_out: self.segs_out.into(),
                timestamps: self.options & OPTION_TIMESTAMPS != 0,
                ended: self.state == CLOSE,
            }
        }
    }

    #[cfg(test)]
    #[test]
    fn the_layout_is_the_kernels() {
        use std::mem::offset_of;
        let offsets = [
            offset_of!(TcpInfo, bytes_received),
            offset_of!(TcpInfo, segs_out),
            offset_of!(TcpInfo, segs_in),
            offset_of!(TcpInfo, bytes_sent),
        ];
        assert_eq!(offsets, [128, 136, 140, 200]);
    }
}
