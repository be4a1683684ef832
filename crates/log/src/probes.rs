use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::Result;
use crate::window::Reading;

/// How old the state may be that a read is answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// It holds everything that was acknowledged anywhere before the read was asked for. One request, shared by all
    /// who wait.
    Strict,
    /// The store was asked at most this long ago. Zero is strict.
    Bounded(Duration),
    /// Whatever this process has seen, its own commits included. No request.
    Local,
}

/// A wish for a state of some freshness, made at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    ticket: u64,
    freshness: Freshness,
}

impl Ask {
    /// The same wish for a state that is as fresh as can be.
    pub(crate) fn strictly(self) -> Self {
        Self { freshness: Freshness::Strict, ..self }
    }
}

/// Who asked for fresh state, and up to whom the answers are known.
///
/// Order is kept by tickets, not by a clock: a probe answers everyone who had drawn a ticket before it was sent.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    tickets: AtomicU64,
    /// Held while a probe is under way; the next ones wait for it.
    pub(crate) running: tokio::sync::Mutex<()>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// Everyone up to this ticket has the state that they asked for.
    fresh_up_to: u64,
    /// When the request was sent that proved it.
    fresh_at: Option<Duration>,
    /// What the last probe answered, for those up to this ticket.
    outcome: Option<(u64, Result<()>)>,
}

/// Taken before a request is sent that may prove that the state is current.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    up_to: u64,
    pub(crate) at: Reading,
}

impl Last {
    fn is_younger_than(&self, age: Duration, now: Duration) -> bool {
        self.fresh_at.is_some_and(|at| now.saturating_sub(at) <= age)
    }
}

impl Probes {
    pub(crate) fn ask(&self, freshness: Freshness) -> Ask {
        Ask { ticket: self.tickets.fetch_add(1, Ordering::SeqCst) + 1, freshness }
    }

    pub(crate) fn about_to_send(&self, now: Reading) -> Sent {
        Sent { up_to: self.tickets.load(Ordering::SeqCst), at: now }
    }

    /// The request `sent` found nothing newer than what is applied.
    pub(crate) fn proved_fresh(&self, sent: Sent) {
        let mut last = self.last.lock();
        last.fresh_up_to = last.fresh_up_to.max(sent.up_to);
        last.fresh_at = last.fresh_at.max(Some(sent.at.monotonic));
    }

    /// Whether the state was current at some moment not longer ago than `age`.
    pub(crate) fn is_younger_than(&self, age: Duration, now: Duration) -> bool {
        self.last.lock().is_younger_than(age, now)
    }

    /// Whether the state is as fresh as `ask` wants it, at the moment `now`.
    pub(crate) fn satisfied(&self, ask: &Ask, now: Duration) -> bool {
        let last = self.last.lock();
        match ask.freshness {
            Freshness::Local => true,
            _ if last.fresh_up_to >= ask.ticket => true,
            Freshness::Strict => false,
            Freshness::Bounded(age) => !age.is_zero() && last.is_younger_than(age, now),
        }
    }

    /// What the probe answered that was sent after `ask`, if it is over.
    pub(crate) fn outcome(&self, ask: &Ask) -> Option<Result<()>> {
        let last = self.last.lock();
        last.outcome.as_ref().filter(|(up_to, _)| *up_to >= ask.ticket).map(|(_, outcome)| outcome.clone())
    }

    pub(crate) fn finished(&self, sent: Sent, outcome: &Result<()>) {
        self.last.lock().outcome = Some((sent.up_to, outcome.clone()));
    }
}
