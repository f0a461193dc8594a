//! Who listens at an address of this host: the kernel's table of sockets says which sockets, and the descriptors of processes
//! who holds them. What another user's processes hold only root may see.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::stat::{Stat, all_processes};

/// State of a listening socket in the kernel's tables.
const LISTENS: &str = "0A";

/// A listening socket, by the number that the kernel gave it.
pub type Inode = u64;

/// The sockets that take connections to `address`; none if nobody on this host does. A process in a network of its own (a
/// container) has tables of its own: those of `near` are asked first.
pub fn sockets(address: SocketAddr, near: Option<u32>) -> BTreeSet<Inode> {
    let own = || if is_local(address.ip()) { table("self", address) } else { BTreeSet::new() };
    let near = near.map(|pid| table(&pid.to_string(), address)).unwrap_or_default();
    if near.is_empty() { own() } else { near }
}

/// Whether an address is one of this host's.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// The most fitting of a process's listening sockets: at this very address, else at all of its kind, else at all.
fn table(process: &str, address: SocketAddr) -> BTreeSet<Inode> {
    let mut found: [BTreeSet<Inode>; 3] = Default::default();
    for file in ["tcp", "tcp6"] {
        let Ok(file) = File::open(format!("/proc/{process}/net/{file}")) else { continue };
        // The listening ones stand first, and behind them there may be a million others.
        let lines = BufReader::new(file).lines().skip(1).map_while(Result::ok);
        for (at, inode) in lines.map_while(|line| listening(&line)) {
            if let Some(fit) = fit(at, address) {
                found[fit].insert(inode);
            }
        }
    }
    found.into_iter().find(|inodes| !inodes.is_empty()).unwrap_or_default()
}

/// Address and number of a listening socket's line; `None` for another's.
fn listening(line: &str) -> Option<(SocketAddr, Inode)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, LISTENS, ..] = fields[..] else { return None };
    let (ip, port) = local.split_once(':')?;
    Some((SocketAddr::new(parse_ip(ip)?, u16::from_str_radix(port, 16).ok()?), fields.get(9)?.parse().ok()?))
}

/// An address as words of 32 bits, which are in the network's order and printed as if in the host's.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut octets = [0; 16];
            octets.copy_from_slice(words.as_flattened());
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// How well a socket that listens `at` fits an address, 0 best; `None` if not at all.
fn fit(at: SocketAddr, address: SocketAddr) -> Option<usize> {
    let (own, wanted) = (at.ip().to_canonical(), address.ip().to_canonical());
    if at.port() != address.port() {
        None
    } else if own == wanted {
        Some(0)
    } else if own.is_unspecified() {
        match (own.is_ipv4(), wanted.is_ipv4()) {
            (true, true) | (false, false) => Some(1),
            (false, true) => Some(2),
            (true, false) => None,
        }
    } else {
        None
    }
}

/// Those of the sockets that a process holds; `None` if its descriptors cannot be seen.
fn held(pid: u32, sockets: &BTreeSet<Inode>) -> Option<BTreeSet<Inode>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inode = |link: std::path::PathBuf| {
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<Inode>().ok()
    };
    Some(links.filter_map(inode).filter(|inode| sockets.contains(inode)).collect())
}

/// A process that holds a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Name of its program.
    pub name: String,
    /// Which of the sockets.
    pub sockets: BTreeSet<Inode>,
}

/// What looking for holders found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Processes that hold one of the sockets.
    pub found: Vec<Holder>,
    /// The descriptors of all that were looked at could be seen.
    pub all_seen: bool,
}

/// Who of these processes holds the sockets.
pub fn holders(sockets: &BTreeSet<Inode>, pids: impl IntoIterator<Item = u32>) -> Holders {
    let mut holders = Holders { found: Vec::new(), all_seen: true };
    for pid in pids {
        match held(pid, sockets) {
            Some(own) if own.is_empty() => {}
            Some(own) => {
                let name = Stat::of(pid).map_or_else(String::new, |stat| stat.name);
                holders.found.push(Holder { pid, name, sockets: own });
            }
            // One that has just ended has none.
            None => holders.all_seen &= !hidden(pid),
        }
    }
    holders
}

/// Whether a process is there and its descriptors are not for this one to see.
fn hidden(pid: u32) -> bool {
    let denied = std::io::ErrorKind::PermissionDenied;
    std::fs::read_dir(format!("/proc/{pid}/fd")).is_err_and(|error| error.kind() == denied)
}

/// Who of all processes of this host holds the sockets.
pub fn all_holders(sockets: &BTreeSet<Inode>) -> Holders {
    holders(sockets, all_processes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kernels_write() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0";
        let (at, inode) = listening(line).unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!((at, inode), ("127.0.0.1:8080".parse().unwrap(), 4711));
        }
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        let six = parse_ip("00000000000000000000000001000000").unwrap();
        assert!(cfg!(target_endian = "big") || six == IpAddr::from(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn the_most_fitting_socket_takes_a_connection() {
        let fit = |at: &str, address: &str| fit(at.parse().unwrap(), address.parse().unwrap());
        assert_eq!(fit("127.0.0.1:80", "127.0.0.1:80"), Some(0));
        assert_eq!(fit("[::ffff:127.0.0.1]:80", "127.0.0.1:80"), Some(0));
        assert_eq!(fit("0.0.0.0:80", "127.0.0.1:80"), Some(1));
        assert_eq!(fit("[::]:80", "127.0.0.1:80"), Some(2));
        assert_eq!(fit("[::]:80", "[::1]:80"), Some(1));
        for (at, address) in
            [("0.0.0.0:80", "[::1]:80"), ("127.0.0.2:80", "127.0.0.1:80"), ("127.0.0.1:81", "127.0.0.1:80")]
        {
            assert_eq!(fit(at, address), None);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_listens_is_found() {
        let own = std::process::id();
        for at in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = std::net::TcpListener::bind(at).unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
            let found = holders(&sockets(address, None), [own]);
            assert_eq!(found.found.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [own], "{found:?}");
            assert!(found.all_seen && !found.found[0].name.is_empty());
            assert_eq!(sockets(address, Some(own)), sockets(address, None));
            drop(listener);
            assert!(sockets(address, None).is_empty());
        }
        assert!(sockets("192.0.2.1:80".parse().unwrap(), None).is_empty(), "no address of this host");
    }
}
