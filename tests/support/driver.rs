//! Drives a `Client` as a session would, without measuring.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use rtbench::protocol::{
    Client, Failure, Inbox, Message, Options, Pause, Protocol, Seat, Sending, Step, Target,
};
use rtbench::transport::meter::Meter;

/// Longer than anything here can take; a test that comes to it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, and fails the test if that takes for ever.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

/// Runs a test on a single-threaded runtime with local tasks, like a worker.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// A seat at `address` with its own meters.
pub fn seat(address: SocketAddr, topics: &[&str], publish: Option<&str>) -> Seat {
    Seat {
        target: Rc::new(Target { address, tls: None, host: "test".into(), headers: "X-Own: 1\r\n".into() }),
        dialect: rtbench::protocol::contract(),
        source: None,
        topics: topics.iter().map(|&topic| topic.into()).collect(),
        publish: publish.map(Into::into),
        echo: false,
        options: Options {
            keep_alive: false,
            publish_keep_alive: false,
            hold: Some(Duration::from_secs(10)),
            ordered: true,
            max_retransmits: None,
            peer_to_peer: false,
        },
        mesh: None,
        meter: Rc::default(),
        publish_meter: Rc::default(),
        spare_connections: Rc::default(),
        link: None,
        relay: None,
        seed: 1,
    }
}

/// A protocol by its name.
pub fn named(name: &str) -> &'static Protocol {
    rtbench::protocol::find(name).unwrap()
}

/// What a client received.
#[derive(Default)]
pub struct Received {
    pub payloads: Vec<Vec<u8>>,
    pub missed: u64,
}

impl Inbox for Received {
    fn push(&mut self, payload: &[u8]) {
        self.payloads.push(payload.to_vec());
    }

    fn missed(&mut self, count: u64) {
        self.missed += count;
    }
}

/// One client and all it received.
pub struct Driver {
    pub client: Box<dyn Client>,
    pub received: Received,
    pub meter: Rc<Meter>,
    pub publish_meter: Rc<Meter>,
}

impl Driver {
    pub fn new(protocol: &Protocol, seat: Seat) -> Driver {
        let (meter, publish_meter) = (seat.meter.clone(), seat.publish_meter.clone());
        Driver { client: (protocol.open)(seat), received: Received::default(), meter, publish_meter }
    }

    /// A client that is ready.
    pub async fn ready(protocol: &Protocol, seat: Seat) -> Driver {
        let mut driver = Driver::new(protocol, seat);
        driver.until(|_, step| step == Step::Ready).await.unwrap();
        driver
    }

    /// The next step.
    pub async fn step(&mut self) -> Result<Step, Failure> {
        soon(poll_fn(|cx| self.client.poll_recv(cx, &mut self.received))).await
    }

    /// Goes as far with the next step as it can without waiting.
    pub async fn begin_step(&mut self) {
        poll_fn(|cx| {
            let _ = self.client.poll_recv(cx, &mut self.received);
            Poll::Ready(())
        })
        .await;
    }

    /// Steps until `enough`, and pauses where it must.
    pub async fn until(&mut self, enough: impl Fn(&Received, Step) -> bool) -> Result<(), Failure> {
        soon(async {
            loop {
                let step = self.step().await?;
                if enough(&self.received, step.clone()) {
                    return Ok(());
                }
                match step {
                    Step::Pause(Pause::Reconnect(wait, _)) => tokio::time::sleep(wait).await,
                    Step::Pause(Pause::PollInterval) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Step::Ready | Step::Received => {}
                }
            }
        })
        .await
    }

    /// Receives until there are `count` payloads in all.
    pub async fn receive(&mut self, count: usize) -> Result<&[Vec<u8>], Failure> {
        if self.received.payloads.len() < count {
            self.until(|received, _| received.payloads.len() >= count).await?;
        }
        Ok(&self.received.payloads)
    }

    /// Sends, without receiving.
    pub async fn send(&mut self, payload: &[u8], binary: bool) -> Result<(), Failure> {
        let message = Message { payload, binary };
        let mut sending = Sending::default();
        soon(poll_fn(|cx| sending.poll(cx, &mut *self.client, message))).await
    }

    /// Sends and receives until both are done.
    pub async fn send_and_receive(&mut self, payload: &[u8], count: usize) -> Result<(), Failure> {
        let message = Message { payload, binary: false };
        let (mut sending, mut sent) = (Sending::default(), false);
        soon(poll_fn(|cx| {
            loop {
                if !sent && let Poll::Ready(result) = sending.poll(cx, &mut *self.client, message) {
                    result?;
                    sent = true;
                }
                if sent && self.received.payloads.len() >= count {
                    return Poll::Ready(Ok(()));
                }
                if self.client.poll_recv(cx, &mut self.received)?.is_pending() {
                    return Poll::Pending;
                }
            }
        }))
        .await
    }

    pub async fn close(&mut self) -> Result<(), Failure> {
        soon(poll_fn(|cx| self.client.poll_close(cx))).await
    }
}
