//! A database, its branches and theirs, held against maps, whatever is written, merged, removed and dropped in any order.

use std::time::Duration;

use bucketdb::{Database, Duplicates, Error, Freshness, MemoryDriver, Seq};
use proptest::prelude::*;
use serde_json::json;

use crate::branches::{Model, put, shown};
use crate::support::{GRACE_S, Skipping, cases, on, on_clock};

#[derive(Clone, Debug)]
enum Step {
    Put(u64),
    Delete(u64),
    Load(Vec<u64>),
    Branch(usize),
    BranchOfPast(usize, usize),
    Drop(usize),
    Checkpoint,
    Compact,
    Skip(u64),
    Collect,
    Sweep,
    Reopen,
}

const NAMES: [&str; 3] = ["a", "b.1", "C_2"];

fn step() -> BoxedStrategy<Step> {
    let key = 0..8_u64;
    prop_oneof![
        8 => key.clone().prop_map(Step::Put),
        2 => key.clone().prop_map(Step::Delete),
        1 => prop::collection::vec(key, 0..6).prop_map(Step::Load),
        3 => (0..NAMES.len()).prop_map(Step::Branch),
        2 => (0..NAMES.len(), 0..8_usize).prop_map(|(name, back)| Step::BranchOfPast(name, back)),
        1 => (0..NAMES.len()).prop_map(Step::Drop),
        4 => Just(Step::Checkpoint),
        2 => Just(Step::Compact),
        3 => (1..2 * GRACE_S).prop_map(Step::Skip),
        3 => Just(Step::Collect),
        1 => Just(Step::Sweep),
        2 => Just(Step::Reopen),
    ]
    .boxed()
}

/// A database or a branch, and what it must show.
struct Member {
    /// Empty for the one that all come of.
    path: Vec<&'static str>,
    db: Database,
    present: Model,
    /// What it showed at positions of its own, in order.
    past: Vec<(Seq, Model)>,
    is_dropped: bool,
}

struct Family {
    store: MemoryDriver,
    clock: Skipping,
    members: Vec<Member>,
    written: u64,
}

impl Family {
    async fn new() -> Self {
        let (store, clock) = (MemoryDriver::new(), Skipping::default());
        let db = on_clock(&store, &clock, None).await;
        put(&db, 100, 0).await;
        let root =
            Member { path: Vec::new(), db, present: Model::from([(100, 0)]), past: Vec::new(), is_dropped: false };
        Self { store, clock, members: vec![root], written: 0 }
    }

    async fn open(&self, path: &[&str]) -> Database {
        let builder = on(self.store.clone()).environment(self.clock.clone()).staleness(Duration::ZERO);
        let builder = if path.is_empty() { builder } else { builder.branch(path.join("/")) };
        builder.create(false).open().await.unwrap()
    }

    fn child(&self, of: usize, name: &'static str) -> Option<usize> {
        let path: Vec<&str> = self.members[of].path.iter().copied().chain([name]).collect();
        self.members.iter().position(|member| member.path == path)
    }

    /// Takes out what is gone: who was dropped and has no branches.
    fn bury(&mut self) {
        while let Some(gone) = self.members.iter().position(|member| {
            let has_branches =
                |other: &Member| other.path.len() > member.path.len() && other.path.starts_with(&member.path);
            member.is_dropped && !member.path.is_empty() && !self.members.iter().any(has_branches)
        }) {
            self.members.remove(gone);
        }
    }

    async fn act(&mut self, at: usize, step: Step) {
        let at = at % self.members.len();
        if self.members[at].is_dropped {
            return;
        }
        self.written += 1;
        let (value, db) = (self.written, self.members[at].db.clone());
        let things = db.collection("things");
        match step {
            Step::Put(key) => {
                put(&db, key, value).await;
                self.members[at].present.insert(key, value);
            }
            Step::Delete(key) => {
                things.delete(&json!(key)).await.unwrap();
                self.members[at].present.remove(&key);
            }
            Step::Load(keys) => {
                let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
                for key in keys {
                    load.add_value(&json!({"id": key, "n": value})).await.unwrap();
                    self.members[at].present.insert(key, value);
                }
                load.finish().await.unwrap();
            }
            Step::Branch(name) => self.branch(at, NAMES[name], None).await,
            Step::BranchOfPast(name, back) => {
                let past = &self.members[at].past;
                let chosen = past.len().checked_sub(back + 1).and_then(|index| past.get(index)).cloned();
                self.branch(at, NAMES[name], chosen).await;
            }
            Step::Drop(name) => {
                let outcome = db.drop_branch(NAMES[name]).await;
                match self.child(at, NAMES[name]) {
                    Some(child) => {
                        outcome.unwrap();
                        self.members[child].is_dropped = true;
                        self.bury();
                    }
                    None => assert!(matches!(outcome, Err(Error::UnknownBranch { .. })), "{outcome:?}"),
                }
                return;
            }
            Step::Checkpoint => Box::pin(db.checkpoint()).await.unwrap(),
            Step::Compact => _ = Box::pin(db.compact()).await.unwrap(),
            Step::Skip(seconds) => self.clock.skip(seconds),
            Step::Collect => {
                db.refresh(Freshness::Strict).await.unwrap();
                db.collect_garbage().await.unwrap();
            }
            Step::Sweep => _ = db.sweep().await.unwrap(),
            Step::Reopen => self.members[at].db = self.open(&self.members[at].path).await,
        }
        let member = &mut self.members[at];
        let position = member.db.position();
        if member.past.last().is_none_or(|(last, _)| *last < position) {
            member.past.push((position, member.present.clone()));
        }
    }

    async fn branch(&mut self, at: usize, name: &'static str, past: Option<(Seq, Model)>) {
        let db = self.members[at].db.clone();
        let present = past.as_ref().map_or(&self.members[at].present, |(_, model)| model).clone();
        let outcome = match &past {
            None => db.create_branch(name).await,
            Some((seq, _)) => db.create_branch_at(name, *seq).await,
        };
        let created = match outcome {
            Err(Error::BranchExists { .. }) => return assert!(self.child(at, name).is_some()),
            Err(Error::InvalidBranch { .. }) => return assert!(self.members[at].path.len() >= 4),
            Err(Error::SnapshotExpired { .. }) if past.is_some() => return,
            outcome => outcome.unwrap(),
        };
        assert!(self.child(at, name).is_none());
        let path: Vec<&str> = self.members[at].path.iter().copied().chain([name]).collect();
        let db = self.open(&path).await;
        let past = vec![(created.fork.next(), present.clone())];
        self.members.push(Member { path, db, present, past, is_dropped: false });
    }

    async fn check(&self) {
        for member in self.members.iter().filter(|member| !member.is_dropped) {
            assert_eq!(shown(&member.db).await, member.present, "{:?}", member.path);
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_family_of_branches_never_gets_in_each_others_way(steps in prop::collection::vec((0..6_usize, step()), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut family = Family::new().await;
            for (at, step) in steps {
                Box::pin(family.act(at, step)).await;
                family.check().await;
            }
            for member in family.members.iter().filter(|member| !member.is_dropped) {
                let opened = family.open(&member.path).await;
                assert_eq!(shown(&opened).await, member.present, "{:?} anew", member.path);
                let verification = opened.verify(|_| ()).await.unwrap();
                assert!(verification.is_clean(), "{:?}: {:?}", member.path, verification.findings);
            }
        });
    }
}
