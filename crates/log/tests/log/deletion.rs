//! What checkpoints make superfluous is deleted when nobody can need it any more, and nothing else ever is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb_driver::{
    Capabilities, Condition, Driver, ETag, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, MeteredDriver, Object,
    Operation, Page,
};
use bucketdb_env::{Environment, TokioEnvironment, WallTime};
use bucketdb_log::{
    CheckpointContent, CheckpointError, CommitError, Freshness, GarbageReport, Log, LogError, ObjectKind, Seq, Stretch,
    TailLimits,
};
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::liar::{Lie, liar};
use crate::support::{
    Claims, DEADLINE, Proposal, SeededEnvironment, checkpoint, delete_records, fresh_state, keys, open_in, read,
    record_key, set, sleep,
};

const GRACE: Duration = Duration::from_secs(3600);

async fn node(driver: impl Driver, seed: u64) -> Log<Claims> {
    open_in(SeededEnvironment::new(seed), driver, |options| options.grace = Some(GRACE)).await.unwrap()
}

async fn write(log: &Log<Claims>, count: usize) {
    for round in 0..count {
        set(log, &format!("key {}", round % 7), &round.to_string()).await.unwrap();
    }
}

fn state(log: &Log<Claims>) -> Claims {
    log.read(|claims, _| claims.clone()).unwrap()
}

/// Writes an object that a later record may bring.
async fn object(store: &MemoryDriver, log: &Log<Claims>, kind: ObjectKind) -> String {
    let name = log.new_name(kind);
    store.put(&key(&name), "content".into(), Condition::Always).await.unwrap();
    name
}

fn key(name: &str) -> Key {
    Key::new(format!("db/{name}")).unwrap()
}

async fn exists(store: &MemoryDriver, name: &str) -> bool {
    store.get(&key(name)).await.is_ok()
}

/// A checkpoint that brings one object instead of those, and gives up everything before it.
async fn replace(store: &MemoryDriver, log: &Log<Claims>, obsolete: &[String]) -> String {
    let run = object(store, log, ObjectKind::Run).await;
    let mut obsolete = obsolete.to_vec();
    obsolete.extend(log.last_checkpoint().map(|checkpoint| checkpoint.manifest));
    let made = checkpoint(log, |content| {
        content.brings = vec![run.clone()];
        content.obsolete = obsolete;
        content.floor = Seq(u64::MAX);
    });
    made.await.unwrap();
    run
}

fn metered(store: &MemoryDriver) -> MeteredDriver {
    MeteredDriver::new(store.clone(), TokioEnvironment::new())
}

