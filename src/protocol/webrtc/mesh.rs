//! How the members of a group find each other, in whatever order they arrive.
//!
//! Of each pair the lower index offers. A member first listens, then offers to all above it and says hello to all below it. If
//! the higher one listened before the offer was sent, the offer reaches it. Otherwise its hello is sent after the lower
//! one began to listen, reaches that one, and the offer is sent again. Nothing is ever repeated on a timer.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::task::{Context, Poll};

use super::endpoint::Endpoint;
use super::peer::Peer;
use super::signal::{Body, News, Signal, Signalling};
use crate::protocol::{Failure, Mesh, Options, Phase, Seat};

/// One member that is about to join its group.
pub(super) struct Joining {
    mesh: Mesh,
    options: Options,
    signalling: Signalling,
    life: u64,
    pairs: Vec<Pair>,
}

/// What passed between this member and one other.
#[derive(Clone, Debug, Default)]
struct Pair {
    /// The offer that stands, its id first: ours if the other index is higher, else theirs.
    offer: Option<(String, String)>,
    /// The life of the other that answered our offer.
    answered_by: Option<u64>,
}

impl Joining {
    pub(super) fn start(seat: &Seat, mesh: &Mesh) -> Result<Joining, Failure> {
        if mesh.index >= mesh.size {
            let error = format!("no member {} in a group of {}", mesh.index, mesh.size);
            return Err(Failure::protocol(Phase::Subscribe, error));
        }
        Ok(Joining {
            signalling: Signalling::start(seat, mesh)?,
            mesh: mesh.clone(),
            options: seat.options.clone(),
            life: RandomState::new().build_hasher().finish(),
            pairs: vec![Pair::default(); mesh.size],
        })
    }

    /// Connections that this member will have.
    pub(super) fn connections(&self) -> usize {
        self.mesh.size - 1
    }

    /// Goes on with signalling; never ready but with an error. The connections appear in `endpoint`, in the slots of
    /// the members' indices.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        endpoint: &mut Endpoint,
    ) -> Poll<Result<(), Failure>> {
        loop {
            match std::task::ready!(self.signalling.poll(cx))? {
                News::Listening => self.announce(endpoint)?,
                News::Signals(signals) => {
                    signals.into_iter().try_for_each(|signal| self.hear(signal, endpoint))?;
                }
            }
        }
    }

    fn announce(&mut self, endpoint: &mut Endpoint) -> Result<(), Failure> {
        (0..self.mesh.index).try_for_each(|lower| self.say(lower, Body::Hello))?;
        (self.mesh.index + 1..self.mesh.size).try_for_each(|higher| self.offer(higher, endpoint))
    }

    fn say(&mut self, to: usize, body: Body) -> Result<(), Failure> {
        self.signalling.send(to, &Signal { from: self.mesh.index, life: self.life, body })
    }

    /// Makes a new connection and offers it.
    fn offer(&mut self, to: usize, endpoint: &mut Endpoint) -> Result<(), Failure> {
        let (mut peer, sdp) = Peer::offer(endpoint.address(), &self.options)?;
        let id = peer.ufrag();
        endpoint.insert(to, peer);
        self.pairs[to] = Pair { offer: Some((id.clone(), sdp.clone())), answered_by: None };
        self.say(to, Body::Offer { id, sdp })
    }

    fn hear(&mut self, Signal { from, life, body }: Signal, endpoint: &mut Endpoint) -> Result<(), Failure> {
        let index = self.mesh.index;
        match body {
            Body::Hello if (index + 1..self.mesh.size).contains(&from) => self.hello(from, life, endpoint),
            Body::Answer { id, sdp } if (index + 1..self.mesh.size).contains(&from) => {
                self.answered(from, life, (&id, &sdp), endpoint)
            }
            Body::Offer { id, sdp } if from < index => self.answer(from, id, sdp, endpoint),
            _ => Err(Failure::protocol(
                Phase::Subscribe,
                format!("member {from} has no business to say this to member {index}"),
            )),
        }
    }

    /// A higher member listens. Repeats our offer, or makes a new one if an earlier life of the other took it.
    fn hello(&mut self, from: usize, life: u64, endpoint: &mut Endpoint) -> Result<(), Failure> {
        let pair = &self.pairs[from];
        match (&pair.offer, pair.answered_by) {
            (Some((id, sdp)), None) => {
                let again = Body::Offer { id: id.clone(), sdp: sdp.clone() };
                self.say(from, again)
            }
            (_, Some(answered)) if answered == life => Ok(()),
            _ => self.offer(from, endpoint),
        }
    }

    fn answered(
        &mut self,
        from: usize,
        life: u64,
        (id, sdp): (&str, &str),
        endpoint: &mut Endpoint,
    ) -> Result<(), Failure> {
        let pair = &mut self.pairs[from];
        let stands = pair.offer.as_ref().is_some_and(|(own, _)| own == id);
        match endpoint.peer(from) {
            Some(peer) if stands && peer.is_unanswered() => {
                pair.answered_by = Some(life);
                peer.accept(sdp)
            }
            // The answer to an offer of ours that no longer stands, or that was sent twice.
            _ => Ok(()),
        }
    }

    fn answer(
        &mut self,
        from: usize,
        id: String,
        sdp: String,
        endpoint: &mut Endpoint,
    ) -> Result<(), Failure> {
        let pair = &mut self.pairs[from];
        if pair.offer.as_ref().is_some_and(|(seen, _)| *seen == id) {
            return Ok(());
        }
        let (peer, answer) = Peer::answer(endpoint.address(), &self.options, &sdp)?;
        endpoint.insert(from, peer);
        pair.offer = Some((id.clone(), sdp));
        self.say(from, Body::Answer { id, sdp: answer })
    }
}
