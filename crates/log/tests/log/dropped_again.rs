//! (H17) What a dropped database had to keep for a grace goes when it is dropped once more after that, by whatever
//! process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bucketdb_driver::{Condition, Driver, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, MeteredDriver};
use bucketdb_env::Environment;
use bucketdb_log::{DropReport, Layout, Tombstone, find_dropped, remove_dropped};

use crate::deletion::Told;
use crate::support::{DEADLINE, SeededEnvironment, is_record, keys, open_in, set, sleep};

const GRACE: Duration = Duration::from_secs(3_600);

fn told(tells: bool) -> Told {
    Told { store: MemoryDriver::new(), clock: SeededEnvironment::new(1), tells }
}

/// Another process, whose clocks began just now and know nothing of the others.
fn process() -> Arc<dyn Environment> {
    static NEXT: AtomicU64 = AtomicU64::new(100);
    Arc::new(SeededEnvironment::new(NEXT.fetch_add(1, Ordering::SeqCst)))
}

/// A database with eight records and the one that drops it.
async fn dropped(driver: &Told) -> Tombstone {
    let log = open_in(SeededEnvironment::new(2), driver.clone(), |options| options.grace = Some(GRACE)).await.unwrap();
    for value in 0..7 {
        set(&log, "a", &value.to_string()).await.unwrap();
    }
    log.drop_database(DEADLINE).await.unwrap()
}

/// A process that begins now drops what is left, and ends.
async fn drop_again(driver: impl Driver, wait: bool) -> bucketdb_log::Result<DropReport> {
    let (driver, env): (Arc<dyn Driver>, _) = (Arc::new(driver), process());
    let layout = Layout::new("db").unwrap();
    let tombstone = find_dropped(&driver, &env, &layout).await?.unwrap();
    remove_dropped(&driver, &env, &layout, &tombstone, wait).await
}

async fn records(store: &MemoryDriver) -> usize {
    keys(store).await.iter().filter(|key| is_record(key)).count()
}

#[tokio::test(start_paused = true)]
async fn a_later_process_removes_the_records_once_the_grace_is_over_and_not_before() {
    let driver = told(true);
    dropped(&driver).await;
    let report = drop_again(driver.clone(), false).await.unwrap();
    assert_eq!((report.records_left, report.next_due, report.is_dated), (8, Some(GRACE), true));
    let mut passed = 0;
    for seconds in [600, 1_800, 1_199] {
        sleep(Duration::from_secs(seconds)).await;
        passed += seconds;
        let report = drop_again(driver.clone(), false).await.unwrap();
        let left = GRACE - Duration::from_secs(passed);
        let expected = DropReport { records_left: 8, next_due: Some(left), is_dated: true, ..DropReport::default() };
        assert_eq!(report, expected);
        assert_eq!(records(&driver.store).await, 9);
    }
    sleep(Duration::from_secs(1)).await;
    let report = drop_again(driver.clone(), false).await.unwrap();
    assert_eq!(report, DropReport { removed: 8, ..DropReport::default() });
    let left = keys(&driver.store).await;
    assert!(left.len() == 1 && is_record(&left[0]), "{left:?}");
    assert_eq!(drop_again(driver.clone(), false).await.unwrap(), DropReport::default());
}

#[tokio::test(start_paused = true)]
async fn who_waits_waits_for_no_more_than_what_is_left_of_the_grace() {
    let driver = told(true);
    dropped(&driver).await;
    drop_again(driver.clone(), false).await.unwrap();
    sleep(GRACE * 3 / 4).await;
    let started = driver.clock.monotonic();
    assert_eq!(drop_again(driver.clone(), true).await.unwrap().removed, 8);
    assert_eq!((driver.clock.monotonic() - started).as_secs(), (GRACE / 4).as_secs());
    assert_eq!(keys(&driver.store).await.len(), 1);
}

