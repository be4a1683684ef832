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
///
/// What most reads ask for, whether the state is young enough, is answered by numbers that only grow, each of which is
/// proof enough by itself: no lock, and nothing that readers on other processors would have to wait for.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    tickets: AtomicU64,
    /// Held while a probe is under way; the next ones wait for it.
    pub(crate) running: tokio::sync::Mutex<()>,
    /// Everyone up to this ticket has the state that they asked for.
    fresh_up_to: AtomicU64,
    /// When the request was sent that proved it, in nanoseconds by the monotonic clock, and one more; zero if none was.
    fresh_at: AtomicU64,
    /// What the last probe answered, for those up to this ticket.
    outcome: Mutex<Option<(u64, Result<()>)>>,
}

/// Taken before a request is sent that may prove that the state is current.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    up_to: u64,
    pub(crate) at: Reading,
}

impl Probes {
    pub(crate) fn ask(&self, freshness: Freshness) -> Ask {
        Ask { ticket: self.tickets.fetch_add(1, Ordering::SeqCst) + 1, freshness }
    }

    pub(crate) fn about_to_send(&self, now: Reading) -> Sent {
        Sent { up_to: self.tickets.load(Ordering::SeqCst), at: now }
    }

    /// The request `sent` found nothing newer than what is applied. Call it after the state is changed: whoever sees the
    /// numbers sees that state.
    pub(crate) fn proved_fresh(&self, sent: Sent) {
        self.fresh_up_to.fetch_max(sent.up_to, Ordering::AcqRel);
        // A moment that is too late for the number, centuries from now, proves nothing by its age.
        let nanos = u64::try_from(sent.at.monotonic.as_nanos()).ok().and_then(|nanos| nanos.checked_add(1));
        self.fresh_at.fetch_max(nanos.unwrap_or(0), Ordering::AcqRel);
    }

    /// Whether the state was current at some moment not longer ago than `age`.
    pub(crate) fn is_younger_than(&self, age: Duration, now: Duration) -> bool {
        let fresh_at = self.fresh_at.load(Ordering::Acquire).checked_sub(1).map(Duration::from_nanos);
        fresh_at.is_some_and(|at| now.saturating_sub(at) <= age)
    }

    /// Whether the state is young enough at the moment `now` for whoever wants it as fresh as `freshness`, whenever they
    /// asked. If not, they need an [`Ask`].
    pub(crate) fn is_young_enough(&self, freshness: Freshness, now: Duration) -> bool {
        match freshness {
            Freshness::Local => true,
            Freshness::Strict => false,
            Freshness::Bounded(age) => !age.is_zero() && self.is_younger_than(age, now),
        }
    }

    /// Whether the state is as fresh as `ask` wants it, at the moment `now`.
    pub(crate) fn satisfied(&self, ask: &Ask, now: Duration) -> bool {
        self.fresh_up_to.load(Ordering::Acquire) >= ask.ticket || self.is_young_enough(ask.freshness, now)
    }

    /// What the probe answered that was sent after `ask`, if it is over.
    pub(crate) fn outcome(&self, ask: &Ask) -> Option<Result<()>> {
        let outcome = self.outcome.lock();
        outcome.as_ref().filter(|(up_to, _)| *up_to >= ask.ticket).map(|(_, outcome)| outcome.clone())
    }

    pub(crate) fn finished(&self, sent: Sent, outcome: &Result<()>) {
        *self.outcome.lock() = Some((sent.up_to, outcome.clone()));
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_env::WallTime;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(monotonic: Duration) -> Reading {
        Reading { monotonic, wall: WallTime(0) }
    }

    #[test]
    fn nothing_but_local_is_satisfied_before_anything_is_proved() {
        let probes = Probes::default();
        for freshness in [Freshness::Strict, Freshness::Bounded(Duration::ZERO), Freshness::Bounded(Duration::MAX)] {
            assert!(!probes.satisfied(&probes.ask(freshness), Duration::ZERO), "{freshness:?}");
        }
        assert!(probes.satisfied(&probes.ask(Freshness::Local), Duration::ZERO));
    }

    #[test]
    fn a_proof_serves_whoever_asked_before_it_was_sent_and_for_its_time_whoever_asks_later() {
        let probes = Probes::default();
        let before = probes.ask(Freshness::Strict);
        let sent = probes.about_to_send(at(10 * SECOND));
        let after = probes.ask(Freshness::Strict);
        probes.proved_fresh(sent);
        assert!(probes.satisfied(&before, 99 * SECOND));
        assert!(!probes.satisfied(&after, 10 * SECOND), "something may have been acknowledged in between");
        assert!(!probes.satisfied(&probes.ask(Freshness::Bounded(Duration::ZERO)), 10 * SECOND), "zero is strict");
        let bounded = Freshness::Bounded(SECOND);
        for (now, expected) in
            [(10 * SECOND, true), (11 * SECOND, true), (11 * SECOND + Duration::from_nanos(1), false)]
        {
            assert_eq!(probes.is_young_enough(bounded, now), expected, "{now:?}");
            assert_eq!(probes.satisfied(&probes.ask(bounded), now), expected, "{now:?}");
        }
    }

    #[test]
    fn a_proof_that_comes_late_takes_nothing_back() {
        let probes = Probes::default();
        let early = probes.about_to_send(at(SECOND));
        let ask = probes.ask(Freshness::Strict);
        probes.proved_fresh(probes.about_to_send(at(5 * SECOND)));
        probes.proved_fresh(early);
        assert!(probes.satisfied(&ask, 99 * SECOND));
        assert!(probes.is_younger_than(SECOND, 6 * SECOND));
    }

    #[test]
    fn the_age_is_counted_from_the_very_beginning_of_a_clock_and_never_from_behind_its_end() {
        let probes = Probes::default();
        probes.proved_fresh(probes.about_to_send(at(Duration::MAX)));
        assert!(!probes.is_younger_than(SECOND, Duration::MAX));
        probes.proved_fresh(probes.about_to_send(at(Duration::ZERO)));
        assert!(probes.is_younger_than(SECOND, SECOND));
    }
}
