//! What both ends of a data channel share: who they are, and how a datagram finds its peer connection.
//!
//! One UDP socket serves many peer connections here, on the server's side thousands of them. A datagram is
//! routed by where it comes from; only STUN requests, which are rare and are how a new address makes itself known,
//! are routed by the user name they carry (RFC 8445, section 7.3).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

use str0m::config::{CryptoProvider, DtlsCert};
use str0m::{Rtc, RtcConfig};

mod dtls;

/// Largest datagram that is read, in bytes. Peers keep to the path MTU; what is longer is cut off and fails its checks.
pub const MAX_DATAGRAM_BYTES: usize = 2048;

/// Receive buffer asked of the kernel for a socket, in bytes. The default of 208 KiB counts bookkeeping and holds
/// some 270 small datagrams: less than a burst from a few peers. The kernel caps it at `net.core.rmem_max`.
pub const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// A DTLS certificate and the cryptography around it, shared by all peer connections of one process or thread. A key
/// pair of its own for each would cost more than its handshake.
#[derive(Clone)]
pub struct Identity {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

/// The cryptography library could not make a key pair.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no DTLS certificate could be generated")]
pub struct NoCertificate;

impl Identity {
    /// Generates a self-signed certificate.
    ///
    /// # Errors
    /// The cryptography library does not work.
    pub fn generate() -> Result<Identity, NoCertificate> {
        let provider = dtls::provider();
        let certificate = provider.dtls_provider.generate_certificate().ok_or(NoCertificate)?;
        Ok(Identity { provider: Arc::new(provider), certificate })
    }

    /// What every peer connection of ours is built from: data channels and nothing else. Each takes messages of up to
    /// `max_message_bytes`, and buffers `buffered_bytes` on top of one such message before it refuses more.
    pub fn config(&self, max_message_bytes: usize, buffered_bytes: usize) -> RtcConfig {
        Rtc::builder()
            .set_crypto_provider(self.provider.clone())
            .set_dtls_cert(self.certificate.clone())
            .clear_codecs()
            .clear_extension_map()
            .set_sctp_max_message_size(u32::try_from(max_message_bytes).unwrap_or(u32::MAX))
            .set_sctp_max_buffered_amount(max_message_bytes.saturating_add(buffered_bytes))
    }
}

/// Which peer connection a datagram belongs to, for all peer connections that share a socket.
#[derive(Debug)]
pub struct Routes<K> {
    by_ufrag: HashMap<Box<str>, K>,
    by_address: HashMap<SocketAddr, K>,
    known: HashMap<K, Known>,
}

/// What leads to one peer connection.
#[derive(Debug)]
struct Known {
    ufrag: Box<str>,
    addresses: Vec<SocketAddr>,
}

impl<K> Default for Routes<K> {
    fn default() -> Self {
        Routes { by_ufrag: HashMap::new(), by_address: HashMap::new(), known: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Routes<K> {
    /// Adds a peer connection, by our own user-name fragment of it.
    pub fn add(&mut self, key: K, ufrag: &str) {
        self.by_ufrag.insert(ufrag.into(), key);
        self.known.insert(key, Known { ufrag: ufrag.into(), addresses: Vec::new() });
    }

    /// Forgets a peer connection.
    pub fn remove(&mut self, key: K) {
        let Some(known) = self.known.remove(&key) else { return };
        self.by_ufrag.remove(&known.ufrag);
        for address in known.addresses {
            // The port may belong to a newer peer by now.
            if self.by_address.get(&address) == Some(&key) {
                self.by_address.remove(&address);
            }
        }
    }

    /// The peer connection to which a datagram `from` somewhere belongs.
    ///
    /// A user name goes before an address: when a port is used again, the old peer's address is the new one's.
    pub fn find(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<K> {
        if let Some(ufrag) = stun_request_ufrag(datagram) {
            let key = *self.by_ufrag.get(ufrag)?;
            self.learn(key, from);
            return Some(key);
        }
        self.by_address.get(&from).copied()
    }

    /// What comes from `address` belongs to `key` from now on; where a peer connection sends to, answers come from.
    pub fn learn(&mut self, key: K, address: SocketAddr) {
        if self.by_address.get(&address) == Some(&key) {
            return;
        }
        let Some(known) = self.known.get_mut(&key) else { return };
        self.by_address.insert(address, key);
        known.addresses.push(address);
    }

    /// Number of peer connections.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Whether a datagram is STUN (RFC 7983): only then can it come from, or teach, an address not known yet.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|&byte| byte < 4)
}

/// The receiver's user-name fragment of a STUN binding request: USERNAME is `receiver:sender` (RFC 8445, section
/// 7.2.2). Nothing is verified here; the peer connection does that.
fn stun_request_ufrag(datagram: &[u8]) -> Option<&str> {
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
    const USERNAME: u16 = 6;
    let (header, mut attributes) = datagram.split_at_checked(20)?;
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE {
        return None;
    }
    while let [t0, t1, l0, l1, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([*t0, *t1]) == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        // Values are padded to whole words (RFC 8489, section 14).
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn binding_request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(0x2112_A442_u32.to_be_bytes());
        message.extend([7; 12]);
        message.extend(body);
        message
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn fuzz_routes() {
        let right = [
            binding_request(&[(0x8022, b"odd"), (6, b"one:theirs"), (8, &[0; 20])]),
            binding_request(&[(6, b"two:x")]),
            vec![22, 254, 253, 0, 0],
        ];
        let right = right.each_ref().map(Vec::as_slice);
        crate::fuzz::fuzz(&right, |input, _| {
            let mut routes = Routes::default();
            routes.add(1, "one");
            let found = routes.find(address(5), input);
            assert!(found.is_none() || input.windows(3).any(|part| part == b"one"));
            assert_eq!(routes.find(address(5), b"\x16"), found, "what was learnt is known");
        });
    }

    #[test]
    fn the_receivers_fragment_is_found_behind_other_attributes() {
        let message = binding_request(&[(0x8022, b"odd"), (6, b"mine:theirs"), (8, &[0; 20])]);
        assert_eq!(stun_request_ufrag(&message), Some("mine"));
        assert_eq!(stun_request_ufrag(&binding_request(&[(8, &[0; 20])])), None);
    }

    #[test]
    fn a_request_teaches_the_address_that_the_rest_comes_from() {
        let mut routes = Routes::default();
        routes.add(1, "one");
        let dtls = [22, 254, 253];
        assert_eq!(routes.find(address(5), &dtls), None);
        assert_eq!(routes.find(address(5), &binding_request(&[(6, b"one:x")])), Some(1));
        assert_eq!(routes.find(address(5), &dtls), Some(1));
        assert_eq!(routes.find(address(6), &binding_request(&[(6, b"two:x")])), None);
    }

    #[test]
    fn a_port_used_again_belongs_to_the_newer_peer() {
        let mut routes = Routes::default();
        routes.add(1, "one");
        routes.add(2, "two");
        routes.find(address(5), &binding_request(&[(6, b"one:x")]));
        assert_eq!(routes.find(address(5), &binding_request(&[(6, b"two:x")])), Some(2));
        routes.remove(1);
        assert_eq!(routes.find(address(5), &[22]), Some(2));
        routes.remove(2);
        assert_eq!((routes.find(address(5), &[22]), routes.is_empty()), (None, true));
        assert!(routes.by_address.is_empty() && routes.by_ufrag.is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_datagrams_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut datagram = binding_request(&[]);
            datagram.extend(tail);
            let _ = stun_request_ufrag(&datagram);
        }
    }
}
