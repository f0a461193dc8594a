//! Accepting connections, and HTTP on each of them.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::app::App;
use crate::connection::{Connection, Order};

/// Pause after a failed accept: without descriptors the queue stays readable, and trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The least that hyper allows, and the longest request head.
const MAX_BUFFER_BYTES: usize = 8192;

/// What HTTP is spoken over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Closing from now on resets the connection.
    fn reset_on_close(&self);
}

impl Transport for TcpStream {
    fn reset_on_close(&self) {
        // If it fails, the client sees an end without a reset, which is a cut as well.
        let _ = self.set_zero_linger();
    }
}

impl Transport for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// Accepts connections and serves each in a task of its own.
pub(crate) async fn forever(app: &Arc<App>, listener: &TcpListener, router: &Router) {
    let tls = app.config.tls.clone().map(TlsAcceptor::from);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // If it fails, the connection is dead, and its task will notice.
                let _ = stream.set_nodelay(true);
                let (connection, router) = (Connection::open(app), router.clone());
                match &tls {
                    None => drop(tokio::spawn(serve(stream, connection, router))),
                    Some(tls) => drop(tokio::spawn(secure(tls.accept(stream), connection, router))),
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
async fn secure(mut handshake: Accept<TcpStream>, connection: Arc<Connection>, router: Router) {
    let secured = std::future::poll_fn(|cx| match connection.order(cx) {
        Order::Serve => Pin::new(&mut handshake).poll(cx).map(Result::ok),
        Order::Stop | Order::Cut => Poll::Ready(None),
    });
    // Why it failed is the client's to say.
    if let Some(stream) = secured.await {
        serve(stream, connection, router).await;
    }
}

/// Speaks HTTP/1.1 until the connection ends, is upgraded, or is told to end.
async fn serve<S: Transport>(stream: S, connection: Arc<Connection>, router: Router) {
    let service = Tagged { router: TowerToHyperService::new(router), connection: connection.clone() };
    let io = TokioIo::new(Wire { stream, connection: connection.clone() });
    // No timer: an idle client is nothing bad here, and a timer costs memory for each connection.
    let http =
        http1::Builder::new().max_buf_size(MAX_BUFFER_BYTES).serve_connection(io, service).with_upgrades();
    let mut http = pin!(http);
    std::future::poll_fn(|cx| {
        match connection.order(cx) {
            Order::Serve => {}
            Order::Stop => http.as_mut().graceful_shutdown(),
            Order::Cut => return Poll::Ready(()),
        }
        if connection.is_too_slow(cx) {
            return Poll::Ready(());
        }
        // Errors are the client's; it has its answer, or is gone.
        http.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// The routes, as one connection sees them: each request says whose it is.
struct Tagged {
    router: TowerToHyperService<Router>,
    connection: Arc<Connection>,
}

impl Service<Request<Incoming>> for Tagged {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.router.call(request)
    }
}

/// A connection's stream: counts its bytes, and resets it if the connection was cut. Whatever holds the stream in
/// the end, hyper or an upgraded protocol, dropping it is enough.
struct Wire<S: Transport> {
    stream: S,
    connection: Arc<Connection>,
}

impl<S: Transport> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.connection.current() == Order::Cut {
            self.stream.reset_on_close();
        }
    }
}

impl<S: Transport> Wire<S> {
    fn sent(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = result {
            self.connection.stats().sent_bytes.add(n as u64);
        }
        result
    }
}

impl<S: Transport> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.connection.stats().received_bytes.add((buf.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.sent(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
