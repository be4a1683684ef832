//! A branch begins as its parent was, and from there neither sees, spoils or loses anything by the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bucketdb::{
    Blob, Database, DatabaseBuilder, Driver, Duplicates, Error, ErrorKind, Fault, FaultDriver, Freshness, Key,
    LogError, MemoryDriver, Operation, Since,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{GRACE_S, Skipping, cases, metered, on, on_clock};

type Model = BTreeMap<u64, u64>;

fn branch(store: &MemoryDriver, path: &str) -> DatabaseBuilder {
    on(store.clone()).staleness(Duration::ZERO).branch(path)
}

async fn put(db: &Database, id: u64, n: u64) {
    db.collection("things").put(&json!({"id": id, "n": n})).await.unwrap();
}

async fn shown(db: &Database) -> Model {
    let documents = db.collection("things").query().fetch().await.unwrap();
    let number = |document: &Value, field: &str| document[field].as_u64().unwrap();
    documents.iter().map(|document| (number(document, "id"), number(document, "n"))).collect()
}

/// All that is in a store.
async fn keys(store: &MemoryDriver) -> Vec<String> {
    let page = store.list("", None).await.unwrap();
    assert!(page.next.is_none());
    page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()).collect()
}

async fn assert_clean(db: &Database) {
    let verification = db.verify(|_| ()).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
}

async fn fill(db: &Database, ids: std::ops::Range<u64>) {
    // It makes the table.
    put(db, ids.start, 0).await;
    for chunk in ids.collect::<Vec<u64>>().chunks(1_000) {
        let mut batch = db.batch();
        for id in chunk {
            batch.put_into(&db.collection("things"), &json!({"id": id, "n": 0})).unwrap();
        }
        batch.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_branch_takes_five_requests_and_copies_nothing() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    fill(&db, 0..20_000).await;
    db.checkpoint().await.unwrap();
    put(&db, 1, 1).await;
    db.close().await.unwrap();
    let meter = metered(&store);
    let db = on(meter.clone()).open().await.unwrap();
    let before = meter.usage();
    let created = db.create_branch("staging").await.unwrap();
    let used = meter.usage() - before;
    assert!(used.total_requests() <= 5, "{used:?}");
    let written = used.of(Operation::Put).bytes;
    assert!(written < 2_000, "{written} bytes");
    assert_eq!(created.fork.next(), db.position());
    assert_eq!(db.branches().await.unwrap(), [created]);
    let staging = branch(&store, "staging").open().await.unwrap();
    assert_eq!(shown(&staging).await, shown(&db).await);
    assert_clean(&staging).await;
}

#[tokio::test]
async fn neither_shows_what_is_written_to_the_other() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    put(&db, 1, 1).await;
    // Before any checkpoint, and behind one.
    for name in ["young", "old"] {
        db.create_branch(name).await.unwrap();
        let forked = shown(&db).await;
        let other = branch(&store, name).open().await.unwrap();
        put(&db, 2, 2).await;
        put(&other, 3, 3).await;
        assert_eq!(shown(&other).await, forked.iter().map(|(id, n)| (*id, *n)).chain([(3, 3)]).collect());
        assert!(!shown(&db).await.contains_key(&3));
        other.compact().await.unwrap();
        db.compact().await.unwrap();
        for (path, expected) in [("", shown(&db).await), (name, shown(&other).await)] {
            let builder = if path.is_empty() { on(store.clone()) } else { branch(&store, path) };
            let opened = builder.open().await.unwrap();
            assert_eq!(shown(&opened).await, expected);
            assert_clean(&opened).await;
        }
        db.checkpoint().await.unwrap();
    }
}

#[tokio::test]
async fn a_branch_of_the_past_is_that_moment() {
    let store = MemoryDriver::new();
    let clock = Skipping::default();
    let db = on_clock(&store, &clock, Some(Duration::from_secs(20 * GRACE_S))).await;
    let mut moments = Vec::new();
    for n in 0..40 {
        put(&db, n % 7, n).await;
        moments.push((db.position(), shown(&db).await));
        if n % 3 == 2 {
            db.checkpoint().await.unwrap();
        }
        clock.skip(60);
    }
    let is_branched = |number: usize| number.is_multiple_of(4);
    for (number, (seq, expected)) in moments.iter().enumerate().filter(|(number, _)| is_branched(*number)) {
        let name = format!("at-{number}");
        let created = db.create_branch_at(&name, *seq).await.unwrap();
        assert_eq!(created.fork, *seq);
        let past = branch(&store, &name).environment(clock.clone()).open().await.unwrap();
        assert_eq!(shown(&past).await, *expected, "{seq}");
    }
    // What else was kept is given up, and merged away.
    for _ in 0..3 {
        clock.skip(30 * GRACE_S);
        put(&db, 100, 100).await;
        db.compact().await.unwrap();
        db.refresh(Freshness::Strict).await.unwrap();
        db.collect_garbage().await.unwrap();
        db.sweep().await.unwrap();
    }
    let late = moments[moments.len() - 1].0;
    assert!(matches!(db.create_branch_at("too-late", late).await, Err(Error::SnapshotExpired { .. })));
    for (number, (seq, expected)) in moments.iter().enumerate().filter(|(number, _)| is_branched(*number)) {
        let past = branch(&store, &format!("at-{number}")).environment(clock.clone()).open().await.unwrap();
        assert_eq!(shown(&past).await, *expected, "{seq}");
        if number.is_multiple_of(3) {
            put(&past, 9, 9).await;
            past.compact().await.unwrap();
            assert_eq!(shown(&past).await.get(&9), Some(&9));
            assert_clean(&past).await;
        }
    }
    assert_clean(&db).await;
}

