use std::time::Duration;

use bucketdb_driver::{Condition, Driver, DriverError, Key};
use bucketdb_env::{Environment, Random};
use bytes::Bytes;

use crate::planted::{PlantedBug, is_planted};
use crate::window::Reading;

/// Longest mean pause between two attempts to settle a slot.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Longest first pause; it doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// How a slot was settled.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    pub(crate) holder: Holder,
    /// When the request was sent that proves that the slot was empty: the first one, if it was answered "created". An
    /// answer after a repetition, or that the slot is taken, proves nothing.
    pub(crate) proof: Option<Reading>,
    /// How long the store took for the first attempt.
    pub(crate) first_took: Duration,
    /// Whether an attempt before the last had an unclear answer.
    pub(crate) unclear: bool,
}

/// Who holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// We do: our bytes are there.
    Us,
    /// Somebody else, with these bytes.
    Other(Bytes),
}

/// Why a slot was not settled.
#[derive(Clone, Debug)]
pub(crate) enum Unsettled {
    /// The store refused the first attempt for good: nothing was written.
    Refused(DriverError),
    /// `give_up` said so: whether our bytes will ever be there is unknown.
    GivenUp,
}

/// Puts bytes into a slot that anyone may want, on a store that honours create-only, and finds out who got it.
///
/// An unclear answer (lost, late, throttled) settles nothing: the same bytes are offered again to the same slot until
/// the slot is known to be taken. Then its content tells who holds it. A refusal for good, such as "forbidden", is
/// believed only while every earlier attempt is known to have failed: after an unclear one, the bytes may still arrive.
///
/// This knows no database: a slot is a key, and bytes are bytes. The driver must answer every request in the end.
pub(crate) struct Slot<'a> {
    pub(crate) driver: &'a dyn Driver,
    pub(crate) env: &'a dyn Environment,
    pub(crate) key: &'a Key,
}

impl Slot<'_> {
    /// Settles the slot, asking `give_up` between attempts.
    pub(crate) async fn settle(
        &self,
        bytes: &Bytes,
        mut give_up: impl FnMut() -> bool,
    ) -> Result<Settlement, Unsettled> {
        let mut unclear = false;
        let mut pause = FIRST_PAUSE;
        let mut first_took = None;
        loop {
            let sent = Reading::take(self.env);
            let answer = self.driver.put(self.key, bytes.clone(), Condition::IfAbsent).await;
            let answered = Reading::take(self.env);
            let took = answered.monotonic.saturating_sub(sent.monotonic);
            let is_repeated = first_took.is_some();
            let first_took = *first_took.get_or_insert(took);
            let was_unclear = unclear;
            let settled = |holder, proof| Settlement { holder, proof, first_took, unclear: was_unclear };
            match answer {
                Ok(_) => {
                    let proves = !is_repeated || is_planted(PlantedBug::RepeatRenewsWindow);
                    return Ok(settled(Holder::Us, Some(sent).filter(|_| proves)));
                }
                Err(error) if error.is_precondition_failed() && is_planted(PlantedBug::TakenIsFailure) => {
                    return Err(Unsettled::Refused(error));
                }
                Err(error) if error.is_precondition_failed() => match self.driver.get(self.key).await {
                    Ok(object) => {
                        let is_ours = object.body == *bytes;
                        let holder = if is_ours { Holder::Us } else { Holder::Other(object.body) };
                        let proof = is_planted(PlantedBug::TakenRenewsWindow).then(|| Reading::take(self.env));
                        return Ok(settled(holder, proof));
                    }
                    // "It exists" and then "it does not", or no answer: the slot is not settled.
                    Err(_) => unclear = true,
                },
                Err(error) if error.is_transient() || (unclear && !is_planted(PlantedBug::ForbiddenIsFinal)) => {
                    unclear = true;
                }
                Err(error) => return Err(Unsettled::Refused(error)),
            }
            if give_up() {
                return Err(Unsettled::GivenUp);
            }
            tracing::debug!(key = %self.key, "no clear answer, trying the same bytes again");
            let pause_us = self.env.random_below(pause.as_micros() as u64);
            self.env.sleep(Duration::from_micros(pause_us)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}
