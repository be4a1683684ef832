//! A database and its branches, as they must be by what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use bucketdb_system_tests::{Act, Line, Toil};

/// The operations that wrote the pieces that are there, by their keys.
pub(crate) type Pieces = BTreeMap<u64, u64>;

/// One of a family, and what it must show. Where a process was killed before it could tell, it can have one of several
/// histories, until it was seen which.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    histories: Vec<History>,
    under_way: Option<Toil>,
    pub(crate) snapshots: BTreeMap<String, Vec<Pieces>>,
}

/// Operations that took effect, in order, also those of what it is a branch of: a branch may fork before what it comes of did.
type History = Vec<Written>;

/// An operation that took effect at one of these positions.
#[derive(Clone, Copy, Debug)]
struct Written {
    toil: Toil,
    first: u64,
    last: u64,
}

impl Member {
    fn new(histories: Vec<History>) -> Self {
        Self { histories, under_way: None, snapshots: BTreeMap::new() }
    }

    /// Takes in what its writer said.
    pub(crate) fn hear(&mut self, lines: Vec<Line>, is_bulk: bool) {
        for line in lines {
            match line {
                Line::Doing(number) => self.under_way = Some(Toil { number, is_bulk }),
                Line::Written { operation, position } => {
                    let toil = self.under_way.take().filter(|toil| toil.number == operation);
                    let toil = toil.expect("what is done was begun");
                    let written = Written { toil, first: position, last: position };
                    self.histories.iter_mut().for_each(|history| history.push(written));
                }
                unexpected => panic!("{unexpected:?}"),
            }
        }
    }

    /// The histories that it can have, up to a position.
    fn histories_to(&self, position: u64) -> Vec<History> {
        let mut all = Vec::new();
        for history in &self.histories {
            let first = history.last().map_or(0, |written| written.last + 1);
            let under_way = self.under_way.map(|toil| Written { toil, first, last: u64::MAX });
            let mut possible = vec![History::new()];
            for written in history.iter().copied().chain(under_way).filter(|written| written.first <= position) {
                let without = if position < written.last { possible.clone() } else { Vec::new() };
                let written = Written { last: written.last.min(position), ..written };
                possible.iter_mut().for_each(|history| history.push(written));
                possible.extend(without);
            }
            all.extend(possible);
        }
        all
    }

    /// What it can have shown at a position.
    fn states_at(&self, position: u64) -> Vec<Pieces> {
        self.histories_to(position).iter().map(state_of).collect()
    }

    /// Finds out, by what it shows and where its log ends, which history it has. What was under way cannot take effect any
    /// more.
    pub(crate) fn settle(&mut self, found: &Pieces, end: u64, who: &str) {
        let mut possible = self.histories_to(end);
        possible.retain(|history| state_of(history) == *found);
        assert!(!possible.is_empty(), "{who:?}: {}", differences(&self.states_at(end), found));
        possible.truncate(1);
        (self.histories, self.under_way) = (possible, None);
    }

    /// Whether its writer was killed before it could tell.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.under_way.is_some()
    }
}

fn state_of(history: &History) -> Pieces {
    let mut pieces = Pieces::new();
    history.iter().for_each(|written| written.toil.apply(&mut pieces));
    pieces
}

/// What is found and is not as any of these say it must be.
pub(crate) fn differences(expected: &[Pieces], found: &Pieces) -> String {
    let differing = |expected: &Pieces| -> Vec<String> {
        let ids: BTreeSet<&u64> = expected.keys().chain(found.keys()).collect();
        let ids = ids.into_iter().filter(|id| expected.get(id) != found.get(id));
        ids.map(|id| format!("{id}: {:?} and not {:?}", found.get(id), expected.get(id))).collect()
    };
    let nearest = expected.iter().map(differing).min_by_key(Vec::len).unwrap_or_default();
    let shown: Vec<&String> = nearest.iter().take(10).collect();
    format!("{} pieces of {} are not as they must be: {shown:?}", nearest.len(), found.len())
}

/// All that there are, by their paths, that of the one that all come of being empty.
#[derive(Debug)]
pub(crate) struct Family {
    /// Those whose creation was acknowledged, or that were found, and that nobody began to drop.
    pub(crate) members: BTreeMap<String, Member>,
    /// Those whose creation was begun and not acknowledged.
    pub(crate) begun: BTreeSet<String>,
    pub(crate) created: u64,
    pub(crate) dropped: u64,
    pub(crate) named: u64,
}

impl Family {
    pub(crate) fn new() -> Self {
        let members = BTreeMap::from([(String::new(), Member::new(vec![History::new()]))]);
        Self { members, begun: BTreeSet::new(), created: 0, dropped: 0, named: 0 }
    }

    pub(crate) fn child(path: &str, name: &str) -> String {
        if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
    }

    fn is_below(path: &str, other: &str) -> bool {
        other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Those that come of it.
    pub(crate) fn below(&self, path: &str) -> Vec<String> {
        self.members.keys().filter(|other| Self::is_below(path, other)).cloned().collect()
    }

    /// A branch is there that forks at a position of `member`, which is at `path`.
    pub(crate) fn add(&mut self, path: &str, member: &Member, name: &str, fork: u64) {
        let child = Self::child(path, name);
        let living = self.below(&child);
        assert!(living.is_empty(), "{child} was created once more although {living:?} hold what was there");
        self.begun.retain(|other| *other != child && !Self::is_below(&child, other));
        let before = self.members.insert(child.clone(), Member::new(member.histories_to(fork)));
        assert!(before.is_none(), "{child} was there already");
    }

    /// Takes in what was said by who created and dropped branches of `member`, which is at `path`.
    pub(crate) fn hear(&mut self, path: &str, member: &mut Member, lines: Vec<Line>) {
        for line in lines {
            match line {
                Line::Doing(_) => {}
                Line::Naming { act: Act::Branch, name } => _ = self.begun.insert(Self::child(path, &name)),
                Line::Naming { act: Act::DropBranch, name } => self.lose(&Self::child(path, &name)),
                Line::Naming { act: Act::DropSnapshot, name } => _ = member.snapshots.remove(&name),
                Line::Named { act: Act::DropBranch, .. } => self.dropped += 1,
                Line::Naming { act: Act::Snapshot, .. } | Line::Named { act: Act::DropSnapshot, .. } => {}
                Line::Named { act: Act::Branch, name, position } => {
                    self.created += 1;
                    self.add(path, member, &name, position);
                }
                Line::Named { act: Act::Snapshot, name, position } => {
                    self.named += 1;
                    member.snapshots.insert(name, member.states_at(position));
                }
                unexpected => panic!("{unexpected:?}"),
            }
        }
    }

    /// Somebody began to drop it.
    pub(crate) fn lose(&mut self, path: &str) {
        self.members.remove(path);
        self.begun.remove(path);
    }
}