#[tokio::test]
async fn either_can_be_dropped_first_and_a_name_used_again() {
    for parent_first in [false, true] {
        let store = MemoryDriver::new();
        let db = on(store.clone()).open().await.unwrap();
        fill(&db, 0..500).await;
        db.checkpoint().await.unwrap();
        db.create_branch("one").await.unwrap();
        let one = branch(&store, "one").open().await.unwrap();
        put(&one, 1, 1).await;
        one.create_branch("two").await.unwrap();
        let two = branch(&store, "one/two").open().await.unwrap();
        put(&two, 2, 2).await;
        two.compact().await.unwrap();
        let expected = shown(&two).await;
        assert_eq!((expected.get(&1), expected.get(&2)), (Some(&1), Some(&2)));
        if parent_first {
            let report = db.drop_database("db").await.unwrap();
            assert_eq!(report.held_by, ["one"]);
            assert_eq!(report.removed, 0);
            assert!(matches!(on(store.clone()).create(false).open().await, Err(Error::Log(LogError::Dropped { .. }))));
            let report = branch(&store, "one").drop_database("db/branch/one", false).await.unwrap();
            assert_eq!(report.held_by, ["two"]);
            assert_eq!(shown(&branch(&store, "one/two").open().await.unwrap()).await, expected);
            branch(&store, "one/two").drop_database("db/branch/one/branch/two", false).await.unwrap();
            // Nothing but the newest records, which stay for a grace.
            let left = keys(&store).await;
            assert!(left.iter().all(|key| key.contains("log/")), "{left:?}");
            continue;
        }
        assert_eq!(db.drop_branch("one").await.unwrap().held_by, ["two"]);
        assert!(matches!(db.create_branch("one").await, Err(Error::BranchExists { .. })));
        assert!(matches!(one.refresh(Freshness::Strict).await, Err(Error::Log(LogError::Dropped { .. }))));
        assert_eq!(shown(&branch(&store, "one/two").open().await.unwrap()).await, expected);
        branch(&store, "one/two").drop_database("db/branch/one/branch/two", false).await.unwrap();
        db.refresh(Freshness::Strict).await.unwrap();
        assert_eq!(db.branches().await.unwrap(), []);
        assert!(matches!(db.drop_branch("one").await, Err(Error::UnknownBranch { .. })));
        assert!(matches!(branch(&store, "one").open().await, Err(Error::Log(LogError::NoDatabase { .. }))));
        // Whoever has the earlier branch open still writes beside the new one.
        db.create_branch("one").await.unwrap();
        assert!(one.collection("things").put(&json!({"id": 9, "n": 9})).await.is_err());
        let again = branch(&store, "one").open().await.unwrap();
        assert_eq!(shown(&again).await, shown(&db).await);
        assert_clean(&again).await;
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    put(&db, 1, 1).await;
    for bad in ["", "..", "a/b", "-", "a b", "ü"] {
        assert!(matches!(db.create_branch(bad).await, Err(Error::InvalidBranch { .. })), "{bad}");
    }
    for bad in ["", "one/", "..", "one//two", "a/b/c/d/e"] {
        assert!(matches!(branch(&store, bad).open().await, Err(Error::InvalidBranch { .. })), "{bad}");
    }
    assert!(matches!(branch(&store, "none").open().await, Err(Error::Log(LogError::NoDatabase { .. }))));
    assert!(matches!(db.drop_branch("none").await, Err(Error::UnknownBranch { .. })));
    let reader = on(store.clone()).read_only(true).open().await.unwrap();
    assert!(matches!(reader.create_branch("x").await, Err(Error::Log(LogError::ReadOnly))));
}

#[tokio::test]
async fn a_creation_that_is_cut_off_anywhere_can_be_dropped_and_made_again() {
    for kept in 0..4 {
        let store = MemoryDriver::new();
        let db = on(store.clone()).open().await.unwrap();
        put(&db, 1, 1).await;
        db.checkpoint().await.unwrap();
        db.close().await.unwrap();
        let left = Arc::new(AtomicU32::new(u32::MAX));
        let counter = left.clone();
        let faulty = FaultDriver::new(store.clone(), move |operation, _| {
            let is_last = operation == Operation::Put
                && counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
            if is_last { Fault::Before(ErrorKind::Denied) } else { Fault::None }
        });
        let db = on(faulty).open().await.unwrap();
        left.store(kept, Ordering::Relaxed);
        db.create_branch("x").await.unwrap_err();
        drop(db);
        let db = on(store.clone()).open().await.unwrap();
        match branch(&store, "x").open().await {
            Err(Error::Log(LogError::NoDatabase { .. } | LogError::UnfinishedBranch { .. })) => {}
            outcome => panic!("{kept}: {outcome:?}"),
        }
        if kept > 0 {
            assert!(matches!(db.create_branch("x").await, Err(Error::BranchExists { .. })), "{kept}");
            db.drop_branch("x").await.unwrap();
        }
        db.create_branch("x").await.unwrap();
        let opened = branch(&store, "x").open().await.unwrap();
        assert_eq!(shown(&opened).await, shown(&db).await);
    }
}

#[tokio::test]
async fn a_branch_lives_on_without_its_head() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    for n in 0..100 {
        put(&db, n, n).await;
    }
    db.compact().await.unwrap();
    put(&db, 3, 1_000).await;
    db.create_branch("x").await.unwrap();
    put(&db, 3, 2_000).await;
    db.compact().await.unwrap();
    let is_head = |key: &String| key.starts_with("db/branch/x/") && key.ends_with("/head");
    let head = keys(&store).await.into_iter().find(is_head).unwrap();
    store.delete(&Key::new(head).unwrap()).await.unwrap();
    let opened = branch(&store, "x").open().await.unwrap();
    assert_eq!(shown(&opened).await.get(&3), Some(&1_000));
    assert_clean(&opened).await;
    opened.compact().await.unwrap();
    assert_eq!(shown(&branch(&store, "x").open().await.unwrap()).await.get(&3), Some(&1_000));
}

