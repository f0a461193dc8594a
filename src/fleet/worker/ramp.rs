//! How a worker's clients come to be: one after the other up the ramp, each with a seat of its own.

use std::rc::Rc;
use std::time::Duration;

use super::orders::say;
use super::{Worker, at_once};
use crate::client::random::{self, Purpose};
use crate::client::session::Session;
use crate::fleet::layout;
use crate::fleet::message::FromWorker;
use crate::host::clock::monotonic_ns;
use crate::protocol::{Mesh, Options, Seat};
use crate::scenario::plan::{CellSpec, Pattern};
use crate::transport::link::Link;

/// Clients of all workers that may be connecting at the same time: more would only time out in the queue.
const MOST_CONNECTING: u32 = 1024;

/// Until the ramp looks again whether somebody got in.
const CROWD_PAUSE_NS: u64 = 500_000;

impl Worker {
    /// Starts every client at its time of the ramp and waits until each is ready or has given up.
    pub(super) async fn connect(&self) {
        let spec = &self.run.spec;
        let begun_ns = monotonic_ns();
        let step_ns = 1e9 / spec.ramp_per_s * f64::from(self.start.workers);
        let (mut opened, mut told_ns) = (0u64, begun_ns);
        let clients = spec.shard(self.start.worker, self.start.workers).flat_map(|group| spec.members(group));
        for client in clients {
            let at_ns = begun_ns + (opened as f64 * step_ns) as u64;
            if at_ns > monotonic_ns() + 1_000_000 {
                self.run.timer.sleep_until(at_ns).await;
            } else if opened % 64 == 63 {
                tokio::task::yield_now().await;
            }
            let session = Session::new(
                self.run.clone(),
                client,
                self.protocol,
                (self.protocol.open)(self.seat(client)),
            );
            self.executor.add(session);
            opened += 1;
            self.tell_connecting(&mut told_ns);
            // A ramp steeper than the host makes no crowd at the server's door: it goes on as others get in.
            while opened - self.run.settled.get() >= u64::from(at_once(MOST_CONNECTING, self.start.workers)) {
                self.run.timer.sleep_until(monotonic_ns() + CROWD_PAUSE_NS).await;
            }
        }
        while self.run.settled.get() < opened {
            self.run.timer.sleep_until(monotonic_ns() + self.look_ns).await;
            self.tell_connecting(&mut told_ns);
        }
        say(&FromWorker::Ready {
            connected: self.run.connected.get(),
            absent: self.run.absent.borrow().iter().map(|(&group, &count)| (group, count)).collect(),
            connect_ns: monotonic_ns() - begun_ns,
        });
    }

    fn tell_connecting(&self, told_ns: &mut u64) {
        let now_ns = monotonic_ns();
        if now_ns - *told_ns > 200_000_000 {
            *told_ns = now_ns;
            let failures = self.run.recorder.borrow().failure_count();
            say(&FromWorker::Connecting { connected: self.run.connected.get(), failures });
        }
    }

    fn seat(&self, client: u32) -> Seat {
        let spec = &self.run.spec;
        let role = spec.role(client);
        let topic: Rc<str> = format!("g{}", role.group).into();
        let subscribes_to_topic = role.subscribes && spec.pattern == Pattern::Broadcast;
        let meter = if role.subscribes { &self.meters.subscriber } else { &self.meters.publisher };
        let members = spec.members(role.group);
        Seat {
            target: self.targets[role.group as usize % self.targets.len()].clone(),
            source: layout::source_of(client, self.start.sources),
            topics: if subscribes_to_topic { vec![topic.clone()] } else { Vec::new() },
            mesh: spec.peer_to_peer.then(|| Mesh {
                group: topic.clone(),
                index: role.index_in_group as usize,
                size: members.len(),
            }),
            publish: role.publishes.then_some(topic),
            echo: spec.pattern == Pattern::Echo,
            options: options(spec),
            meter: meter.clone(),
            publish_meter: self.meters.publisher.clone(),
            spare_connections: self.spare_connections.clone(),
            link: Link::new(
                self.run.timer.clone(),
                self.link.clone(),
                random::derive(spec.seed, client, Purpose::Link),
            ),
            relay: None,
            seed: random::derive(spec.seed, client, Purpose::Protocol),
        }
    }
}

fn options(spec: &CellSpec) -> Options {
    Options {
        keep_alive: spec.keep_alive,
        hold: spec.hold_s.map(Duration::from_secs_f64),
        ordered: spec.ordered,
        max_retransmits: spec.max_retransmits,
        peer_to_peer: spec.peer_to_peer,
    }
}
