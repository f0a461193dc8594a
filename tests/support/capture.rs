//! Packets of the loopback device, taken from the kernel beside everything that is to be checked.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Room for what comes between two looks, in bytes.
const BUFFER_BYTES: libc::c_int = 64 << 20;

const LONGEST_PACKET: usize = 1 << 17;

/// One direction of a server's packets.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    pub packets: u64,
    /// IP packets as a whole.
    pub ip_bytes: u64,
    /// What TCP or UDP carried, without what TCP sent again.
    pub payload_bytes: u64,
    /// Segments beyond the first that each would be at an MTU of 1500.
    pub extra_segments: u64,
    /// Plaintext of complete TLS 1.3 records of application data, without the byte of their type.
    pub record_bytes: u64,
    /// By the client's port.
    streams: HashMap<u16, Stream>,
}

/// One direction of one connection.
#[derive(Clone, Debug, Default)]
struct Stream {
    /// Sequence number behind all that was seen.
    next: Option<u32>,
    /// A record that is not complete yet.
    partial: Vec<u8>,
}

/// What an IP packet carries.
struct Packet<'a> {
    /// As a whole.
    ip_bytes: usize,
    from: u16,
    to: u16,
    /// The sequence number of the payload's first byte, and whether a SYN comes before it.
    tcp: Option<(u32, bool)>,
    payload: &'a [u8],
}

impl Flow {
    fn take(&mut self, packet: &Packet<'_>, client_port: u16) {
        self.packets += 1;
        self.ip_bytes += packet.ip_bytes as u64;
        let stream = self.streams.entry(client_port).or_default();
        let payload = match packet.tcp {
            Some((sequence, syn)) => stream.unseen(sequence, syn, packet.payload),
            None => packet.payload,
        };
        self.payload_bytes += payload.len() as u64;
        self.extra_segments += (payload.len() as u64).saturating_sub(1) / 1448;
        self.record_bytes += stream.records(payload);
    }
}

impl Stream {
    /// What of a segment was not seen before.
    fn unseen<'a>(&mut self, sequence: u32, syn: bool, payload: &'a [u8]) -> &'a [u8] {
        if syn {
            *self = Stream { next: Some(sequence), partial: Vec::new() };
        }
        let next = *self.next.get_or_insert(sequence);
        let seen = next.wrapping_sub(sequence) as usize;
        // A keep-alive probe lies before everything.
        let unseen = payload.get(seen..).unwrap_or_default();
        self.next = Some(next.wrapping_add(unseen.len() as u32));
        unseen
    }

    /// RFC 8446, section 5.2: type, version, length; then the content, its type, and a tag of 16 bytes.
    fn records(&mut self, payload: &[u8]) -> u64 {
        let (stream, mut bytes) = (&mut self.partial, 0);
        stream.extend_from_slice(payload);
        while let [kind, 3, _, high, low, ..] = stream[..] {
            let whole = 5 + usize::from(u16::from_be_bytes([high, low]));
            if stream.len() < whole {
                break;
            }
            stream.drain(..whole);
            bytes += if kind == 23 { whole as u64 - 5 - 1 - 16 } else { 0 };
        }
        bytes
    }
}

impl Flow {
    fn rest(&self) -> Flow {
        Flow { streams: self.streams.clone(), ..Flow::default() }
    }

    fn plus(&self, other: &Flow) -> Flow {
        Flow {
            packets: self.packets + other.packets,
            ip_bytes: self.ip_bytes + other.ip_bytes,
            payload_bytes: self.payload_bytes + other.payload_bytes,
            extra_segments: self.extra_segments + other.extra_segments,
            record_bytes: self.record_bytes + other.record_bytes,
            streams: other.streams.clone(),
        }
    }
}

/// Both directions, as the clients of the server see them.
#[derive(Debug, Default)]
pub struct Captured {
    pub incoming: Flow,
    pub outgoing: Flow,
}

impl Captured {
    /// Nothing, after this: with its records that are not complete yet.
    pub fn rest(&self) -> Captured {
        Captured { incoming: self.incoming.rest(), outgoing: self.outgoing.rest() }
    }

