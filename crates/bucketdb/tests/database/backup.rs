//! A backup is the database at its moment, whatever others do meanwhile, and restores to that and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bucketdb::{
    BackupReport, Backups, Blob, Condition, Cursor, Database, Driver, DriverError, Duplicates, ETag, Environment,
    Error, ErrorKind, Fault, FaultDriver, Key, LogError, MemoryDriver, Object, Operation, Page, Place, Point,
    RestoreReport, Seq, Since, SlotNames, Snapshot, TokioEnvironment, WallTime,
};
use bytes::Bytes;
use futures::future::{self, Either};
use serde_json::{Value, json};

use crate::support::{GRACE_S, Skipping, on, on_clock, open};

/// Where backups go.
fn vault(store: impl Driver) -> Place {
    Place::new(Arc::new(store), "backups/db")
}

#[expect(clippy::disallowed_methods, reason = "another user's task")]
fn in_task<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

async fn backup(db: &Database, to: &Place) -> BackupReport {
    db.backup(to, |_| ()).await.unwrap()
}

async fn restore_to(
    store: impl Driver,
    from: &Place,
    point: Option<Point>,
) -> bucketdb::Result<(Database, RestoreReport)> {
    let backups = Backups::at(from).unwrap();
    on(store).prefix("restored/elsewhere").restore(&backups, point, |_| ()).await
}

async fn restore(from: &Place, point: Option<Point>) -> Database {
    let (db, report) = restore_to(MemoryDriver::new(), from, point).await.unwrap();
    assert_eq!(report.copied_objects, report.objects);
    let verification = db.verify(|_| ()).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
    db
}

const TABLES: [&str; 2] = ["things", "others"];

/// All documents of a moment, with the content of the blobs that they refer to.
async fn shown(db: &Database, snapshot: &Snapshot) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for table in TABLES.iter().filter(|table| snapshot.collection(table).exists().unwrap()) {
        for mut document in snapshot.collection(table).query().fetch().await.unwrap() {
            if let Some(blob) = document["blob"].as_str() {
                let blob: Blob = blob.parse().unwrap();
                let content = db.blobs().open(&blob).unwrap().bytes().await.unwrap();
                document["content"] = json!(String::from_utf8(content.to_vec()).unwrap());
            }
            found.insert(format!("{table} {}", document["id"]), document);
        }
    }
    found
}

async fn present(db: &Database) -> BTreeMap<String, Value> {
    shown(db, &db.snapshot().await.unwrap()).await
}

/// That what was restored is what the source shows at that position, and that it can be written to without the source.
async fn assert_same(source: &Database, at: Seq, restored: &Database) {
    let expected = shown(source, &source.at(at).await.unwrap()).await;
    assert_eq!(present(restored).await, expected);
    assert_eq!(shown(restored, &restored.at(at).await.unwrap()).await, expected);
    for named in restored.snapshots().await.unwrap() {
        let of = async |db: &Database| shown(db, &db.at(named.name.as_str()).await.unwrap()).await;
        assert_eq!(of(restored).await, of(source).await, "{}", named.name);
    }
    restored.collection("things").put(&json!({"id": 99_999, "n": 1})).await.unwrap();
    restored.compact().await.unwrap();
    assert_eq!(present(restored).await.len(), expected.len() + 1);
}

async fn fill(db: &Database, ids: std::ops::Range<u64>, n: u64) {
    let things = db.collection("things");
    // It makes the table.
    things.put(&json!({"id": ids.start})).await.unwrap();
    for part in ids.collect::<Vec<_>>().chunks(500) {
        let mut batch = db.batch();
        for id in part {
            let text = format!("{n} {} {}", noise(*id, n), noise(n, *id));
            batch.put_into(&things, &json!({"id": id, "n": n, "text": text})).unwrap();
        }
        batch.commit().await.unwrap();
    }
}