#[tokio::test]
async fn blobs_feeds_and_snapshots_keep_to_their_own() {
    let store = MemoryDriver::new();
    let clock = Skipping::default();
    let db = on_clock(&store, &clock, None).await;
    let things = db.collection("things");
    let blob = db.blobs().upload("a picture").await.unwrap();
    things.put(&json!({"id": 1, "n": 1, "blob": blob.to_string()})).await.unwrap();
    db.create_snapshot("before").await.unwrap();
    let mut feed = db.watch(Since::Now).await.unwrap();
    put(&db, 2, 2).await;
    let cursor = feed.next().await.unwrap().cursor;
    db.create_branch("x").await.unwrap();
    let x = branch(&store, "x").environment(clock.clone()).open().await.unwrap();
    assert!(matches!(x.at("before").await, Err(Error::UnknownSnapshot { .. })));
    assert!(matches!(x.watch(Since::Cursor(cursor)).await, Err(Error::InvalidCursor { .. })));
    let read = async |db: &Database, blob: &Blob| db.blobs().open(blob)?.bytes().await;
    assert_eq!(read(&x, &blob).await.unwrap(), "a picture");
    // The one gives it up, and nothing of it is left there.
    for (one, other) in [(&db, &x), (&x, &db)] {
        one.collection("things").delete(&json!(1)).await.unwrap();
        one.drop_snapshot("before").await.ok();
        for _ in 0..4 {
            clock.skip(2 * GRACE_S);
            put(one, 50, 50).await;
            one.compact().await.unwrap();
            one.refresh(Freshness::Strict).await.unwrap();
            one.collect_garbage().await.unwrap();
            one.sweep().await.unwrap();
        }
        assert_clean(other).await;
        if std::ptr::eq(one, &raw const db) {
            assert_eq!(read(&x, &blob).await.unwrap(), "a picture");
        }
    }
    // The parent keeps it for the branch, which may be opened anew, and not for longer.
    let blobs = async || keys(&store).await.iter().filter(|key| key.contains("blob/")).count();
    assert_eq!(blobs().await, 1);
    db.drop_branch("x").await.unwrap();
    for _ in 0..4 {
        clock.skip(2 * GRACE_S);
        put(&db, 51, 51).await;
        db.compact().await.unwrap();
        db.refresh(Freshness::Strict).await.unwrap();
        db.collect_garbage().await.unwrap();
        db.sweep().await.unwrap();
    }
    assert_eq!(blobs().await, 0);
}

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
    past: Vec<(bucketdb::Seq, Model)>,
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

    async fn branch(&mut self, at: usize, name: &'static str, past: Option<(bucketdb::Seq, Model)>) {
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
