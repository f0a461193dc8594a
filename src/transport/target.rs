//! Where a client connects to.

use std::net::SocketAddr;

use super::tls::Tls;

/// The server under load, as the clients of one worker see it.
#[derive(Debug)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// How HTTP and WebSockets are encrypted; `None` if they are not.
    pub tls: Option<Tls>,
    /// `Host` header.
    pub host: String,
    /// Further header lines of every HTTP request, each ending in CRLF; `minimal` has none.
    pub headers: String,
}

impl Target {
    /// Whether a field of its own that is a list of tokens names `token`.
    pub(crate) fn asks_for(&self, name: &str, token: &str) -> bool {
        let fields = self.headers.split("\r\n").filter_map(|line| line.split_once(':'));
        let lists = fields.filter(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, list)| list);
        lists.flat_map(|list| list.split(',')).any(|asked| asked.trim() == token)
    }
}
