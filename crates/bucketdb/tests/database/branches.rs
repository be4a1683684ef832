//! A branch begins as its parent was, and from there neither sees, spoils or loses anything by the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bucketdb::{
    Backups, Blob, Database, DatabaseBuilder, Driver, EncryptionKey, EncryptionKeys, Error, ErrorKind, Fault,
    FaultDriver, Freshness, Key, LogError, MemoryDriver, Operation, Place, Since, StoreCheck,
};
use serde_json::{Value, json};

use crate::support::{GRACE_S, Skipping, metered, on, on_clock};

pub(crate) type Model = BTreeMap<u64, u64>;

fn branch(store: &MemoryDriver, path: &str) -> DatabaseBuilder {
    on(store.clone()).staleness(Duration::ZERO).branch(path)
}

pub(crate) async fn put(db: &Database, id: u64, n: u64) {
    db.collection("things").put(&json!({"id": id, "n": n})).await.unwrap();
}

pub(crate) async fn shown(db: &Database) -> Model {
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

/// Whoever drops a branch says so in its log, and removes its objects at once.
#[tokio::test]
async fn who_reads_a_snapshot_of_a_branch_that_is_dropped_is_told_that_and_not_of_damage() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    put(&db, 0, 0).await;
    db.create_branch("x").await.unwrap();
    let writer = branch(&store, "x").open().await.unwrap();
    fill(&writer, 1..5_000).await;
    writer.checkpoint().await.unwrap();
    writer.close().await.unwrap();
    let reader = branch(&store, "x").open().await.unwrap();
    let snapshot = reader.snapshot().await.unwrap();
    let things = snapshot.collection("things");
    db.drop_branch("x").await.unwrap();
    let errors = [
        things.get(&json!(4_000)).await.unwrap_err(),
        things.query().fetch().await.unwrap_err(),
        things.query().limit(3).fetch().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Log(LogError::Dropped { .. })), "{error:?}");
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
async fn a_branch_of_the_past_stays_whole_though_its_creator_did_not_know_the_last_checkpoint() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let history = Some(Duration::from_secs(20 * GRACE_S));
    let creator = on_clock(&store, &clock, history).await;
    let other = on_clock(&store, &clock, history).await;
    for n in 0..6 {
        put(&creator, n, n).await;
        if n == 2 {
            creator.checkpoint().await.unwrap();
        }
    }
    let (at, expected) = (creator.position(), shown(&creator).await);
    clock.skip(60);
    other.refresh(Freshness::Strict).await.unwrap();
    other.checkpoint().await.unwrap();
    creator.create_branch_at("x", at).await.unwrap();
    for n in 7..10 {
        clock.skip(30 * GRACE_S);
        put(&other, n, n).await;
        other.compact().await.unwrap();
        other.refresh(Freshness::Strict).await.unwrap();
        other.collect_garbage().await.unwrap();
        other.sweep().await.unwrap();
    }
    let past = branch(&store, "x").environment(clock.clone()).open().await.unwrap();
    assert_eq!(shown(&past).await, expected);
    assert_clean(&past).await;
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
            let created = on(store.clone()).open().await;
            assert!(matches!(created, Err(Error::Log(LogError::Nested { .. }))), "{created:?}");
            let report = branch(&store, "one").drop_database("db/branch/one", false).await.unwrap();
            assert_eq!(report.held_by, ["two"]);
            assert_eq!(shown(&branch(&store, "one/two").open().await.unwrap()).await, expected);
            branch(&store, "one/two").drop_database("db/branch/one/branch/two", false).await.unwrap();
            // Nothing but the newest records, which stay for a grace.
            let left = keys(&store).await;
            assert!(left.iter().all(|key| key.contains("log/") || key.ends_with("/origin")), "{left:?}");
            let next = on(store.clone()).open().await.unwrap();
            put(&next, 1, 1).await;
            assert_eq!(next.branches().await.unwrap(), []);
            next.create_branch("one").await.unwrap();
            assert_eq!(shown(&branch(&store, "one").open().await.unwrap()).await, Model::from([(1, 1)]));
            continue;
        }
        db.create_branch("three").await.unwrap();
        let three = branch(&store, "three").open().await.unwrap();
        three.drop_database("db/branch/three").await.unwrap();
        db.refresh(Freshness::Strict).await.unwrap();
        assert_eq!(db.branches().await.unwrap().len(), 1, "it lets go of one that was dropped by itself");
        assert!(matches!(three.refresh(Freshness::Strict).await, Err(Error::Log(LogError::Dropped { .. }))));
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

#[tokio::test(start_paused = true)]
async fn nothing_but_two_small_objects_is_left_of_a_branch_once_nobody_can_write_to_it() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    put(&db, 1, 1).await;
    db.create_branch("x").await.unwrap();
    let x = branch(&store, "x").open().await.unwrap();
    for n in 0..20 {
        put(&x, n, n).await;
    }
    let position = x.position();
    let report = db.drop_branch_and_wait("x").await.unwrap();
    assert_eq!((report.records_left, report.held_by), (0, Vec::new()));
    let left: Vec<String> = keys(&store).await.into_iter().filter(|key| key.starts_with("db/branch/")).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].ends_with(&format!("/log/{:020}", position.0 + 1)), "{left:?}");
    assert_eq!(left[1], "db/branch/x/origin");
}