    pub fn plus(&self, other: &Captured) -> Captured {
        Captured {
            incoming: self.incoming.plus(&other.incoming),
            outgoing: self.outgoing.plus(&other.outgoing),
        }
    }
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    pub tcp: bool,
    pub server_port: u16,
}

pub struct Capture {
    socket: OwnedFd,
    filter: Filter,
    buffer: Vec<u8>,
}

impl Capture {
    /// Fails without the right to see packets (CAP_NET_RAW).
    pub fn start(filter: Filter) -> io::Result<Capture> {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointers but to live values whose sizes are given; the descriptor is owned at once.
        let socket = unsafe {
            let fd = libc::socket(
                libc::AF_PACKET,
                libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                i32::from(protocol),
            );
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let socket = OwnedFd::from_raw_fd(fd);
            let size = size_of::<libc::c_int>() as libc::socklen_t;
            let buffer = std::ptr::from_ref(&BUFFER_BYTES).cast();
            if libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer, size) != 0 {
                return Err(io::Error::last_os_error());
            }
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = libc::if_nametoindex(c"lo".as_ptr()) as i32;
            let size = size_of_val(&address) as libc::socklen_t;
            if libc::bind(fd, std::ptr::from_ref(&address).cast(), size) != 0 {
                return Err(io::Error::last_os_error());
            }
            socket
        };
        Ok(Capture { socket, filter, buffer: vec![0; LONGEST_PACKET] })
    }

    /// Adds everything since the last look to `captured`. Panics if the kernel had to drop a packet.
    pub fn look(&mut self, mut captured: Captured) -> Captured {
        while let Some((length, arriving)) = self.next_packet() {
            // On the loopback device every packet leaves and arrives; once is enough.
            if arriving {
                let packet = &self.buffer[..length];
                self.filter.sort(packet, &mut captured);
            }
        }
        assert_eq!(self.dropped(), 0, "the capture lost packets");
        captured
    }

    fn next_packet(&mut self) -> Option<(usize, bool)> {
        // SAFETY: the system writes at most the given sizes into live buffers.
        unsafe {
            let mut from: libc::sockaddr_ll = std::mem::zeroed();
            let mut size = size_of_val(&from) as libc::socklen_t;
            let buffer = &mut self.buffer;
            let length = libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                std::ptr::from_mut(&mut from).cast(),
                &mut size,
            );
            (length >= 0).then_some((length as usize, from.sll_pkttype == libc::PACKET_HOST))
        }
    }

    fn dropped(&self) -> u32 {
        // struct tpacket_stats: packets, drops.
        let mut stats = [0u32; 2];
        let mut size = size_of_val(&stats) as libc::socklen_t;
        // SAFETY: the system writes at most `size` bytes into a live array.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                stats.as_mut_ptr().cast(),
                &mut size,
            )
        };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        stats[1]
    }
}

impl Filter {
    /// Adds an IPv4 packet (RFC 791, RFC 9293, RFC 768) to the direction it belongs to.
    fn sort(&self, packet: &[u8], captured: &mut Captured) {
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let protocol = if self.tcp { 6 } else { 17 };
        if packet.len() < 28 || packet[0] >> 4 != 4 || packet[9] != protocol {
            return;
        }
        let transport = usize::from(packet[0] & 15) * 4;
        let header = if self.tcp { usize::from(packet[transport + 12] >> 4) * 4 } else { 8 };
        let whole = &packet[..usize::from(number(2))];
        let sequence = [4, 5, 6, 7].map(|at| packet[transport + at]);
        let syn = self.tcp && packet[transport + 13] & 2 != 0;
        let parsed = Packet {
            ip_bytes: whole.len(),
            from: number(transport),
            to: number(transport + 2),
            // A SYN has a sequence number to itself.
            tcp: self.tcp.then(|| (u32::from_be_bytes(sequence).wrapping_add(u32::from(syn)), syn)),
            payload: &whole[transport + header..],
        };
        match self.server_port {
            port if port == parsed.from => captured.incoming.take(&parsed, parsed.to),
            port if port == parsed.to => captured.outgoing.take(&parsed, parsed.from),
            _ => {}
        }
    }
}
