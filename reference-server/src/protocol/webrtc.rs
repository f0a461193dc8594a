//! Data channels, the server's end: ICE-lite, few UDP sockets, one task for all peers.
//!
//! ```text
//! POST /rtc -> Endpoint --offer--> Driver { ports, peers, timers, ready queue } <-> UDP sockets
//!                                            peer = str0m + one Conversation per channel <-> hub
//! ```
//!
//! str0m does no I/O and keeps no time, so the driver does both for every peer. It is woken by a socket, by the earliest
//! timer, or by a peer's own waker when the hub has something for it; it never looks at a peer that has nothing to do.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::request::Subscribe;

mod driver;
mod peer;
mod port;
#[cfg(test)]
mod tests;
mod timers;
mod wake;

use driver::{Command, Driver, Patience};

/// Offers that may wait for the driver; those behind them wait in their HTTP requests.
const COMMAND_QUEUE: usize = 256;

/// The handle on the data channels of a server.
pub(crate) struct Endpoint {
    commands: mpsc::Sender<Command>,
    driver: JoinHandle<()>,
}

/// Why an offer got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadOffer {
    /// It is not SDP, or not an offer that can be answered (`400`).
    #[error("bad offer: {0}")]
    Sdp(String),
    /// The server is about to stop (`503`).
    #[error("the server stops")]
    Stopping,
}

impl Endpoint {
    /// Takes over the sockets and starts the task that serves them. The sockets are bound to addresses that the clients
    /// can reach, because each is a candidate; one bound to all addresses is announced as loopback.
    ///
    /// # Errors
    /// The sockets cannot be used, or no certificate can be made.
    pub(crate) fn start(app: &Arc<App>, sockets: Vec<UdpSocket>) -> io::Result<Endpoint> {
        Endpoint::start_with(app, sockets, Patience::default())
    }

    fn start_with(app: &Arc<App>, sockets: Vec<UdpSocket>, patience: Patience) -> io::Result<Endpoint> {
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let driver = Driver::new(app.clone(), sockets, inbox, patience)?;
        Ok(Endpoint { commands, driver: tokio::spawn(driver) })
    }

    /// Answers an SDP offer. `request` holds for each channel that the client then opens.
    ///
    /// # Errors
    /// The offer is not understood, or the server stops.
    pub(crate) async fn answer(&self, sdp: String, request: Subscribe) -> Result<String, BadOffer> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Offer { sdp, request, reply };
        self.commands.send(command).await.map_err(|_| BadOffer::Stopping)?;
        answer.await.map_err(|_| BadOffer::Stopping)?
    }

    /// Drops all peers without a goodbye, as if their network had failed.
    pub(crate) async fn cut(&self) {
        // No driver, no peers.
        let _ = self.commands.send(Command::Cut).await;
    }

    /// Says goodbye to all peers and ends.
    pub(crate) async fn stop(self) {
        drop(self.commands);
        let _ = self.driver.await;
    }
}
