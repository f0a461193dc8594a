//! Requests that are not measured (health, statistics, signalling): `reqwest`, with the trust and the addresses that
//! measured connections have.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use super::tls::{self, Tls};

/// A client for one server. Proxies from the environment would stand between, and are left out. A redirect is an answer that
/// says so, as it is to the measured requests.
pub fn client(address: SocketAddr, tls: Option<&Tls>) -> reqwest::ClientBuilder {
    let builder =
        reqwest::Client::builder().no_proxy().http1_only().redirect(reqwest::redirect::Policy::none());
    match tls {
        // The library wants a configuration also where none is ever used.
        None => builder.tls_backend_preconfigured(tls::trusting_nobody()),
        Some(tls) => builder.tls_backend_preconfigured(tls.config()).resolve(&tls.name(), address),
    }
}

/// What the paths of the server's URLs are appended to. Over TLS it has the name that the certificate must show.
pub fn origin(address: SocketAddr, tls: Option<&Tls>) -> String {
    let Some(tls) = tls else { return format!("http://{address}") };
    match tls.name().parse::<IpAddr>() {
        Ok(ip) => format!("https://{}", SocketAddr::new(ip, address.port())),
        Err(_) => format!("https://{}:{}", tls.name(), address.port()),
    }
}

/// How long one of several addresses may take to accept a connection.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(1);

/// Of the addresses that a name has, the first at which somebody accepts connections; the first of all if nobody does, so that
/// its error is told. A single one is not asked.
pub fn first_to_accept(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, ACCEPT_PATIENCE).is_ok();
    let found = if addresses.len() > 1 { addresses.iter().find(accepts) } else { None };
    found.or(addresses.first()).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn of_several_addresses_one_that_accepts_is_taken() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let somebody = listener.local_addr().unwrap();
        assert_eq!(first_to_accept(&[nobody, somebody]), Some(somebody));
        assert_eq!(first_to_accept(&[nobody, nobody]), Some(nobody));
        assert_eq!(first_to_accept(&[nobody]), Some(nobody));
        assert_eq!(first_to_accept(&[]), None);
    }
}
