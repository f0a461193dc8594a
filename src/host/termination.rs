//! How the system tells a program to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for Ctrl-C, SIGTERM and, as terminals that are closed send it, SIGHUP.
pub struct Farewell {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where whoever started this program had it ignored, as `nohup` does: then it is to outlive its terminal.
    hang_up: Option<Signal>,
}

impl Farewell {
    /// Begins to listen; from now on these signals end nothing by themselves. In a runtime.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn listen() -> io::Result<Farewell> {
        let hang_up = SignalKind::hangup();
        Ok(Farewell {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: (!is_ignored(hang_up.as_raw_value())).then(|| signal(hang_up)).transpose()?,
        })
    }

    /// Waits for any of them.
    pub async fn asked(&mut self) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { _ = self.interrupt.recv() => {} _ = self.terminate.recv() => {} _ = hung_up => {} }
    }

    /// Waits for Ctrl-C alone.
    pub async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid value of it, and the call only writes to it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
