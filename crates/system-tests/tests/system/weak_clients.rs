//! Held: what the tests of transactions look for is found where there are no transactions: with clients that do the same
//! reads and writes, each strict by itself, but one by one.
//!
//! Catches: a workload in which nobody meets anybody, a recording that leaves out what matters, a checker that is blind.

use bucketdb_history::{AnomalyKind, Options, check_bank, check_list_append};

use crate::nemesis::PEACE;
use crate::stores::Store;
use crate::support::{alone, report, runtime};
use crate::{bank, list_append};

const WEAK: [&str; 1] = ["--weak"];

#[test]
fn lost_updates_of_lists_are_found() {
    let _alone = alone();
    let runtime = runtime();
    let store = runtime.block_on(Store::file()).unwrap();
    let recording = list_append::record(&runtime, &store, &PEACE, &WEAK);
    recording.check_unharmed();
    let anomalies = check_list_append(&recording.history, Options::default()).unwrap_err();
    assert!(
        anomalies.contains(AnomalyKind::IncompatibleOrder) || anomalies.contains(AnomalyKind::LostAppend),
        "{anomalies}"
    );
    report(format_args!("lists without transactions: {} anomalies found", anomalies.iter().count()));
}

#[test]
fn lost_updates_of_balances_are_found() {
    let _alone = alone();
    let runtime = runtime();
    let store = runtime.block_on(Store::file()).unwrap();
    let (recording, _) = bank::record(&runtime, &store, &PEACE, &WEAK);
    recording.check_unharmed();
    let anomalies = check_bank(&recording.history, &bank::bank()).unwrap_err();
    assert!(anomalies.contains(AnomalyKind::WrongTotal), "{anomalies}");
    report(format_args!("a bank without transactions: {} anomalies found", anomalies.iter().count()));
}
