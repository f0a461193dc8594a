//! Requests that are not measured (health, statistics, signalling): `reqwest`, with the trust and the addresses that
//! measured connections have.

use std::net::{IpAddr, SocketAddr};

use super::tls::{self, Tls};

/// A client for one server. Proxies from the environment would stand between, and are left out.
pub fn client(address: SocketAddr, tls: Option<&Tls>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy().http1_only();
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
