//! Valid histories: transactions that really run one after the other, and seem concurrent to their clients.

use std::collections::BTreeMap;

use bucketdb_history::{History, Op, Outcome, Transaction};

/// Numbers that look random and are the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`, by the generator splitmix64.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// One of them, if there are any.
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len() as u64) as usize])
    }
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) transactions: u64,
    pub(crate) processes: u64,
    pub(crate) keys: u64,
    /// A list of this length is abandoned for a new one.
    pub(crate) longest: usize,
}

/// Runs transactions on a model, each at one instant, with client times around it. The last one reads every list.
pub(crate) fn run(seed: u64, shape: Shape) -> History {
    let mut dice = Dice::new(seed);
    let mut lists: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut current: Vec<u64> = (0..shape.keys).collect();
    let mut free_at = vec![0; shape.processes as usize];
    let mut next_value = 0;
    let mut history = Vec::new();
    let mut now = 0;
    for _ in 0..shape.transactions {
        now += 1 + dice.below(5);
        let free: Vec<usize> = (0..free_at.len()).filter(|process| free_at[*process] < now).collect();
        let Some(process) = dice.pick(&free) else { continue };
        let start = now.saturating_sub(dice.below(20)).max(free_at[process] + 1);
        let mut end = now + dice.below(20);
        let (outcome, happens) = match dice.below(20) {
            0..2 => (Outcome::Fail, false),
            2 => (Outcome::Info, false),
            3 => (Outcome::Info, true),
            _ => (Outcome::Ok, true),
        };
        if outcome == Outcome::Info {
            // The client may give up before it happens.
            end = start + dice.below(30);
        }
        free_at[process] = end;
        let mut after = lists.clone();
        let mut ops = Vec::new();
        for _ in 0..=dice.below(4) {
            let place = dice.below(shape.keys) as usize;
            let key = current[place];
            let list = after.entry(key).or_default();
            if dice.below(2) == 0 {
                next_value += 1;
                list.push(next_value);
                ops.push(Op::append(key, next_value));
                if list.len() >= shape.longest {
                    current[place] = current.iter().max().unwrap() + 1;
                }
            } else if outcome == Outcome::Ok {
                ops.push(Op::read(key, list.clone()));
            } else {
                ops.push(Op::Read { key: key.into(), values: None });
            }
        }
        if happens {
            lists = after;
        }
        history.push(Transaction { outcome, process: process as u64, start, end, ops, seq: None });
        // Only what may still be appended to is copied for every transaction; what is abandoned gets its last read.
        for key in lists.keys().copied().filter(|key| !current.contains(key)).collect::<Vec<_>>() {
            let values = lists.remove(&key).unwrap();
            let ops = vec![Op::read(key, values)];
            history.push(Transaction {
                outcome: Outcome::Ok,
                process: 1000 + key,
                start: now,
                end: now + 5,
                ops,
                seq: None,
            });
        }
    }
    let start = now + 100;
    let ops = lists.into_iter().map(|(key, values)| Op::read(key, values)).collect();
    history.push(Transaction { outcome: Outcome::Ok, process: 999, start, end: start, ops, seq: None });
    History(history)
}