#[tokio::test]
async fn backups_are_of_one_database_whether_it_is_a_branch_or_has_some() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    fill(&db, 0..300).await;
    db.checkpoint().await.unwrap();
    put(&db, 1, 1).await;
    db.create_branch("x").await.unwrap();
    let x = branch(&store, "x").open().await.unwrap();
    put(&x, 2, 2).await;
    put(&db, 3, 3).await;
    for (number, source) in [db, x.clone()].into_iter().enumerate() {
        let place = Place::new(Arc::new(MemoryDriver::new()), "backup");
        source.backup(&place, |_| ()).await.unwrap();
        let to = MemoryDriver::new();
        let from = Backups::at(&place).unwrap();
        let (restored, _) = on(to.clone()).restore(&from, None, |_| ()).await.unwrap();
        assert_eq!(shown(&restored).await, shown(&source).await, "{number}");
        assert_eq!(restored.branches().await.unwrap(), []);
        restored.compact().await.unwrap();
        assert_clean(&on(to).open().await.unwrap()).await;
        let onto = branch(&store, "x").restore(&from, None, |_| ()).await;
        assert!(matches!(onto, Err(Error::InvalidBranch { .. })), "{onto:?}");
    }
    // Of a branch that has merged everything, too.
    x.compact().await.unwrap();
    let place = Place::new(Arc::new(MemoryDriver::new()), "backup");
    x.backup(&place, |_| ()).await.unwrap();
    let (restored, _) = on(MemoryDriver::new()).restore(&Backups::at(&place).unwrap(), None, |_| ()).await.unwrap();
    assert_eq!(shown(&restored).await, shown(&x).await);
}

#[tokio::test]
async fn keys_are_changed_of_each_by_itself() {
    let keys_of = |current: u8, earlier: u8| {
        let key = |byte: u8| EncryptionKey::from_bytes([byte; 32]);
        EncryptionKeys::new(key(current)).with_earlier(key(earlier))
    };
    let store = MemoryDriver::new();
    let on_store = |current, earlier| {
        let builder = Database::builder().driver(store.clone()).prefix("db");
        builder.store_check(StoreCheck { rounds: 2, racers: 3 }).encryption(keys_of(current, earlier))
    };
    let db = on_store(1, 2).open().await.unwrap();
    fill(&db, 0..300).await;
    db.checkpoint().await.unwrap();
    db.create_branch("x").await.unwrap();
    let x = on_store(1, 2).branch("x").open().await.unwrap();
    put(&x, 2, 2).await;
    x.checkpoint().await.unwrap();
    let expected = (shown(&db).await, shown(&x).await);
    let db = on_store(2, 1).open().await.unwrap();
    let x = on_store(2, 1).branch("x").open().await.unwrap();
    assert!(db.rekey(|_| ()).await.unwrap().rewritten > 0);
    assert!(x.rekey(|_| ()).await.unwrap().rewritten > 0);
    let only = EncryptionKeys::new(EncryptionKey::from_bytes([2; 32]));
    let open = |path: &str| {
        let builder = Database::builder().driver(store.clone()).prefix("db").encryption(only.clone());
        if path.is_empty() { builder } else { builder.branch(path) }
    };
    let (db, x) = (open("").open().await.unwrap(), open("x").open().await.unwrap());
    assert_eq!((shown(&db).await, shown(&x).await), expected);
    assert_clean(&x).await;
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
    // With the whole log there, and with the records removed that the checkpoint covers with which it begins. That has its own
    // record behind the fork, if the branch is of the past.
    for (is_collected, is_past) in [(false, false), (false, true), (true, false), (true, true)] {
        for kept in 0..4 {
            cut_off_a_creation(is_collected, is_past, kept).await;
        }
    }
}

async fn cut_off_a_creation(is_collected: bool, is_past: bool, kept: u32) {
    let case = format!("collected: {is_collected}, of the past: {is_past}, after {kept} puts");
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let db = on_clock(&store, &clock, Some(Duration::ZERO)).await;
    put(&db, 1, 1).await;
    let (at, expected) = (db.position(), shown(&db).await);
    db.checkpoint().await.unwrap();
    if is_collected {
        clock.skip(2 * GRACE_S);
        db.refresh(Freshness::Strict).await.unwrap();
        assert!(db.collect_garbage().await.unwrap().records > 0);
    }
    db.close().await.unwrap();
    let left = Arc::new(AtomicU32::new(u32::MAX));
    let counter = left.clone();
    let faulty = FaultDriver::new(store.clone(), move |operation, _| {
        let is_last = operation == Operation::Put
            && counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
        if is_last { Fault::Before(ErrorKind::Denied) } else { Fault::None }
    });
    let open = |builder: DatabaseBuilder| builder.environment(clock.clone()).staleness(Duration::ZERO).open();
    let create = async |db: &Database| match is_past {
        true => db.create_branch_at("x", at).await,
        false => db.create_branch("x").await,
    };
    let db = open(on(faulty)).await.unwrap();
    left.store(kept, Ordering::Relaxed);
    create(&db).await.unwrap_err();
    drop(db);
    let db = open(on(store.clone())).await.unwrap();
    let opened = open(branch(&store, "x")).await;
    let is_told = matches!(opened, Err(Error::Log(LogError::NoDatabase { .. } | LogError::UnfinishedBranch { .. })));
    assert!(is_told, "{case}: {opened:?}");
    if kept > 0 {
        assert!(matches!(create(&db).await, Err(Error::BranchExists { .. })), "{case}");
        db.drop_branch("x").await.unwrap();
    }
    // A record that says so, if anybody could have come to write to it.
    let left = keys(&store).await;
    let is_left = |key: &&String| key.starts_with("db/branch/") && !key.ends_with("/origin");
    let (records, others): (Vec<&String>, Vec<&String>) =
        left.iter().filter(is_left).partition(|key| key.contains("/log/"));
    assert_eq!((records.len(), others.len()), (usize::from(kept > 1), 0), "{case}: {left:?}");
    create(&db).await.unwrap();
    let opened = open(branch(&store, "x")).await.unwrap();
    assert_eq!(shown(&opened).await, expected, "{case}");
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
