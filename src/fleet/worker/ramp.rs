//! How a worker's clients come to be: one after the other up the ramp, each with a seat of its own.

use std::rc::Rc;
use std::time::Duration;

use super::Worker;
use super::crowd::Crowd;
use super::orders::say;
use crate::client::session::Session;
use crate::fleet::layout;
use crate::fleet::message::{FromWorker, VERSION};
use crate::host::clock::monotonic_ns;
use crate::protocol::{Mesh, Options, Seat};
use crate::random::{self, Purpose};
use crate::scenario::spec::CellSpec;
use crate::transport::link::Link;
use crate::transport::reception::Received;

/// Until the ramp looks again whether somebody got in.
const CROWD_PAUSE_NS: u64 = 500_000;

/// Between two words on how far connecting has come.
const TELL_NS: u64 = 200_000_000;

impl Worker {
    /// Starts every client at its time of the ramp and waits until each is ready or has given up.
    pub(super) async fn connect(&self) {
        let begun_ns = monotonic_ns();
        tokio::select! {
            () = self.ramp(begun_ns) => {}
            () = self.tell_connecting() => {}
        }
        say(&FromWorker::Ready {
            connected: self.run.connected.get(),
            absent: self.run.absent.borrow().iter().map(|(&group, &count)| (group, count)).collect(),
            connect_ns: monotonic_ns() - begun_ns,
            version: VERSION,
        });
    }

    async fn ramp(&self, begun_ns: u64) {
        let spec = &self.run.spec;
        let step_ns = 1e9 / spec.ramp_per_s * f64::from(self.start.workers);
        let mut crowd = Crowd::of(spec, self.protocol, self.start.workers);
        let mut opened = 0u64;
        for group in spec.shard(self.start.worker, self.start.workers) {
            // Nobody of a mesh is ready before all have come, so they come together.
            let together = spec.webrtc.peer_to_peer.then_some(opened);
            for client in spec.members(group) {
                let at_ns = begun_ns + (together.unwrap_or(opened) as f64 * step_ns) as u64;
                if at_ns > monotonic_ns() + 1_000_000 {
                    self.run.timer.sleep_until(at_ns).await;
                } else if opened % 64 == 63 {
                    tokio::task::yield_now().await;
                }
                self.make_room(&mut crowd).await;
                let seat = self.seat(client);
                let opened_client = self.dialect.open(self.protocol, seat);
                let session = Session::new(self.run.clone(), client, self.protocol, opened_client);
                self.executor.add(session);
                crowd.begin(monotonic_ns());
                opened += 1;
            }
        }
        while self.run.settled.get() < opened {
            self.run.timer.sleep_until(monotonic_ns() + self.look_ns).await;
        }
    }

    /// A ramp steeper than the host makes no crowd at the server's door: it goes on as others get in.
    async fn make_room(&self, crowd: &mut Crowd) {
        crowd.settle(self.run.settled.get(), monotonic_ns());
        while crowd.is_full() {
            self.run.timer.sleep_until(monotonic_ns() + CROWD_PAUSE_NS).await;
            crowd.settle(self.run.settled.get(), monotonic_ns());
        }
    }

    /// Says how far it has come, again and again.
    async fn tell_connecting(&self) {
        loop {
            self.run.timer.sleep_until(monotonic_ns() + TELL_NS).await;
            let [subscribers, publishers] =
                [&self.meters.subscriber, &self.meters.publisher].map(|meter| Received::of(&meter.reception));
            say(&FromWorker::Connecting {
                connected: self.run.connected.get(),
                failures: self.run.recorder.borrow().failure_count(),
                received: subscribers.and(&publishers),
            });
        }
    }

    fn seat(&self, client: u32) -> Seat {
        let spec = &self.run.spec;
        let role = spec.role(client);
        let topic: Rc<str> = format!("g{}", role.group).into();
        let subscribes_to_topic = role.subscribes && !spec.returns_to_sender();
        let meter = if role.subscribes { &self.meters.subscriber } else { &self.meters.publisher };
        let members = spec.members(role.group);
        Seat {
            target: self.targets[role.group as usize % self.targets.len()].clone(),
            dialect: self.dialect.clone(),
            source: layout::source_of(client, self.start.sources),
            topics: if subscribes_to_topic { vec![topic.clone()] } else { Vec::new() },
            mesh: spec.webrtc.peer_to_peer.then(|| Mesh {
                group: topic.clone(),
                index: role.index_in_group as usize,
                size: members.len(),
            }),
            publish: role.publishes.then_some(topic),
            echo: spec.returns_to_sender(),
            options: options(spec),
            meter: meter.clone(),
            publish_meter: self.meters.publisher.clone(),
            spare_connections: self.spare_connections.clone(),
            link: Link::new(
                self.run.timer.clone(),
                self.link,
                random::derive(spec.seed, client, Purpose::Link),
            ),
            relay: None,
            seed: random::derive(spec.seed, client, Purpose::Protocol),
        }
    }
}

fn options(spec: &CellSpec) -> Options {
    Options {
        keep_alive: spec.short_poll.keep_alive,
        publish_keep_alive: spec.http.publish_keep_alive,
        hold: spec.long_poll.hold_s.map(Duration::from_secs_f64),
        ordered: spec.webrtc.ordered,
        max_retransmits: spec.webrtc.max_retransmits,
        peer_to_peer: spec.webrtc.peer_to_peer,
    }
}
