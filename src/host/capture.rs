//! What passes over the loopback device, as anybody with the right to listen would see it.

use std::io;

/// What was seen on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// UDP datagrams.
    pub datagrams: u64,
    /// Those in which the text could be read.
    pub readable_datagrams: u64,
    /// TCP segments in which it could be read.
    pub readable_segments: u64,
}

impl Seen {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    fn take(&mut self, packet: &[u8], text: &[u8]) {
        /// Where an IPv4 header tells the protocol (RFC 791).
        const PROTOCOL: usize = 9;
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        let readable = u64::from(packet.windows(text.len().max(1)).any(|window| window == text));
        match packet.get(PROTOCOL) {
            Some(&TCP) => self.readable_segments += readable,
            Some(&UDP) => {
                self.datagrams += 1;
                self.readable_datagrams += readable;
            }
            _ => {}
        }
    }
}

#[cfg(target_os = "linux")]
pub use linux::Wiretap;

#[cfg(not(target_os = "linux"))]
pub use absent::Wiretap;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::{Seen, io};

    /// Room for what comes between two looks, in bytes.
    const BUFFER_BYTES: usize = 16 << 20;

    /// Longest packet of the loopback device, whose MTU is 65,536.
    const PACKET_BYTES: usize = 1 << 17;

    /// A listener on the loopback device.
    #[derive(Debug)]
    pub struct Wiretap(OwnedFd);

    impl Wiretap {
        /// Listens from now on.
        ///
        /// # Errors
        /// Listening needs CAP_NET_RAW.
        pub fn start() -> io::Result<Wiretap> {
            let protocol = (libc::ETH_P_IP as u16).to_be();
            // SAFETY: no pointers but to a live address whose size is given; the descriptor is owned at once.
            let socket = unsafe {
                let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
                let fd = libc::socket(libc::AF_PACKET, kind, i32::from(protocol));
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                let socket = OwnedFd::from_raw_fd(fd);
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
            // The kernel gives what its limit allows; less is no error.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
            Ok(Wiretap(socket))
        }

        /// Everything since the start, searched for `text`.
        ///
        /// # Errors
        /// The kernel had to drop packets, so that not everything was seen.
        pub fn search(self, text: &[u8]) -> io::Result<Seen> {
            let mut seen = Seen::default();
            let mut packet = vec![0u8; PACKET_BYTES];
            loop {
                // SAFETY: the system writes at most the given size into a live buffer.
                let length =
                    unsafe { libc::recv(self.0.as_raw_fd(), packet.as_mut_ptr().cast(), packet.len(), 0) };
                match usize::try_from(length) {
                    Ok(length) => seen.take(&packet[..length], text),
                    Err(_) => break,
                }
            }
            match self.dropped()? {
                0 => Ok(seen),
                dropped => Err(io::Error::other(format!("{dropped} packets could not be seen"))),
            }
        }

        fn dropped(&self) -> io::Result<u32> {
            let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
            let mut size = size_of_val(&stats) as libc::socklen_t;
            // SAFETY: the system writes at most the given size into a live struct.
            let told = unsafe {
                let into = std::ptr::from_mut(&mut stats).cast();
                libc::getsockopt(
                    self.0.as_raw_fd(),
                    libc::SOL_PACKET,
                    libc::PACKET_STATISTICS,
                    into,
                    &mut size,
                )
            };
            if told == 0 { Ok(stats.tp_drops) } else { Err(io::Error::last_os_error()) }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod absent {
    use super::{Seen, io};

    /// Nobody can listen here.
    #[derive(Debug)]
    pub struct Wiretap(());

    impl Wiretap {
        /// Not possible here.
        ///
        /// # Errors
        /// Always.
        pub fn start() -> io::Result<Wiretap> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Not possible here.
        ///
        /// # Errors
        /// Always.
        pub fn search(self, _text: &[u8]) -> io::Result<Seen> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