#[tokio::test(start_paused = true)]
pub(crate) async fn what_is_superfluous_goes_after_the_grace_and_not_before() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let log = node(meter.clone(), 1).await;
    write(&log, 10).await;
    let first = replace(&store, &log, &[]).await;
    write(&log, 5).await;
    let before = log.last_checkpoint().unwrap();
    sleep(Duration::from_secs(60)).await;
    let second = replace(&store, &log, std::slice::from_ref(&first)).await;
    let newest = log.last_checkpoint().unwrap();
    assert_eq!(log.floor(), newest.covers.next());

    sleep(GRACE - Duration::from_secs(61)).await;
    let used = meter.usage();
    let report = log.collect_garbage().await.unwrap();
    assert_eq!((report.objects, report.records, (meter.usage() - used).total_requests()), (0, 0, 0));
    assert_eq!(report.next_due.map(|due| due.as_secs()), Some(1));

    // The first checkpoint gave up the records before it.
    sleep(report.next_due.unwrap()).await;
    let report = log.collect_garbage().await.unwrap();
    assert_eq!((report.objects, report.records), (0, before.covers.0));
    assert_eq!(report.next_due.map(|due| due.as_secs()), Some(60));
    assert!(exists(&store, &first).await && exists(&store, &before.manifest).await);
    assert_eq!(fresh_state(&store).await, state(&log));

    // The second one also its run and its manifest.
    sleep(Duration::from_secs(60)).await;
    let report = log.collect_garbage().await.unwrap();
    let records = newest.covers.0 - before.covers.0;
    assert_eq!(report, GarbageReport { objects: 2, records, next_due: None });
    assert!(!exists(&store, &first).await && !exists(&store, &before.manifest).await);
    assert!(exists(&store, &second).await && exists(&store, &newest.manifest).await);
    let left: Vec<String> = keys(&store).await;
    let expected: Vec<String> = [
        "db/head".to_owned(),
        record_key(newest.seq.0).to_string(),
        key(&newest.manifest).to_string(),
        key(&second).to_string(),
    ]
    .into();
    assert_eq!(left, expected);
    assert_eq!(fresh_state(&store).await, state(&log));

    // Nothing is deleted twice, not even by others once there is another checkpoint.
    let used = meter.usage();
    assert_eq!(log.collect_garbage().await.unwrap(), GarbageReport::default());
    assert_eq!((meter.usage() - used).total_requests(), 0);
    replace(&store, &log, &[second]).await;
    let other_meter = metered(&store);
    let other = node(other_meter.clone(), 2).await;
    sleep(GRACE + Duration::from_secs(1)).await;
    let used = other_meter.usage();
    let report = other.collect_garbage().await.unwrap();
    assert_eq!((report.objects, report.records), (2, 1));
    assert_eq!((other_meter.usage() - used).requests(Operation::Delete), 2, "a batch of objects and one of records");
    assert_eq!(fresh_state(&store).await, state(&log));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_spared_stay_and_go_a_grace_after_they_are_not() {
    let store = MemoryDriver::new();
    let log = node(store.clone(), 1).await;
    write(&log, 10).await;
    let spared = Stretch { first: Seq(4), last: Seq(6) };
    let cut = async |spared: &[Stretch]| {
        let obsolete = log.last_checkpoint().map(|checkpoint| checkpoint.manifest);
        let made = checkpoint(&log, |content| {
            (content.floor, content.spared) = (Seq(u64::MAX), spared.to_vec());
            content.obsolete.extend(obsolete);
        });
        made.await.unwrap();
    };
    let records = async || -> Vec<u64> {
        let keys = keys(&store).await;
        (1..=log.position().0).filter(|seq| keys.contains(&record_key(*seq).to_string())).collect()
    };
    cut(&[spared]).await;
    sleep(GRACE + Duration::from_secs(1)).await;
    assert_eq!(log.collect_garbage().await.unwrap().records, 8);
    assert_eq!(records().await, [4, 5, 6, 12]);
    // By whoever opens now, and what lies beside is given up.
    let other = node(store.clone(), 2).await;
    assert_eq!(fresh_state(&store).await, state(&log));
    for seq in 1..=11 {
        let record = other.record(Seq(seq)).await;
        match (4..=6).contains(&seq) {
            true => assert_eq!(record.unwrap().unwrap().seq, Seq(seq)),
            false => assert!(matches!(record, Err(LogError::BelowFloor { .. })), "{seq}"),
        }
    }
    write(&log, 3).await;
    cut(&[Stretch { first: Seq(6), last: Seq(6) }, Stretch { first: Seq(13), last: Seq(13) }]).await;
    sleep(GRACE - Duration::from_secs(1)).await;
    log.collect_garbage().await.unwrap();
    assert_eq!(records().await, [4, 5, 6, 12, 13, 14, 15, 16], "whoever reads one has a grace for it");
    assert!(matches!(log.record(Seq(5)).await, Err(LogError::BelowFloor { .. })));
    // Another checkpoint spares nothing: what the one before it still spared has its own grace.
    cut(&[]).await;
    sleep(Duration::from_secs(2)).await;
    log.collect_garbage().await.unwrap();
    assert_eq!(records().await, [6, 13, 16, 17]);
    sleep(GRACE).await;
    log.collect_garbage().await.unwrap();
    assert_eq!(records().await, [17]);
    assert_eq!(fresh_state(&store).await, state(&log));
}

#[tokio::test(start_paused = true)]
pub(crate) async fn only_what_lies_below_the_floor_goes() {
    let store = MemoryDriver::new();
    let log = node(store.clone(), 1).await;
    write(&log, 10).await;
    checkpoint(&log, |content| content.floor = Seq(5)).await.unwrap();
    sleep(GRACE + Duration::from_secs(1)).await;
    assert_eq!(log.collect_garbage().await.unwrap().records, 4);
    for seq in 1..=log.position().0 {
        assert_eq!(store.get(&record_key(seq)).await.is_ok(), seq >= 5, "{seq}");
        match log.record(Seq(seq)).await {
            Ok(record) => assert!(seq >= 5 && record.unwrap().seq == Seq(seq)),
            Err(error) => assert!(seq < 5 && matches!(error, LogError::BelowFloor { .. }), "{error}"),
        }
    }
    // A floor never falls.
    checkpoint(&log, |content| content.floor = Seq(2)).await.unwrap();
    assert_eq!(log.floor(), Seq(5));
    assert_eq!(log.collect_garbage().await.unwrap(), GarbageReport::default());
    assert_eq!(fresh_state(&store).await, state(&log));
}

