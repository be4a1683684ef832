//! Held: money that is transferred is neither made nor lost, no account is overdrawn, and balances are always those of
//! one moment, in real time, whoever is killed or stopped at any moment.
//!
//! Catches: a transfer that is written by halves, twice, or on balances that changed meanwhile; a query over all accounts
//! that sees two moments; a transfer that was said or settled to have failed and is there.

use std::collections::{BTreeMap, BTreeSet};

use bucketdb::{Error, Table};
use bucketdb_history::{Bank, Op, Outcome, check_bank};
use bucketdb_system_tests::{ACCOUNTS, Account, INITIAL_BALANCE, Receipt};
use tokio::runtime::Runtime;

use crate::nemesis::{FAST, Plan, SLOW, haunt};
use crate::recording::Recording;
use crate::replay::Replay;
use crate::stores::{Store, on_stores};
use crate::support::{nanoseconds, now};

on_stores!(transfer_fast: file, redis);
on_stores!(transfer_slow: localstack, ceph);

fn transfer_fast(runtime: &Runtime, store: &Store) -> String {
    transfer(runtime, store, &FAST)
}

fn transfer_slow(runtime: &Runtime, store: &Store) -> String {
    transfer(runtime, store, &SLOW)
}

fn transfer(runtime: &Runtime, store: &Store, plan: &Plan) -> String {
    let (mut recording, receipts) = record(runtime, store, plan, &[]);
    let summary = recording.judge("bank", store, |history| check_bank(history, &bank()));
    let (happened, vanished) = resolve(&mut recording, &receipts);
    recording.judge("resolved-bank", store, |history| check_bank(history, &bank()));
    recording.check_haunted(plan, &summary);
    format!("; {recording}; {happened} unknown transfers happened and {vanished} did not; {summary}")
}

/// The bank before the first transfer.
pub(crate) fn bank() -> Bank {
    Bank::starting_with(ACCOUNTS.map(|id| (id.to_owned(), INITIAL_BALANCE)).into())
}

/// Lets clients transfer money and read balances, and reads all accounts and receipts in the end. What is read must be
/// what the log says.
pub(crate) fn record(runtime: &Runtime, store: &Store, plan: &Plan, options: &[&str]) -> (Recording, BTreeSet<String>) {
    runtime.block_on(async {
        let db = store.open().await;
        db.table::<Receipt>().await.unwrap();
        let accounts: Table<Account> = db.table().await.unwrap();
        for id in ACCOUNTS {
            accounts.insert(&Account { id: id.to_owned(), balance: INITIAL_BALANCE }).await.unwrap();
        }
        db.close().await.unwrap();
    });
    let mut recording = Recording::of(haunt(runtime, store, plan, "bank", options));
    let start = nanoseconds(now(runtime));
    let (accounts, receipts, disagreement) = runtime.block_on(async {
        let db = store.open().await;
        db.table::<Account>().await.unwrap();
        db.table::<Receipt>().await.unwrap();
        let read = db.transact(async |tx| {
            let accounts = tx.query::<Account>()?.fetch().await?;
            Ok::<_, Error>((tx.position()?, accounts, tx.query::<Receipt>()?.fetch().await?))
        });
        let (position, accounts, receipts) = read.await.unwrap();
        let found = Replay::default().with(&accounts).with(&receipts);
        let disagreement = found.disagreement(&Replay::of_log(&db, position).await);
        (accounts, receipts, disagreement)
    });
    disagreement.into_iter().for_each(|disagreement| recording.complain(disagreement));
    let balances: BTreeMap<String, i64> = accounts.into_iter().map(|account| (account.id, account.balance)).collect();
    recording.add_last(start, nanoseconds(now(runtime)), vec![Op::Balances(Some(balances))]);
    (recording, receipts.into_iter().map(|receipt| receipt.id).collect())
}

/// Puts what the receipts tell of transfers of unknown outcome into the history: only then is every balance certain in the
/// end. Tells how many happened and how many did not. Receipts of the others must be as they were told.
fn resolve(recording: &mut Recording, receipts: &BTreeSet<String>) -> (usize, usize) {
    let end = recording.history.0.last().unwrap().start;
    let (mut happened, mut vanished, mut known) = (0, 0, 0);
    let mut problems = Vec::new();
    for transaction in &mut recording.history.0 {
        transaction.ops.retain(|op| transaction.outcome == Outcome::Ok || matches!(op, Op::Transfer { .. }));
        if !transaction.ops.iter().any(|op| matches!(op, Op::Transfer { .. })) {
            continue;
        }
        let has_receipt = receipts.contains(&Receipt::id_of(transaction.process, transaction.start));
        known += usize::from(has_receipt);
        match transaction.outcome {
            Outcome::Ok if !has_receipt => problems.push(format!("acknowledged, and did not happen: {transaction}")),
            Outcome::Fail if has_receipt => problems.push(format!("failed, and happened: {transaction}")),
            Outcome::Ok | Outcome::Fail => {}
            Outcome::Info if has_receipt => {
                happened += 1;
                (transaction.outcome, transaction.end) = (Outcome::Ok, end);
            }
            // It may happen yet, but has not before the last read, which is all that the history tells of.
            Outcome::Info => {
                vanished += 1;
                transaction.outcome = Outcome::Fail;
            }
        }
    }
    if known < receipts.len() {
        problems.push(format!(
            "{} of {} receipts are of transfers that nobody made",
            receipts.len() - known,
            receipts.len()
        ));
    }
    problems.into_iter().for_each(|problem| recording.complain(problem));
    (happened, vanished)
}
