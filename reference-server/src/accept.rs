//! Accepting connections.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{Accept, TlsAcceptor};

use crate::app::App;
use crate::connection::{Connection, Order};
use crate::front::Front;
use crate::turn::HANDSHAKE;
use crate::wire::{Stream, Wire};

/// Pause after a failed accept: without descriptors the queue stays readable, and trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections accepted before everybody else gets a turn.
const AT_ONCE: usize = 8;

/// Accepts connections and serves each in a task of its own.
pub(crate) async fn forever(app: &Arc<App>, listener: &TcpListener) {
    let tls = app.config.tls.clone().map(TlsAcceptor::from);
    let mut accepted = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                accepted += 1;
                if accepted % AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
                if cfg!(not(target_os = "linux")) {
                    // If it fails, the connection is dead, and its task will notice.
                    let _ = stream.set_nodelay(true);
                }
                let connection = Connection::open(app);
                match &tls {
                    None => {
                        tokio::spawn(Front::new(Wire::new(Stream::Plain(stream), connection)));
                    }
                    Some(tls) => {
                        tokio::spawn(secure(tls.accept(stream), connection));
                    }
                }
            }
            Err(error) => {
                app.stats.accept_errors.add(1);
                // The client gave up before it was accepted: its loss alone.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Shakes hands, then serves. A connection that is told to end before that has nothing to finish.
async fn secure(handshake: Accept<TcpStream>, connection: Arc<Connection>) {
    // Not a part of what lives on.
    let mut handshake = Box::pin(handshake);
    let secured = std::future::poll_fn(|cx| match connection.order(cx) {
        Order::Serve if !connection.may_go_on() => Poll::Pending,
        Order::Serve => {
            connection.turn().spend(HANDSHAKE);
            handshake.as_mut().poll(cx).map(Result::ok)
        }
        Order::Stop | Order::Cut => Poll::Ready(None),
    });
    // Why it failed is the client's to say.
    let secured = secured.await;
    drop(handshake);
    if let Some(stream) = secured {
        Front::new(Wire::new(Stream::Tls(Box::new(stream)), connection)).await;
    }
}