#[tokio::test(start_paused = true)]
async fn who_opens_later_waits_for_a_grace_of_its_own_unless_the_store_tells_the_time() {
    for tells in [false, true] {
        let store = MemoryDriver::new();
        let told = Told { store: store.clone(), clock: SeededEnvironment::new(9), tells };
        let log = node(told.clone(), 1).await;
        write(&log, 5).await;
        let first = replace(&store, &log, &[]).await;
        write(&log, 5).await;
        let second = replace(&store, &log, std::slice::from_ref(&first)).await;
        // The third one dates the second.
        let third = replace(&store, &log, std::slice::from_ref(&second)).await;
        drop(log);
        sleep(GRACE + Duration::from_secs(1)).await;
        let later = node(told.clone(), 2).await;
        let report = later.collect_garbage().await.unwrap();
        assert_eq!(report.objects, if tells { 2 } else { 0 }, "the store tells the time: {tells}");
        assert_eq!(exists(&store, &first).await, !tells);
        assert!(exists(&store, &second).await, "nobody knows how long ago that was");
        sleep(GRACE).await;
        later.collect_garbage().await.unwrap();
        assert!(!exists(&store, &first).await && !exists(&store, &second).await && exists(&store, &third).await);
        assert_eq!(fresh_state(&store).await, state(&later));
    }
}

/// A store that tells its time, or does not.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) store: MemoryDriver,
    pub(crate) clock: SeededEnvironment,
    pub(crate) tells: bool,
}

#[async_trait]
impl Driver for Told {
    async fn get(&self, key: &Key) -> bucketdb_driver::Result<Object> {
        self.store.get(key).await
    }
    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> bucketdb_driver::Result<ETag> {
        self.store.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
        self.store.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> bucketdb_driver::Result<Page> {
        self.store.list(prefix, next).await
    }
    async fn server_time(&self) -> bucketdb_driver::Result<Option<SystemTime>> {
        let elapsed = self.clock.monotonic();
        Ok(self.tells.then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + elapsed))
    }
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new();
        capabilities.server_time = self.tells;
        capabilities
    }
}

/// A wall clock that is ten days ahead.
#[derive(Debug)]
struct Ahead(SeededEnvironment);