/// No clock of a process that is gone says anything.
#[tokio::test(start_paused = true)]
async fn a_store_without_a_clock_makes_everybody_wait_by_themselves() {
    let driver = told(false);
    dropped(&driver).await;
    for _ in 0..3 {
        let report = drop_again(driver.clone(), false).await.unwrap();
        assert_eq!((report.records_left, report.next_due, report.is_dated), (8, Some(GRACE), false));
        assert_eq!(keys(&driver.store).await.len(), 9, "no mark that means nothing");
        sleep(GRACE * 2).await;
    }
    drop_again(driver.clone(), true).await.unwrap();
    assert_eq!(keys(&driver.store).await.len(), 1);
}

/// A process is killed at each of its requests, before and behind it, when the grace is over and when it is not.
#[tokio::test(start_paused = true)]
async fn who_is_killed_makes_it_neither_earlier_nor_impossible() {
    for fault in [Fault::Before(ErrorKind::Denied), Fault::After(ErrorKind::Denied)] {
        for is_over in [false, true] {
            for limit in 0.. {
                assert!(limit < 60, "it must come to an end");
                let driver = told(true);
                dropped(&driver).await;
                if is_over {
                    drop_again(driver.clone(), false).await.unwrap();
                    sleep(GRACE).await;
                }
                let (count, fault) = (AtomicU64::new(0), fault.clone());
                let killed = FaultDriver::new(driver.clone(), move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
                    before if before < limit => Fault::None,
                    at if at == limit => fault.clone(),
                    _ => Fault::Before(ErrorKind::Denied),
                });
                let outcome = drop_again(killed, false).await;
                let case = format!("{limit} requests, over: {is_over}");
                assert!(is_over || records(&driver.store).await == 9, "{case}");
                let report = drop_again(driver.clone(), false).await.unwrap();
                if !is_over {
                    assert_eq!(report.next_due, Some(GRACE), "{case}");
                    sleep(GRACE).await;
                    drop_again(driver.clone(), false).await.unwrap();
                }
                assert_eq!(keys(&driver.store).await.len(), 1, "{case}: {:?}", keys(&driver.store).await);
                if outcome.is_ok() {
                    break;
                }
            }
        }
    }
}

/// What says since when it is dropped counts for that database alone, and only as it was written.
#[tokio::test(start_paused = true)]
async fn a_mark_that_is_spoilt_or_of_another_drop_is_none() {
    let driver = told(true);
    dropped(&driver).await;
    drop_again(driver.clone(), false).await.unwrap();
    let name = keys(&driver.store).await.into_iter().find(|key| key.contains("/manifest/")).unwrap();
    let key = Key::new(name).unwrap();
    let mark = driver.store.get(&key).await.unwrap().body;
    driver.store.put(&key, mark.slice(1..), Condition::Always).await.unwrap();
    sleep(GRACE).await;
    let report = drop_again(driver.clone(), false).await.unwrap();
    assert_eq!(report.next_due, Some(GRACE), "the grace begins anew");
    // The next database sweeps it away, and is not what an old one is measured by.
    let open = || open_in(SeededEnvironment::new(3), driver.clone(), |options| options.grace = Some(GRACE));
    let next = open().await.unwrap();
    set(&next, "b", "1").await.unwrap();
    next.sweep(|_, _| false, DEADLINE).await.unwrap();
    assert!(driver.store.get(&key).await.is_err());
    let again = next.drop_database(DEADLINE).await.unwrap();
    driver.store.put(&key, mark, Condition::Always).await.unwrap();
    sleep(GRACE).await;
    let report = drop_again(driver.clone(), false).await.unwrap();
    assert_eq!((report.next_due, report.removed), (Some(GRACE), 1), "the old mark goes, and says nothing of {again:?}");
}

#[tokio::test(start_paused = true)]
async fn what_it_costs() {
    let driver = told(true);
    dropped(&driver).await;
    let meter = MeteredDriver::new(driver.clone(), SeededEnvironment::new(9));
    let mut costs = Vec::new();
    for _ in 0..3 {
        let before = meter.usage();
        drop_again(meter.clone(), false).await.unwrap();
        costs.push((meter.usage() - before).total_requests());
        sleep(GRACE).await;
    }
    let found = |records: u64| 1 + records;
    let looked_at = 1 + 4;
    let (dates, removes) = (2, 2 + 2);
    assert_eq!(costs, [found(2) + looked_at + dates, found(2) + looked_at + removes, found(1) + looked_at]);
}
