use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// So many keys are remembered: some 30 MiB.
const MOST_KEYS: usize = 1_000_000;

/// Keys that came before, as hashes of 128 bits, so that two do not meet by chance. Bounded: once there are too many, no
/// more are taken in.
#[derive(Debug)]
pub(super) struct Seen {
    hashes: HashSet<u128>,
    most_keys: usize,
    /// Whether keys were not taken in.
    is_partial: bool,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self::of(MOST_KEYS)
    }

    fn of(most_keys: usize) -> Self {
        Self { hashes: HashSet::new(), most_keys, is_partial: false }
    }

    /// Takes a key in, and tells whether it came before for sure.
    pub(super) fn insert(&mut self, key_text: &str) -> bool {
        let hash = hash(key_text);
        if self.hashes.contains(&hash) {
            return true;
        }
        if self.hashes.len() < self.most_keys {
            self.hashes.insert(hash);
        } else {
            self.is_partial = true;
        }
        false
    }

    /// Whether the key may have come before.
    pub(super) fn may_contain(&self, key_text: &str) -> bool {
        self.is_partial || self.hashes.contains(&hash(key_text))
    }
}

fn hash(text: &str) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_may_have_come_before() {
        let mut seen = Seen::of(10);
        assert!(!seen.insert("0") && seen.insert("0") && !seen.may_contain("1"));
        for key in 1..10 {
            assert!(!seen.insert(&key.to_string()));
        }
        assert!(!seen.may_contain("new"));
        assert!(!seen.insert("new") && !seen.insert("new"), "it is not known for sure");
        assert!(seen.may_contain("another") && seen.insert("7"));
    }
}