impl Environment for Ahead {
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    fn wall_clock(&self) -> WallTime {
        WallTime(self.0.wall_clock().0 + 10 * 24 * 3_600_000)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
    fn fill_random(&self, buffer: &mut [u8]) {
        self.0.fill_random(buffer);
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
}

#[tokio::test(start_paused = true)]
pub(crate) async fn a_wrong_clock_deletes_nothing_early() {
    let store = MemoryDriver::new();
    let log = node(store.clone(), 1).await;
    write(&log, 5).await;
    let first = replace(&store, &log, &[]).await;
    replace(&store, &log, std::slice::from_ref(&first)).await;
    let ahead = open_in(Ahead(SeededEnvironment::new(2)), store.clone(), |_| {}).await.unwrap();
    sleep(GRACE - Duration::from_secs(1)).await;
    assert_eq!(ahead.collect_garbage().await.unwrap().objects, 0);
    assert!(exists(&store, &first).await);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(ahead.collect_garbage().await.unwrap().objects, 2);
}

#[tokio::test(start_paused = true)]
async fn collecting_may_stop_at_every_deletion_and_go_on_elsewhere() {
    let mut deletions = 0;
    loop {
        let store = MemoryDriver::new();
        let left = Arc::new(AtomicI64::new(deletions));
        let faulty = FaultDriver::new(store.clone(), move |operation, key| match operation {
            Operation::Delete if !key.contains("probe/") && left.fetch_sub(1, Ordering::SeqCst) <= 0 => {
                Fault::Before(ErrorKind::Denied)
            }
            _ => Fault::None,
        });
        let log = node(faulty, 1).await;
        write(&log, 6).await;
        let first = replace(&store, &log, &[]).await;
        write(&log, 3).await;
        replace(&store, &log, &[first]).await;
        write(&log, 2).await;
        let other = node(store.clone(), 2).await;
        sleep(GRACE + Duration::from_secs(1)).await;
        let is_done = log.collect_garbage().await.is_ok();
        // Whatever is left can be opened, by `head` and without it.
        assert_eq!(fresh_state(&store).await, state(&log), "after {deletions} deletions");
        let head = store.get(&key("head")).await.unwrap().body;
        store.delete(&key("head")).await.unwrap();
        assert_eq!(fresh_state(&store).await, state(&log), "after {deletions} deletions");
        store.put(&key("head"), head, Condition::Always).await.unwrap();
        other.collect_garbage().await.unwrap();
        assert_eq!(keys(&store).await.len(), 3 + 3, "after {deletions} deletions");
        assert_eq!(fresh_state(&store).await, state(&log));
        if is_done {
            break;
        }
        deletions += 1;
    }
    assert!(deletions > 10);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_head_does_not_name_yet_lets_nothing_be_deleted() {
    let store = MemoryDriver::new();
    let is_dead = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let dead = is_dead.clone();
    let faulty = FaultDriver::new(store.clone(), move |operation, key| match operation {
        Operation::Put if key == "db/head" && dead.load(Ordering::SeqCst) => Fault::Before(ErrorKind::Denied),
        _ => Fault::None,
    });
    let log = node(faulty, 1).await;
    write(&log, 6).await;
    let first = replace(&store, &log, &[]).await;
    is_dead.store(true, Ordering::SeqCst);
    write(&log, 3).await;
    replace(&store, &log, std::slice::from_ref(&first)).await;
    sleep(GRACE * 3).await;
    assert!(log.collect_garbage().await.is_err(), "head cannot be replaced");
    assert!(exists(&store, &first).await);
    // Somebody else replaces it, and only then time begins to count.
    let other = node(store.clone(), 2).await;
    let report = other.collect_garbage().await.unwrap();
    assert_eq!(report.objects, 0);
    sleep(GRACE + Duration::from_secs(1)).await;
    assert_eq!(other.collect_garbage().await.unwrap().objects, 2);
    assert_eq!(fresh_state(&store).await, state(&other));
}

#[tokio::test(start_paused = true)]
async fn garbage_goes_where_there_is_no_head_too() {
    let driver = liar(&MemoryDriver::new(), Lie::IgnoresCreateOnly);
    let log = node(driver.clone(), 1).await;
    write(&log, 6).await;
    let first = replace(&driver.store, &log, &[]).await;
    write(&log, 3).await;
    replace(&driver.store, &log, std::slice::from_ref(&first)).await;
    write(&log, 2).await;
    sleep(GRACE - Duration::from_secs(1)).await;
    assert_eq!(log.collect_garbage().await.unwrap().objects, 0);
    sleep(Duration::from_secs(2)).await;
    let report = log.collect_garbage().await.unwrap();
    assert_eq!((report.objects, report.records), (2, 11));
    let again = node(driver.clone(), 2).await;
    assert_eq!((state(&again), again.position()), (state(&log), log.position()));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_removes_orphans_and_nothing_that_is_or_may_be_needed() {
    let store = MemoryDriver::new();
    let log = node(store.clone(), 1).await;
    write(&log, 4).await;
    let orphan = object(&store, &log, ObjectKind::Run).await;
    let orphaned_manifest = object(&store, &log, ObjectKind::Manifest).await;
    let of_machine = object(&store, &log, ObjectKind::Blob).await;
    let first = replace(&store, &log, &[]).await;
    let first_manifest = log.last_checkpoint().unwrap().manifest;
    let ingested = object(&store, &log, ObjectKind::Run).await;
    let proposal = Proposal::Ingest("ingested".to_owned(), vec![ingested.clone()], None);
    log.commit(proposal, Freshness::Local, DEADLINE).await.unwrap();
    let second = replace(&store, &log, std::slice::from_ref(&first)).await;
    let foreign = ["run/notes.txt", "run/00000000000000000001-x", "else/00000000000000000001-x", "probe/x"];
    for name in foreign {
        store.put(&key(name), "x".into(), Condition::Always).await.unwrap();
    }
    let sealed = log.new_name(ObjectKind::Run);
    let state_needs = [of_machine.clone(), second.clone(), ingested.clone()];
    let needs = |_: &Claims, name: &str| state_needs.iter().any(|needed| needed == name);
    let report = log.sweep(needs, DEADLINE).await.unwrap();
    assert_eq!(report.removed, 2, "{report:?}");
    assert_eq!(report.below, log.position());
    assert!(!exists(&store, &orphan).await && !exists(&store, &orphaned_manifest).await);
    for name in [&of_machine, &first, &first_manifest, &second, &ingested, &log.last_checkpoint().unwrap().manifest] {
        assert!(exists(&store, name).await, "{name}");
    }
    for name in foreign {
        assert!(exists(&store, name).await, "{name} is not ours");
    }
    // Named before the sweep, written after it: too late.
    let outcome = checkpoint(&log, |content| content.brings = vec![sealed.clone()]).await;
    assert!(matches!(outcome, Err(CheckpointError::Swept { object }) if object.ends_with(&sealed)));
    let proposal = Proposal::Ingest("late".to_owned(), vec![sealed], None);
    let outcome = log.commit(proposal, Freshness::Local, DEADLINE).await;
    assert!(matches!(outcome, Err(CommitError::Log(LogError::Swept { .. }))), "{outcome:?}");
    // What comes right behind it is not measured by what it would have done.
    let late = Proposal::Ingest("claimed".to_owned(), vec![orphan.clone()], None);
    let (late, claimed) = tokio::join!(
        log.commit(late, Freshness::Local, DEADLINE),
        log.commit(Proposal::Claim("claimed".to_owned(), "1".to_owned()), Freshness::Local, DEADLINE),
    );
    assert!(late.is_err() && claimed.is_ok(), "{late:?}, {claimed:?}");
    let anew = object(&store, &log, ObjectKind::Run).await;
    checkpoint(&log, |content| content.brings = vec![anew.clone()]).await.unwrap();
    assert_eq!(fresh_state(&store).await, state(&log));
}

#[tokio::test(start_paused = true)]
pub(crate) async fn a_checkpoint_that_is_late_by_a_sweep_is_invalid() {
    let store = MemoryDriver::new();
    let (slow, quick) = (node(store.clone(), 1).await, node(store.clone(), 2).await);
    write(&slow, 4).await;
    let run = object(&store, &slow, ObjectKind::Run).await;
    let captured = slow.capture(|claims, _| claims.save()).unwrap();
    quick.sweep(|_, _| false, DEADLINE).await.unwrap();
    assert!(!exists(&store, &run).await);
    let content = CheckpointContent { saved: captured.value.clone(), brings: vec![run], ..Default::default() };
    // It does not know of the sweep before it has tried to write its record.
    let outcome = slow.checkpoint(captured, content, DEADLINE).await;
    assert!(matches!(outcome, Err(CheckpointError::Swept { .. })), "{outcome:?}");
    // Its manifest is an orphan.
    let report = quick.sweep(|_, _| false, DEADLINE).await.unwrap();
    assert_eq!(report.removed, 1);
    assert_eq!(fresh_state(&store).await, state(&slow));
}

#[tokio::test(start_paused = true)]
async fn an_ingest_is_spared_while_it_lasts() {
    let store = MemoryDriver::new();
    let log = node(store.clone(), 1).await;
    let orphan = object(&store, &log, ObjectKind::Run).await;
    let ticket = log.begin_ingest(DEADLINE).await.unwrap();
    let run = object(&store, &log, ObjectKind::Run).await;
    write(&log, 5).await;
    sleep(GRACE * 9).await;
    let report = node(store.clone(), 2).await.sweep(|_, _| false, DEADLINE).await.unwrap();
    assert_eq!((report.below, report.removed), (ticket.seq, 1));
    assert!(exists(&store, &run).await && !exists(&store, &orphan).await);
    let proposal = Proposal::Ingest("done".to_owned(), vec![run.clone()], Some(ticket.seq));
    log.commit(proposal, Freshness::Local, DEADLINE).await.unwrap();
    assert_eq!(fresh_state(&store).await.0["done"], "done");
    // It ended: the next sweep goes further, and spares what it brought.
    let report = log.sweep(|_, _| false, DEADLINE).await.unwrap();
    assert_eq!((report.below, report.removed), (log.position(), 0));

    // One that was given up or takes for ever holds up nothing.
    let given_up = log.begin_ingest(DEADLINE).await.unwrap();
    let for_ever = log.begin_ingest(DEADLINE).await.unwrap();
    let lost = object(&store, &log, ObjectKind::Run).await;
    log.end_ingest(given_up, DEADLINE).await.unwrap();
    assert_eq!(log.sweep(|_, _| false, DEADLINE).await.unwrap().below, for_ever.seq);
    sleep(GRACE * 11).await;
    write(&log, 1).await;
    let report = log.sweep(|_, _| false, DEADLINE).await.unwrap();
    assert_eq!((report.below, report.removed), (log.position(), 1));
    let proposal = Proposal::Ingest("late".to_owned(), vec![lost], Some(for_ever.seq));
    let outcome = log.commit(proposal, Freshness::Local, DEADLINE).await;
    assert!(matches!(outcome, Err(CommitError::Log(LogError::Swept { .. }))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn an_ingest_goes_on_from_what_was_saved_and_only_one_goes_on_with_it() {
    let store = MemoryDriver::new();
    let (first, second) = (node(store.clone(), 1).await, node(store.clone(), 2).await);
    let begun = first.save_ingest("load", None, Bytes::new(), DEADLINE).await.unwrap();
    let run = object(&store, &first, ObjectKind::Run).await;
    let mut ticket = begun;
    for _ in 0..3 {
        // Each time, it is spared for ten graces more.
        sleep(GRACE * 8).await;
        ticket = first.save_ingest("load", Some(ticket), Bytes::from(run.clone()), DEADLINE).await.unwrap();
        assert_eq!(second.sweep(|_, _| false, DEADLINE).await.unwrap().below, begun.seq);
    }
    assert!(exists(&store, &run).await);

    // The first is killed, or so it seems, and its state is read from a checkpoint.
    replace(&store, &second, &[]).await;
    second.refresh(Freshness::Strict).await.unwrap();
    assert_eq!(second.saved_ingest("another"), None);
    let saved = node(store.clone(), 3).await.saved_ingest("load").unwrap();
    assert_eq!((saved.ticket, &saved.progress), (ticket, &Bytes::from(run.clone())));
    assert_eq!(second.saved_ingest("load"), Some(saved.clone()));
    let taken = second.save_ingest("load", Some(saved.ticket), saved.progress, DEADLINE).await.unwrap();
    let ended =
        |outcome: Result<(), LogError>| assert!(matches!(outcome, Err(LogError::IngestEnded { .. })), "{outcome:?}");
    ended(first.save_ingest("load", Some(ticket), Bytes::new(), DEADLINE).await.map(drop));
    ended(first.end_ingest(ticket, DEADLINE).await);
    let proposal = |seq| Proposal::Ingest("done".to_owned(), vec![run.clone()], Some(seq));
    match first.commit(proposal(ticket.seq), Freshness::Local, DEADLINE).await {
        Err(CommitError::Log(error)) => ended(Err(error)),
        outcome => panic!("{outcome:?}"),
    }
    second.commit(proposal(taken.seq), Freshness::Local, DEADLINE).await.unwrap();
    assert_eq!(second.saved_ingest("load"), None);
    assert_eq!(second.sweep(|_, _| false, DEADLINE).await.unwrap().below, second.position());
    assert_eq!(fresh_state(&store).await, state(&second));
    assert!(exists(&store, &run).await);

    // Of two that were begun by one name at the same time, one lasts.
    let begun = first.save_ingest("twice", None, Bytes::new(), DEADLINE).await.unwrap();
    let again = second.save_ingest("twice", None, Bytes::new(), DEADLINE).await.unwrap();
    ended(first.save_ingest("twice", Some(begun), Bytes::new(), DEADLINE).await.map(drop));
    second.end_ingest(again, DEADLINE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_while_records_were_removed_goes_on_from_the_checkpoint() {
    for with_head in [true, false] {
        let store = MemoryDriver::new();
        let reader = node(store.clone(), 1).await;
        let writer = node(store.clone(), 2).await;
        let maintainer = node(store.clone(), 3).await;
        set(&writer, "mine", "1").await.unwrap();
        write(&maintainer, 20).await;
        replace(&store, &maintainer, &[]).await;
        sleep(GRACE + Duration::from_secs(1)).await;
        assert!(maintainer.collect_garbage().await.unwrap().records > 20);
        write(&maintainer, 3).await;
        if !with_head {
            store.delete(&key("head")).await.unwrap();
        }
        assert_eq!(read(&reader, "key 1").await.unwrap(), read(&maintainer, "key 1").await.unwrap());
        assert_eq!((reader.position(), state(&reader)), (maintainer.position(), state(&maintainer)));
        set(&writer, "mine", "2").await.unwrap();
        set(&reader, "other", "2").await.unwrap();
        assert_eq!(read(&maintainer, "mine").await.unwrap().as_deref(), Some("2"));
        assert_eq!(fresh_state(&store).await, state(&maintainer));
    }
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_goes_on_where_each_session_has_names_of_its_own() {
    let driver = liar(&MemoryDriver::new(), Lie::IgnoresCreateOnly);
    let reader = node(driver.clone(), 1).await;
    let writer = node(driver.clone(), 2).await;
    write(&writer, 8).await;
    replace(&driver.store, &writer, &[]).await;
    sleep(GRACE + Duration::from_secs(1)).await;
    assert_eq!(writer.collect_garbage().await.unwrap().records, 9);
    write(&writer, 2).await;
    assert_eq!(read(&reader, "key 1").await.unwrap(), read(&writer, "key 1").await.unwrap());
    assert_eq!((reader.position(), state(&reader)), (writer.position(), state(&writer)));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_to_go_on_from_it_falls_behind() {
    let store = MemoryDriver::new();
    let reader = node(store.clone(), 1).await;
    let writer = node(store.clone(), 2).await;
    write(&writer, 5).await;
    delete_records(&store, 1..4).await;
    sleep(GRACE).await;
    let error = read(&reader, "key 1").await.unwrap_err();
    assert!(matches!(error, LogError::FellBehind { position: Seq(1), first: Seq(4) }), "{error}");
}

#[tokio::test(start_paused = true)]
pub(crate) async fn over_the_hard_limit_only_what_helps_is_written() {
    let store = MemoryDriver::new();
    let limits = TailLimits { soft_records: 4, hard_records: 10, ..TailLimits::default() };
    let log = open_in(SeededEnvironment::new(1), store.clone(), |options| options.tail_limits = Some(limits));
    let log = log.await.unwrap();
    let other = node(store.clone(), 2).await;
    write(&log, 2).await;
    assert!(!log.tail().is_over_soft(&log.options().tail_limits));
    write(&log, 7).await;
    let tail = log.tail();
    assert!(tail.is_over_soft(&limits) && tail.is_over_hard(&limits) && tail.records == 10, "{tail:?}");
    let refused = |outcome: Result<_, CommitError<_>>| match outcome {
        Err(CommitError::Log(error @ LogError::TailFull { records: 10, .. })) => assert!(error.is_retryable()),
        outcome => panic!("{outcome:?}"),
    };
    refused(set(&log, "a", "1").await);
    let schema = Proposal::Schema("a".to_owned(), "1".to_owned());
    refused(log.commit(schema, Freshness::Local, DEADLINE).await);
    refused(set(&other, "a", "1").await);
    assert_eq!(fresh_state(&store).await, state(&log));
    // Somebody else makes a checkpoint: who only writes, and never reads, finds out by itself.
    checkpoint(&other, |_| {}).await.unwrap();
    let set = Proposal::Set("a".to_owned(), "1".to_owned());
    log.commit(set, Freshness::Local, DEADLINE).await.unwrap();
    assert_eq!(log.tail().records, 2);
    // By bytes as well.
    let limits = TailLimits { soft_bytes: 1, hard_bytes: log.tail().bytes, ..TailLimits::default() };
    log.set_tail_limits(limits, DEADLINE).await.unwrap();
    let large = Proposal::Set("b".to_owned(), "1".to_owned());
    let outcome = log.commit(large, Freshness::Local, DEADLINE).await;
    assert!(matches!(outcome, Err(CommitError::Log(LogError::TailFull { .. }))), "{outcome:?}");
    let senseless = TailLimits { soft_bytes: 10, hard_bytes: 5, ..TailLimits::default() };
    let outcome = log.set_tail_limits(senseless, DEADLINE).await;
    assert!(matches!(outcome, Err(LogError::InvalidOption { option: "tail_limits", .. })));
}