/// Something that does not compress.
fn noise(one: u64, other: u64) -> String {
    (0..8_u64)
        .map(|at| {
            let mixed = (one.wrapping_mul(31) ^ other.wrapping_mul(17) ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!("{:016x}", (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9))
        })
        .collect()
}

/// A database with checkpoints, an index, a bulk load, blobs (one of them given up), and a snapshot with a name.
async fn sample(store: &MemoryDriver) -> Database {
    let db = open(store.clone()).await;
    let things = db.collection("things");
    fill(&db, 0..40, 1).await;
    things.create_index("n").await.unwrap();
    for id in 1_000..1_003 {
        let blob = db.blobs().upload(format!("content of {id}")).await.unwrap();
        things.put(&json!({"id": id, "n": 7, "blob": blob.to_string()})).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    db.create_snapshot("before").await.unwrap();
    things.delete(&json!(1_001)).await.unwrap();
    let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
    for id in 30..60 {
        load.add_value(&json!({"id": id, "n": 3})).await.unwrap();
    }
    load.finish().await.unwrap();
    db.checkpoint().await.unwrap();
    db.collection("others").put(&json!({"id": 3})).await.unwrap();
    let mut load = db.collection("others").bulk_load(Duplicates::Replace).await.unwrap();
    for id in 0..10 {
        load.add_value(&json!({"id": id, "n": 4})).await.unwrap();
    }
    load.finish().await.unwrap();
    fill(&db, 5..8, 9).await;
    db
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_constant_writes_it_is_the_database_at_its_moment() {
    let store = MemoryDriver::new();
    let (one, two) = (sample(&store).await, open(store.clone()).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = [one.clone(), two.clone()]
        .into_iter()
        .enumerate()
        .map(|(writer, db)| {
            let (is_over, written) = (is_over.clone(), written.clone());
            in_task(async move {
                let things = db.collection("things");
                for round in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = round * 7 % 50 + writer as u64 * 25;
                    things.put(&json!({"id": id, "n": round, "text": "x".repeat(200)})).await.unwrap();
                    if round % 10 == 3 {
                        let blob = db.blobs().upload(format!("{writer} {round}")).await.unwrap();
                        things.put(&json!({"id": 2_000 + writer, "n": round, "blob": blob.to_string()})).await.unwrap();
                    }
                    if round % 40 == 9 {
                        db.checkpoint().await.unwrap();
                    }
                    written.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let place = vault(MemoryDriver::new());
    let mut moments = Vec::new();
    for (at, db) in [&one, &two, &one].into_iter().enumerate() {
        let before = written.load(Ordering::Relaxed);
        moments.push(backup(db, &place).await.seq);
        while written.load(Ordering::Relaxed) < before + 60 * at as u64 {
            tokio::task::yield_now().await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(moments.is_sorted_by(|one, other| one < other));
    for seq in moments {
        let restored = restore(&place, Some(seq.into())).await;
        assert_same(&one, seq, &restored).await;
    }
    assert_eq!(one.snapshots().await.unwrap().len(), 1, "only the one that was not a backup's");
}

/// A store that fails for good after so many changes.
fn failing_after(store: &MemoryDriver, changes: u32) -> FaultDriver {
    let left = AtomicU32::new(changes);
    FaultDriver::new(store.clone(), move |operation, _| match operation {
        Operation::Put | Operation::Delete => {
            let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
            if spent { Fault::Before(ErrorKind::Permanent) } else { Fault::None }
        }
        _ => Fault::None,
    })
}

#[tokio::test]
async fn one_that_is_killed_anywhere_is_no_backup_and_goes_on() {
    let db = sample(&MemoryDriver::new()).await;
    let store = MemoryDriver::new();
    let place = vault(store.clone());
    let mut attempts = 0_u32;
    let report = loop {
        let outcome = db.backup(&vault(failing_after(&store, 6)), |_| ()).await;
        attempts += 1;
        match outcome {
            Ok(report) => break report,
            Err(error) => assert!(error.to_string().contains("a fault that a test injected"), "{error}"),
        }
        assert!(matches!(Backups::at(&place).unwrap().moments().await.as_deref(), Ok([])));
        let none = restore_to(MemoryDriver::new(), &place, None).await.unwrap_err();
        assert!(matches!(none, Error::Backup { .. }), "{none}");
    };
    assert!(attempts > 5 && report.copied_objects < report.objects / 2, "{attempts}: {report:?}");
    assert_same(&db, report.seq, &restore(&place, None).await).await;
    assert_eq!(Backups::at(&place).unwrap().verify(|_| ()).await.unwrap(), []);
    assert_eq!(db.snapshots().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_restore_that_is_killed_anywhere_is_no_database_and_goes_on() {
    let source = sample(&MemoryDriver::new()).await;
    let place = vault(MemoryDriver::new());
    let seq = backup(&source, &place).await.seq;
    let other = backup(&source, &place).await.seq;
    let store = MemoryDriver::new();
    let at = || Some(Point::Seq(seq));
    for attempt in 1.. {
        if let Ok((_, report)) = restore_to(failing_after(&store, 4), &place, at()).await {
            assert!(attempt > 5 && report.copied_objects < report.objects, "{attempt}: {report:?}");
            break;
        }
        // While the last steps are taken it can be opened, and is what it will be.
        match on(store.clone()).prefix("restored/elsewhere").read_only(attempt % 2 == 0).open().await {
            Ok(db) => assert_eq!(present(&db).await, shown(&source, &source.at(seq).await.unwrap()).await),
            Err(error) => assert!(matches!(error, Error::UnfinishedRestore { .. }), "{attempt}: {error}"),
        }
        let error = restore_to(store.clone(), &place, Some(other.into())).await.unwrap_err();
        assert!(matches!(error, Error::UnfinishedRestore { .. }), "{error}");
    }
    let db = on(store.clone()).prefix("restored/elsewhere").open().await.unwrap();
    assert_same(&source, seq, &db).await;
    assert!(db.verify(|_| ()).await.unwrap().is_clean());
    let error = restore_to(store, &place, at()).await.unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
}

#[tokio::test]
async fn after_a_change_of_one_percent_little_is_copied() {
    let db = open(MemoryDriver::new()).await;
    fill(&db, 0..20_000, 1).await;
    db.collection("things").create_index("n").await.unwrap();
    db.checkpoint().await.unwrap();
    let place = vault(MemoryDriver::new());
    let verification = db.verify(|_| ()).await.unwrap();
    assert!(verification.is_clean(), "SOURCE {:?}", verification.findings);
    let first = backup(&db, &place).await;
    assert_eq!(first.copied_objects, first.objects);
    fill(&db, 7_000..7_200, 2).await;
    db.checkpoint().await.unwrap();
    let second = backup(&db, &place).await;
    let share = second.copied_bytes as f64 / second.bytes as f64;
    println!(
        "{} of {} bytes, {} of {} objects: {share:.4}",
        second.copied_bytes, second.bytes, second.copied_objects, second.objects
    );
    assert!(share <= 0.05 && second.copied_bytes < first.copied_bytes / 20, "{first:?} {second:?}");
    for report in [first, second] {
        assert_same(&db, report.seq, &restore(&place, Some(report.seq.into())).await).await;
    }
}

#[tokio::test]
async fn every_moment_that_is_held_can_be_restored_with_its_past_and_names() {
    let clock = Skipping::default();
    let store = MemoryDriver::new();
    let db = on_clock(&store, &clock, None).await;
    let place = vault(MemoryDriver::new());
    let backups = Backups::at(&place).unwrap();
    let mut reports = Vec::new();
    for round in 0..4 {
        fill(&db, round * 5..round * 5 + 10, round).await;
        db.create_snapshot(&format!("round {round}")).await.unwrap();
        fill(&db, 0..3, 100 + round).await;
        if round != 2 {
            db.checkpoint().await.unwrap();
        }
        reports.push(backup(&db, &place).await);
        // What the earlier backup needs is removed in the source.
        db.compact().await.unwrap();
        clock.skip(3 * GRACE_S);
        fill(&db, 90..91, round).await;
        db.compact().await.unwrap();
        db.collect_garbage().await.unwrap();
        clock.skip(3 * GRACE_S);
        db.collect_garbage().await.unwrap();
        db.sweep().await.unwrap();
    }
    let moments = backups.moments().await.unwrap();
    assert_eq!(
        moments.iter().map(|moment| (moment.seq, moment.time, moment.bytes)).collect::<Vec<_>>(),
        reports.iter().map(|report| (report.seq, report.time, report.bytes)).collect::<Vec<_>>()
    );
    for (round, report) in (0_u64..).zip(&reports) {
        // A time between two backups is the first one's.
        let (seq, at) = (report.seq, WallTime(report.time.0 + 1_000));
        for point in [Point::Seq(seq), at.into()] {
            let (restored, _) = restore_to(MemoryDriver::new(), &place, Some(point)).await.unwrap();
            assert!(restored.verify(|_| ()).await.unwrap().is_clean());
            let names: Vec<String> = restored.snapshots().await.unwrap().into_iter().map(|named| named.name).collect();
            assert_eq!(names, (0..=round).map(|round| format!("round {round}")).collect::<Vec<_>>());
            for name in names {
                let of = |db: &Database| {
                    let (db, name) = (db.clone(), name.clone());
                    async move { shown(&db, &db.at(name.as_str()).await.unwrap()).await }
                };
                assert_eq!(of(&restored).await, of(&db).await, "{name}");
            }
            let first = present(&restored).await;
            assert_eq!(first["things 0"]["n"], json!(100 + round));
            assert_eq!(
                first.get("things 90").map(|it| it["n"].clone()),
                round.checked_sub(1).map(|before| json!(before))
            );
        }
    }
    for (point, reason) in [
        (Point::Seq(Seq(1)), "no backup of position 1, but of "),
        (WallTime(0).into(), "made after that time"),
        ("round 1".into(), "neither a position nor a time"),
    ] {
        let error = restore_to(MemoryDriver::new(), &place, Some(point)).await.unwrap_err();
        assert!(matches!(&error, Error::InvalidPoint { .. }) && error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn one_that_was_created_where_another_was_dropped_is_backed_up_and_restored() {
    for has_checkpoint in [false, true] {
        let (store, to) = (MemoryDriver::new(), vault(MemoryDriver::new()));
        let first = sample(&store).await;
        first.drop_database(&first.name()).await.unwrap();
        let db = if has_checkpoint { sample(&store).await } else { open(store.clone()).await };
        fill(&db, 0..5, 7).await;
        let report = backup(&db, &to).await;
        assert_same(&db, report.seq, &restore(&to, None).await).await;
        assert!(Backups::at(&to).unwrap().verify(|_| ()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_store_that_does_not_say_whether_a_restore_is_under_way_holds_up_nobody() {
    let store = FaultDriver::new(MemoryDriver::new(), |_, key| match key.ends_with("restoring") {
        true => Fault::HangAfter,
        false => Fault::None,
    });
    let opening = on(store).create(false).request_timeout(Duration::from_millis(20)).open();
    #[expect(clippy::disallowed_methods, reason = "the time of whoever waits")]
    let opened = tokio::time::timeout(Duration::from_secs(20), opening).await.expect("it never opens");
    assert!(matches!(opened, Err(Error::Log(LogError::NoDatabase { .. }))), "{opened:?}");
}

#[tokio::test]
async fn a_place_that_holds_anything_is_refused_and_named() {
    let source = sample(&MemoryDriver::new()).await;
    let place = vault(MemoryDriver::new());
    backup(&source, &place).await;
    let store = MemoryDriver::new();
    let key = Key::new("restored/elsewhere/notes").unwrap();
    store.put(&key, "mine".into(), Condition::IfAbsent).await.unwrap();
    let error = restore_to(store.clone(), &place, None).await.unwrap_err();
    assert!(matches!(&error, Error::NotEmpty { object, .. } if object == key.as_str()), "{error}");
    let left = store.list("", None).await.unwrap().objects;
    assert_eq!(left.len(), 1, "nothing was written: {left:?}");
    // Inside another database.
    let store = MemoryDriver::new();
    on(store.clone()).prefix("restored").open().await.unwrap();
    let error = restore_to(store, &place, None).await.unwrap_err();
    assert!(matches!(error, Error::Log(LogError::Nested { .. })), "{error}");
    let error = restore_to(MemoryDriver::new(), &vault(MemoryDriver::new()), None).await.unwrap_err();
    assert!(error.to_string().contains("there is none"), "{error}");
}

#[tokio::test]
async fn a_place_serves_one_life_of_one_database() {
    let (store, place) = (MemoryDriver::new(), vault(MemoryDriver::new()));
    let db = sample(&store).await;
    let refused = async |db: &Database, to: &Place, reason: &str| {
        let error = db.backup(to, |_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Backup { .. }) && error.to_string().contains(reason), "{error}");
    };
    refused(&db, &Place::new(Arc::new(store.clone()), "db"), "the place of the database itself").await;
    backup(&db, &place).await;
    refused(&open(MemoryDriver::new()).await, &place, "another database").await;
    let restored = restore(&place, None).await;
    refused(&restored, &place, "another life").await;
    backup(&restored, &vault(MemoryDriver::new())).await;
    // A copy of the bucket that goes on by itself.
    let copied = MemoryDriver::new();
    for object in store.list("", None).await.unwrap().objects {
        let body = store.get(&object.key).await.unwrap().body;
        copied.put(&object.key, body, Condition::IfAbsent).await.unwrap();
    }
    let copy = open(copied).await;
    for id in 0..5 {
        copy.collection("things").put(&json!({"id": id, "n": "copy"})).await.unwrap();
        db.collection("things").put(&json!({"id": id, "n": "original"})).await.unwrap();
    }
    backup(&db, &place).await;
    refused(&copy, &place, "another copy").await;
}

#[tokio::test]
async fn a_restored_database_has_a_life_of_its_own() {
    let db = sample(&MemoryDriver::new()).await;
    let things = db.collection("things");
    let mut load = things.resumable_load("import", Duplicates::Replace).await.unwrap();
    load.add_value(&json!({"id": 5_000})).await.unwrap();
    load.save("1").await.unwrap();
    let cursor: Cursor = {
        let mut feed = std::pin::pin!(db.watch(Since::Beginning).await.unwrap());
        feed.next().await.unwrap().cursor
    };
    let place = vault(MemoryDriver::new());
    backup(&db, &place).await;
    let one = restore(&place, None).await;
    let error = one.watch(cursor.into()).await.err().unwrap();
    assert!(matches!(error, Error::InvalidCursor { .. }), "{error}");
    // It would need runs that are not part of the moment.
    let load = one.collection("things").resumable_load("import", Duplicates::Replace).await.unwrap();
    assert!(load.saved().is_none());
    load.finish().await.unwrap();
}

#[tokio::test]
async fn whatever_is_damaged_is_found_and_named() {
    let source = sample(&MemoryDriver::new()).await;
    let store = MemoryDriver::new();
    let place = vault(store.clone());
    let backups = Backups::at(&place).unwrap();
    backup(&source, &place).await;
    let keys: Vec<Key> = store.list("", None).await.unwrap().objects.into_iter().map(|object| object.key).collect();
    for kind in ["/objects/log-", "/objects/manifest-", "/objects/run-", "/objects/blob-", "/backup/"] {
        assert!(keys.iter().any(|key| key.as_str().contains(kind)), "{kind}: {keys:?}");
    }
    for key in keys {
        let original = store.get(&key).await.unwrap().body;
        let mut damaged = original.to_vec();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        store.put(&key, damaged.into(), Condition::Always).await.unwrap();
        let named = |text: String| assert!(text.contains(key.as_str()), "{key}: {text}");
        named(backups.verify(|_| ()).await.unwrap().into_iter().map(|finding| finding.what).collect());
        let target = MemoryDriver::new();
        named(restore_to(target.clone(), &place, None).await.unwrap_err().to_string());
        store.delete(&key).await.unwrap();
        if key.as_str().contains("/objects/") {
            named(backups.verify(|_| ()).await.unwrap().into_iter().map(|finding| finding.what).collect());
            named(restore_to(target.clone(), &place, None).await.unwrap_err().to_string());
            // The next backup mends what the source still has.
            backup(&source, &place).await;
            assert_eq!(backups.verify(|_| ()).await.unwrap(), []);
        }
        store.put(&key, original, Condition::Always).await.unwrap();
    }
    restore(&place, None).await;
}

/// A store whose first write of a run waits until it is let go.
fn waiting(
    store: &MemoryDriver,
) -> (FaultDriver, tokio::sync::mpsc::UnboundedReceiver<()>, std::sync::mpsc::Sender<()>) {
    let (arrived, arrivals) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, told) = std::sync::mpsc::channel();
    let (told, is_first) = (parking_lot::Mutex::new(told), AtomicBool::new(true));
    let driver = FaultDriver::new(store.clone(), move |operation, key| {
        if operation == Operation::Put && key.contains("run-") && is_first.swap(false, Ordering::Relaxed) {
            arrived.send(()).unwrap();
            told.lock().recv_timeout(Duration::from_secs(60)).unwrap();
        }
        Fault::None
    });
    (driver, arrivals, go_on)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_remove_meanwhile_does_not_break_it() {
    for read_only in [false, true] {
        let (store, clock) = (MemoryDriver::new(), Skipping::default());
        let db = on_clock(&store, &clock, Some(Duration::ZERO)).await;
        fill(&db, 0..60, 1).await;
        db.checkpoint().await.unwrap();
        fill(&db, 30..90, 2).await;
        let blob = db.blobs().upload("kept").await.unwrap();
        db.collection("things").put(&json!({"id": 1_000, "blob": blob.to_string()})).await.unwrap();
        db.checkpoint().await.unwrap();
        fill(&db, 0..5, 3).await;
        let expected = present(&db).await;
        let (target, mut arrivals, go_on) = waiting(&MemoryDriver::new());
        let place = vault(target);
        let reader = on(store.clone()).environment(clock.clone()).read_only(read_only).open().await.unwrap();
        let (to, from) = (place.clone(), reader.clone());
        let copying = async move { backup(&from, &to).await };
        let meanwhile = async {
            arrivals.recv().await.unwrap();
            for round in 0..3 {
                fill(&db, 0..90, 10 + round).await;
                db.collection("things").delete(&json!(1_000)).await.unwrap();
                db.compact().await.unwrap();
                clock.skip(3 * GRACE_S);
                db.collect_garbage().await.unwrap();
                db.sweep().await.unwrap();
            }
            go_on.send(()).unwrap();
        };
        let copying = in_task(copying);
        meanwhile.await;
        let report = copying.await.unwrap();
        let restored = restore(&place, None).await;
        match read_only {
            false => assert_eq!(present(&restored).await, expected, "its moment was pinned"),
            true => assert_same(&db, report.seq, &restored).await,
        }
        let names = db.snapshots().await.unwrap();
        assert_eq!(names, [], "nothing is pinned any more");
    }
}

#[tokio::test]
async fn a_pin_that_a_killed_backup_left_is_dropped_by_the_next_one() {
    let db = sample(&MemoryDriver::new()).await;
    let store = MemoryDriver::new();
    let hanging = FaultDriver::new(store.clone(), |operation, _| match operation {
        Operation::Put => Fault::Hang,
        _ => Fault::None,
    });
    let hanging = vault(hanging);
    let killed = db.backup(&hanging, |_| ());
    let later = TokioEnvironment::new().sleep(Duration::from_millis(300));
    assert!(matches!(future::select(std::pin::pin!(killed), later).await, Either::Right(_)));
    let names: Vec<String> = db.snapshots().await.unwrap().into_iter().map(|named| named.name).collect();
    assert!(names.len() == 2 && names[0].starts_with("backup to memory"), "{names:?}");
    backup(&db, &vault(store)).await;
    assert_eq!(db.snapshots().await.unwrap().len(), 1);
}

/// A store without conditions: each session writes records of names of its own.
#[derive(Clone, Debug)]
struct NoConditions(MemoryDriver);

#[async_trait::async_trait]
impl Driver for NoConditions {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        self.0.get(key).await
    }
    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, DriverError> {
        if condition == Condition::Always {
            return self.0.put(key, body, condition).await;
        }
        Err(DriverError::new(ErrorKind::Unsupported, Operation::Put, key.as_str(), "this store has no conditions"))
    }
    async fn delete(&self, key: &Key) -> Result<(), DriverError> {
        self.0.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> Result<Page, DriverError> {
        self.0.list(prefix, next).await
    }
}

#[tokio::test]
async fn a_store_without_conditions_is_backed_up_and_takes_backups() {
    let store = NoConditions(MemoryDriver::new());
    let mut moments = Vec::new();
    let place = vault(NoConditions(MemoryDriver::new()));
    for session in 0..3 {
        let db = open(store.clone()).await;
        assert_eq!(db.stats().unwrap().slot_names, SlotNames::PerSession);
        fill(&db, session * 10..session * 10 + 20, session).await;
        moments.push((backup(&db, &place).await.seq, present(&db).await));
        if session > 0 {
            db.checkpoint().await.unwrap();
        }
        db.close().await.unwrap();
    }
    for (seq, expected) in moments {
        let to = NoConditions(MemoryDriver::new());
        let (restored, _) = restore_to(to, &place, Some(seq.into())).await.unwrap();
        assert_eq!(present(&restored).await, expected);
        fill(&restored, 0..5, 9).await;
        assert!(restored.verify(|_| ()).await.unwrap().is_clean());
    }
}

/// A store of which all objects are long: they are copied in pieces.
#[tokio::test]
async fn long_objects_are_copied_in_pieces() {
    let db = open(MemoryDriver::new()).await;
    let content: Vec<u8> = (0..20_000_000_u32).map(|at| (at ^ (at >> 9)) as u8).collect();
    let blob = db.blobs().upload(content.clone()).await.unwrap();
    db.collection("things").put(&json!({"id": 1, "blob": blob.to_string()})).await.unwrap();
    let store = MemoryDriver::new();
    let (place, backups) = (vault(store.clone()), Backups::at(&vault(store.clone())).unwrap());
    let report = backup(&db, &place).await;
    assert!(report.bytes > 20_000_000, "{report:?}");
    let (restored, _) = restore_to(MemoryDriver::new(), &place, None).await.unwrap();
    assert_eq!(restored.blobs().open(&blob).unwrap().bytes().await.unwrap(), content);
    let keys: Vec<Key> = store.list("", None).await.unwrap().objects.into_iter().map(|object| object.key).collect();
    let key = keys.iter().find(|key| key.as_str().contains("blob-")).unwrap();
    let mut damaged = store.get(key).await.unwrap().body.to_vec();
    damaged[17_000_000] ^= 1;
    store.put(key, damaged.into(), Condition::Always).await.unwrap();
    let target = MemoryDriver::new();
    let error = restore_to(target.clone(), &place, None).await.unwrap_err().to_string();
    assert!(error.contains(key.as_str()) && error.contains("damaged"), "{error}");
    let left = target.list("", None).await.unwrap().objects;
    assert!(!left.iter().any(|object| object.key.as_str().contains("blob/")), "{left:?}");
    assert_eq!(backups.verify(|_| ()).await.unwrap().len(), 1);
}
