//! Middleboxes that speak HTTP: nginx, with the configuration that makes it the box that is wanted and nothing else.

use std::time::Duration;

use anyhow::Result;

use super::external::External;
use crate::fleet::server::Server;

/// After how much silence of the server `idle-timeout` cuts a connection. nginx's own default is 60 s.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// A box, by what it does to requests. Each has one defect, so that a result has one cause.
pub(super) struct Middlebox {
    pub(super) name: &'static str,
    /// What is to be said of it beside its name.
    pub(super) note: &'static str,
    /// Whether it is silence that it does not bear.
    pub(super) cuts_silence: bool,
    /// Directives for everything but WebSockets.
    http: &'static str,
    /// Directives for WebSockets.
    websocket: &'static str,
}

const UPGRADES: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                        proxy_set_header Connection $upgrade_or_close; proxy_buffering off;";

/// `Upgrade` and `Connection` are hop-by-hop fields (RFC 9110, section 7.6.1): a proxy that was not told of WebSockets
/// drops them.
pub(super) static PLAIN: Middlebox = Middlebox {
    name: "plain-proxy",
    note: "",
    cuts_silence: false,
    http: "proxy_http_version 1.1; proxy_buffering off;",
    websocket: "proxy_http_version 1.1; proxy_buffering off;",
};

/// nginx as it comes: HTTP/1.0 to the server and answers collected in buffers of a page. (With HTTP/1.1 it passes each
/// chunk on at once, whatever `proxy_buffering` says: a box of that kind holds nothing back.)
pub(super) static BUFFERING: Middlebox = Middlebox {
    name: "buffering-proxy",
    note: "",
    cuts_silence: false,
    http: "proxy_http_version 1.0; proxy_buffering on;",
    websocket: UPGRADES,
};

/// Passes everything on at once, and cuts what is silent for [`IDLE_TIMEOUT`].
pub(super) static IDLE: Middlebox = Middlebox {
    name: "idle-timeout",
    note: " (after 1 s of silence)",
    cuts_silence: true,
    http: "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1s;",
    websocket: "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                proxy_set_header Connection $upgrade_or_close; proxy_buffering off; proxy_read_timeout 1s;",
};

impl Middlebox {
    /// Puts the box in front of a server.
    ///
    /// # Errors
    /// nginx is not installed, or does not start.
    pub(super) async fn before(&self, server: &Server) -> Result<External> {
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        let upstream = format!("{scheme}://{}", server.address);
        let host = server.host.clone().unwrap_or_else(|| server.address.to_string());
        External::start("nginx", |dir, address| {
            let file = dir.join("nginx.conf");
            let listen = address.to_string();
            std::fs::write(&file, self.configuration(&listen, &upstream, &host))?;
            // Before it has read the file nginx would write to a log of the system's.
            let args = ["-e", "stderr", "-p", &dir.to_string_lossy(), "-c", &file.to_string_lossy()];
            Ok(args.map(str::to_owned).to_vec())
        })
        .await
    }

    /// One process, which can be ended and leaves no worker behind, and which writes to its own directory only.
    fn configuration(&self, listen: &str, upstream: &str, host: &str) -> String {
        let Middlebox { http, websocket, .. } = self;
        let to = format!("proxy_pass {upstream}; proxy_set_header Host \"{host}\";");
        format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n\
             access_log off; client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             map $http_upgrade $upgrade_or_close {{ default upgrade; '' close; }}\n\
             server {{\n\
             listen {listen};\n\
             location / {{ {to} {http} }}\n\
             location /ws {{ {to} {websocket} }}\n\
             }}\n\
             }}\n"
        )
    }
}
