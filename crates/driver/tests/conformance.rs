//! The drivers of this crate keep the contract.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::conformance::{Outcome, Report, Suite};
use bucketdb_driver::{Driver, FileDriver, MemoryDriver, MeteredDriver};
use bucketdb_env::TokioEnvironment;

fn suite(driver: impl Driver) -> Suite {
    Suite::new(Arc::new(driver), Arc::new(TokioEnvironment::new())).patience(Duration::from_secs(300))
}

fn skipped(report: &Report) -> Vec<&str> {
    let skipped = report.checks().iter().filter(|check| matches!(check.outcome, Outcome::Skipped(_)));
    skipped.map(|check| check.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    let store = MemoryDriver::new();
    let report = suite(store.clone()).run().await;
    report.assert_ok();
    assert_eq!(skipped(&report), ["pre-signed URLs", "server time"]);
    assert!(report.limits().is_empty());
    assert_eq!(store.list("", None).await.unwrap().objects, [], "the suite leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn file() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path().join("store")).unwrap();
    let report = suite(store.clone()).run().await;
    report.assert_ok();
    assert_eq!(skipped(&report), ["pre-signed URLs", "server time"]);
    assert_eq!(store.list("", None).await.unwrap().objects, [], "the suite leaves nothing behind");
    let temporary = folder.path().join("store/.bucketdb/tmp");
    assert_eq!(temporary.read_dir().unwrap().count(), 0, "nor does the driver");
}

#[tokio::test]
async fn file_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    suite(FileDriver::new(folder.path()).unwrap()).rounds(20).run().await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrapper_changes_nothing() {
    let metered = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
    suite(metered).rounds(20).run().await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_under_the_prefix_already_is_left_alone() {
    let store = MemoryDriver::new();
    let key = bucketdb_driver::Key::new("conformance/mine").unwrap();
    store.put(&key, "precious".into(), bucketdb_driver::Condition::Always).await.unwrap();
    suite(store.clone()).rounds(5).listed_keys(10).run().await.assert_ok();
    assert_eq!(store.get(&key).await.unwrap().body, "precious");
}

#[test]
fn the_guide_shows_a_whole_driver_in_a_hundred_lines() {
    // That it compiles and passes the suite is checked as a doctest of the conformance module.
    let guide = include_str!("../../../docs/writing-a-driver.md");
    let code: Vec<&str> = guide.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(code.len(), 1, "the driver is in one piece");
    let lines = code[0].lines().count();
    assert!((50..=100).contains(&lines), "the guide's driver has {lines} lines");
}
