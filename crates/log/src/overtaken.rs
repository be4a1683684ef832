/// How much the last commit counts, and each one before it that much less.
const WEIGHT: f64 = 0.25;

/// From such a share on, a look comes before the put. A put in vain costs as much as a dozen gets, and a round trip more
/// than the look; but a look in vain is a round trip too.
const WORTH_A_LOOK: f64 = 0.25;

/// How often somebody else wrote since this writer last did, as a moving average of its commits: whether looking before
/// writing is worth a get.
///
/// Two processes that write now and then, one after the other, are not in each other's way; but each of them knows
/// the log as it was when it last wrote, and would put its record into a slot that is taken long since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overtaken {
    share: f64,
    /// Whether that was noted of the commit that is under way.
    is_noted: bool,
}

impl Overtaken {
    pub(crate) fn is_worth_a_look(&self) -> bool {
        self.share >= WORTH_A_LOOK
    }

    /// Whether somebody had written when this writer looked, or put its record for the first time.
    pub(crate) fn note(&mut self, was_overtaken: bool) {
        if !std::mem::replace(&mut self.is_noted, true) {
            self.share += (f64::from(u8::from(was_overtaken)) - self.share) * WEIGHT;
        }
    }

    /// The record is in the log.
    pub(crate) fn committed(&mut self) {
        self.note(false);
        self.is_noted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_after_it_was_overtaken_and_for_as_long_as_it_finds_something() {
        let mut overtaken = Overtaken::default();
        let mut commit = |was_overtaken: bool| {
            overtaken.note(was_overtaken);
            // The race that follows is lost or won: what counts is noted.
            overtaken.note(!was_overtaken);
            overtaken.committed();
            overtaken.is_worth_a_look()
        };
        assert!(!commit(false));
        assert!(commit(true));
        assert!(!commit(false));
        assert!((0..10).all(|_| commit(true)));
        // What was so for long is not forgotten for one commit.
        assert!(commit(false));
        assert!((0..10).any(|_| !commit(false)));
    }
}
