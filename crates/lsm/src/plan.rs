use crate::{Merging, Tree};

/// How trees are kept small. Sizes are those of objects, compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// So many tiers at most, for long: a key that no filter rules out is looked for in each of them.
    pub max_tiers: usize,
    /// So many tiers at least are merged at once, what is being written included: merging more at once writes each entry
    /// less often.
    pub min_merge: usize,
    /// So much is read for one piece of a merge, about. A process that lives shortly has to finish one.
    pub piece_bytes: u64,
    /// So large is a run, about.
    pub run_bytes: u64,
    /// If more than one in so many entries is a deletion, everything is merged: deletions leave with the oldest tier.
    pub max_deletions: u64,
    /// Whatever is smaller than this counts as if it were that large: requests cost more than so few bytes.
    pub least_bytes: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_tiers: 8,
            min_merge: 3,
            piece_bytes: 64 << 20,
            run_bytes: 32 << 20,
            max_deletions: 4,
            least_bytes: 64 << 10,
        }
    }
}

/// What to do with the rows that a tree does not have yet, and with its tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Write the rows together with so many of the newest tiers, which may be none, as one tier.
    Merge(usize),
    /// Write the rows as a tier, and go on with this merge behind it, by one piece. Places are those in the tree as it
    /// is, before the rows became a tier; a merge that begins has its output in front of its inputs, which is not there
    /// yet.
    Piece {
        /// Whether it was begun before.
        goes_on: bool,
        /// The first of the tiers that are inputs.
        first: usize,
        /// How many.
        inputs: usize,
    },
}

/// Decides what to do. `new_bytes` is about what the rows would take in an object; zero if there are none.
///
/// Tiers are merged as their sizes say ("universal" or size-tiered compaction): the newest ones, as long as each is no
/// larger than all newer ones together, if these are enough of them to be worth it. So each tier is at least as large
/// as all newer ones, and their number grows with the logarithm of the data.
#[must_use]
pub fn plan(tree: &Tree, new_bytes: u64, policy: &Policy) -> Plan {
    let sizes: Vec<u64> = tree.tiers().iter().map(crate::Tier::size_bytes).collect();
    let count = choose(tree, &sizes, new_bytes, policy);
    if let Some(Merging { output, inputs }) = tree.merging() {
        // One merge at a time; what is newer than its output may still be merged at once if it is small.
        let before = count.min(output);
        let small = is_small(&sizes, before, new_bytes, policy);
        if small && before > 0 && new_bytes > 0 && output >= policy.min_merge {
            return Plan::Merge(before);
        }
        return Plan::Piece { goes_on: true, first: output + 1, inputs };
    }
    if is_small(&sizes, count, new_bytes, policy) || count < 2 {
        return Plan::Merge(if count < 2 && !is_small(&sizes, count, new_bytes, policy) { 0 } else { count });
    }
    Plan::Piece { goes_on: false, first: 0, inputs: count }
}

/// As [`plan`], while writers wait: the rows are written and nothing is merged, unless there are twice as many tiers as there
/// should be. Many tiers that are merged at once later are written less often, too.
#[must_use]
pub fn plan_pressing(tree: &Tree, new_bytes: u64, policy: &Policy) -> Plan {
    if tree.tiers().len() < 2 * policy.max_tiers { Plan::Merge(0) } else { plan(tree, new_bytes, policy) }
}

/// A plan that makes one tier of everything.
#[must_use]
pub fn plan_full(tree: &Tree, new_bytes: u64, policy: &Policy) -> Plan {
    let sizes: Vec<u64> = tree.tiers().iter().map(crate::Tier::size_bytes).collect();
    match tree.merging() {
        Some(Merging { output, inputs }) => Plan::Piece { goes_on: true, first: output + 1, inputs },
        None if is_small(&sizes, sizes.len(), new_bytes, policy) => Plan::Merge(sizes.len()),
        None => Plan::Piece { goes_on: false, first: 0, inputs: sizes.len() },
    }
}

fn is_small(sizes: &[u64], count: usize, new_bytes: u64, policy: &Policy) -> bool {
    sizes.iter().take(count).sum::<u64>() + new_bytes <= policy.piece_bytes
}

/// How many of the newest tiers should become one with what is new.
fn choose(tree: &Tree, sizes: &[u64], new_bytes: u64, policy: &Policy) -> usize {
    let (entries, deletions) = tree.tiers().iter().fold((0, 0), |(entries, deletions), tier| {
        let (more_entries, more_deletions) = tier.entries();
        (entries + more_entries, deletions + more_deletions)
    });
    if sizes.len() > 1 && deletions.saturating_mul(policy.max_deletions) > entries {
        return sizes.len();
    }
    let is_new = usize::from(new_bytes > 0);
    let counted = |size: u64| size.max(policy.least_bytes);
    let mut gathered = if new_bytes > 0 { counted(new_bytes) } else { 0 };
    let mut count = 0;
    for size in sizes.iter().map(|size| counted(*size)) {
        if size > gathered && count + is_new > 0 {
            break;
        }
        gathered += size;
        count += 1;
    }
    if count + is_new >= policy.min_merge {
        return count;
    }
    if sizes.len() + is_new > policy.max_tiers {
        // Whatever their sizes: the newest are the smallest.
        return (sizes.len() + is_new - policy.max_tiers + 1 - is_new).max(1);
    }
    0
}
