//! Transactions: what they see, what they cost, how they end.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bucketdb::{
    Database, DelayDriver, Document, Error, Fault, FaultDriver, Freshness, MemoryDriver, Operation, TokioEnvironment,
    TransactOptions, Transaction, Usage,
};
use futures::future;
use serde_json::json;

use crate::support::{Order, User, in_memory, metered, on, open, order};

/// Puts, gets, and all requests.
fn requests(usage: &Usage) -> (u64, u64, u64) {
    (usage.requests(Operation::Put), usage.requests(Operation::Get), usage.total_requests())
}

async fn total(db: &Database, number: u64) -> Option<i64> {
    let orders = db.table::<Order>().await.unwrap().with_freshness(Freshness::Strict);
    orders.get(("a", number)).await.unwrap().map(|order| order.total)
}

/// Two openings of one store with the table of orders.
async fn pair() -> (Database, Database) {
    let store = MemoryDriver::new();
    let (first, second) = (open(store.clone()).await, open(store).await);
    first.table::<Order>().await.unwrap();
    second.table::<Order>().await.unwrap();
    (first, second)
}

#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_nobody_else_does() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    for number in 1..=5 {
        orders.insert(&order("a", number, 0)).await.unwrap();
    }
    let outside = orders.clone();
    db.transact(async |tx| {
        tx.put(&order("a", 2, 20))?;
        tx.delete::<Order>(("a", 3))?;
        tx.insert(&order("a", 9, 90)).await?;
        tx.insert(&order("a", 0, 7)).await?;
        assert_eq!(tx.get::<Order>(("a", 2)).await?.unwrap().total, 20);
        assert_eq!(tx.get::<Order>(("a", 3)).await?, None);
        let found = tx.query::<Order>()?.fetch().await?;
        let found: Vec<_> = found.into_iter().map(|order| (order.number, order.total)).collect();
        assert_eq!(found, [(0, 7), (1, 0), (2, 20), (4, 0), (5, 0), (9, 90)]);
        let limited = tx.query::<Order>()?.keys(("a", 2)..=("a", 9)).offset(1).limit(2).fetch().await?;
        assert_eq!(limited.iter().map(|order| order.number).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(tx.query::<Order>()?.order_by(Order::TOTAL.desc()).first().await?.unwrap().number, 9);
        assert_eq!(outside.get(("a", 9)).await?, None);
        assert_eq!(outside.get(("a", 3)).await?.unwrap().total, 0);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    let numbers: Vec<_> = orders.query().fetch().await.unwrap().into_iter().map(|order| order.number).collect();
    assert_eq!(numbers, [0, 1, 2, 4, 5, 9]);
}

#[tokio::test]
async fn a_conflict_runs_the_closure_again_on_what_is_there_then() {
    let (db, other) = pair().await;
    db.table::<Order>().await.unwrap().insert(&order("a", 1, 1)).await.unwrap();
    let seen = Mutex::new(Vec::new());
    let transacted = db
        .transact_with(TransactOptions::default(), async |tx| {
            let mut found: Order = tx.get(("a", 1)).await?.unwrap();
            seen.lock().unwrap().push(found.total);
            if found.total == 1 {
                other.table::<Order>().await?.put(&order("a", 1, 10)).await?;
            }
            found.total += 1;
            tx.put(&found)?;
            Ok::<_, Error>(found.total)
        })
        .await
        .unwrap();
    assert_eq!((transacted.value, transacted.attempts), (11, 2));
    assert_eq!(*seen.lock().unwrap(), [1, 10]);
    assert_eq!(transacted.commit.unwrap().seq, db.position());
    assert_eq!(total(&other, 1).await, Some(11));
}

#[tokio::test]
async fn attempts_end_with_the_conflict_when_they_are_used_up() {
    let (db, other) = pair().await;
    let orders = other.table::<Order>().await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    let runs = AtomicU32::new(0);
    let options = TransactOptions { max_attempts: Some(3), ..TransactOptions::default() };
    let outcome = db
        .transact_with(options, async |tx| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            let _: Option<Order> = tx.get(("a", 1)).await?;
            orders.put(&order("a", 1, i64::from(run))).await?;
            tx.put(&order("a", 2, 0))
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::Conflict { table, key } if table == "orders" && key == "(\"a\", 1)"), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(total(&db, 2).await, None);
}

#[tokio::test]
async fn past_the_deadline_there_is_no_further_attempt() {
    let (db, other) = pair().await;
    let orders = other.table::<Order>().await.unwrap();
    let options = TransactOptions { deadline: Some(Duration::ZERO), ..TransactOptions::default() };
    let runs = AtomicU32::new(0);
    let outcome = db
        .transact_with(options, async |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            let _: Option<Order> = tx.get(("a", 1)).await?;
            orders.put(&order("a", 1, 0)).await?;
            tx.put(&order("a", 2, 0))
        })
        .await;
    assert!(matches!(outcome, Err(Error::CommitTimedOut)), "{outcome:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(total(&db, 2).await, None);
}

#[tokio::test]
async fn a_commit_whose_outcome_is_unknown_is_not_tried_again() {
    let store = MemoryDriver::new();
    open(store.clone()).await.table::<Order>().await.unwrap();
    let is_deaf = Arc::new(AtomicBool::new(false));
    let rule = {
        let is_deaf = is_deaf.clone();
        move |operation, _: &str| match operation {
            Operation::Put if is_deaf.load(Ordering::SeqCst) => Fault::HangAfter,
            _ => Fault::None,
        }
    };
    let db = open(FaultDriver::new(store.clone(), rule)).await;
    db.table::<Order>().await.unwrap();
    is_deaf.store(true, Ordering::SeqCst);
    let runs = AtomicU32::new(0);
    let options = TransactOptions { deadline: Some(Duration::from_millis(50)), ..TransactOptions::default() };
    let outcome = db
        .transact_with(options, async |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            let _: Option<Order> = tx.get(("a", 1)).await?;
            tx.put(&order("a", 1, 1))
        })
        .await;
    let Err(Error::CommitOutcomeUnknown { slot, .. }) = outcome else { unreachable!("{outcome:?}") };
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let other = open(store).await;
    assert_eq!((other.position(), total(&other, 1).await), (slot, Some(1)), "the answer was lost, not the commit");
}

#[derive(Debug)]
enum AppError {
    TooLittle(i64),
    Database(Error),
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

#[tokio::test]
async fn an_error_of_the_application_commits_nothing_and_comes_back_as_it_is() {
    let db = in_memory().await;
    db.table::<Order>().await.unwrap();
    let before = db.position();
    let outcome = db
        .transact(async |tx| {
            tx.put(&order("a", 1, 1))?;
            if tx.get::<Order>(("a", 2)).await?.is_none() {
                return Err(AppError::TooLittle(42));
            }
            Ok(())
        })
        .await;
    assert!(matches!(outcome, Err(AppError::TooLittle(42))), "{outcome:?}");
    assert_eq!((db.position(), total(&db, 1).await), (before, None));
    let unregistered = db.transact(async |tx| Ok::<_, AppError>(tx.get::<User>("u_1").await?)).await;
    assert!(matches!(unregistered, Err(AppError::Database(Error::UnknownTable { .. }))), "{unregistered:?}");
}

#[tokio::test]
async fn an_error_that_rests_on_an_old_state_is_not_returned() {
    let (db, other) = pair().await;
    other.table::<Order>().await.unwrap().put(&order("a", 1, 100)).await.unwrap();
    let runs = AtomicU32::new(0);
    let left = db
        .transact(async |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            let total = tx.get::<Order>(("a", 1)).await?.map_or(0, |order| order.total);
            if total < 50 { Err(AppError::TooLittle(total)) } else { Ok(total) }
        })
        .await;
    assert_eq!(left.unwrap(), 100, "the other opening had committed it before");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn transactions_cost_one_put_or_one_get() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let db = on(meter.clone()).open().await.unwrap();
    db.table::<Order>().await.unwrap().put(&order("a", 1, 1)).await.unwrap();
    let read = async |tx: Transaction| tx.get::<Order>(("a", 1)).await;

    let before = meter.usage();
    db.transact(async |tx| {
        let found = read(tx.clone()).await?.unwrap();
        assert_eq!(tx.query::<Order>()?.count().await?, 1);
        tx.put(&order("a", 2, found.total + 1))
    })
    .await
    .unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (1, 0, 1), "one that writes");

    let before = meter.usage();
    db.transact(read).await.unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (0, 1, 1), "one that only reads");

    let before = meter.usage();
    let outcome = db.transact(async |tx| Err::<(), _>(AppError::TooLittle(read(tx).await?.unwrap().total))).await;
    assert!(matches!(outcome, Err(AppError::TooLittle(1))));
    assert_eq!(requests(&(meter.usage() - before)), (0, 1, 1), "one that ends with an error");

    let before = meter.usage();
    let local = TransactOptions { freshness: Freshness::Local, ..TransactOptions::default() };
    assert_eq!(db.transact_with(local, read).await.unwrap().commit, None);
    db.transact(async |_| Ok::<_, Error>(())).await.unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (0, 0, 0), "one that is local, and one that does nothing");

    let meter = metered(&store);
    let distant = DelayDriver::new(meter.clone(), TokioEnvironment::new()).reads(Duration::from_millis(5));
    let db = open(distant).await;
    let before = meter.usage();
    future::try_join_all((0..20).map(|_| db.transact(read))).await.unwrap();
    assert!((meter.usage() - before).total_requests() <= 2, "those who wait at the same time share a get");
}

#[tokio::test]
async fn a_thousand_commits_at_once_share_their_puts() {
    let meter = metered(&MemoryDriver::new());
    let db = on(DelayDriver::new(meter.clone(), TokioEnvironment::new()).writes(Duration::from_millis(5)))
        .open()
        .await
        .unwrap();
    db.table::<Order>().await.unwrap();
    let before = meter.usage();
    let commits = (0..1000).map(|number| {
        let db = &db;
        db.transact(move |tx| async move {
            assert_eq!(tx.get::<Order>(("a", number)).await?, None);
            tx.put(&order("a", number, 1))
        })
    });
    future::try_join_all(commits).await.unwrap();
    let puts = (meter.usage() - before).requests(Operation::Put);
    assert!(puts <= 40, "{puts}");
    assert_eq!(db.table::<Order>().await.unwrap().query().count().await.unwrap(), 1000);
}

#[tokio::test]
async fn a_transaction_can_run_in_a_task_of_its_own() {
    let db = in_memory().await;
    db.table::<Order>().await.unwrap();
    let name = String::from("a");
    #[expect(clippy::disallowed_methods, reason = "a user's task")]
    let task = tokio::spawn(async move {
        let borrowed = db
            .transact(async |tx| {
                tx.put(&order(&name, 1, 1))?;
                Ok::<_, Error>(tx.get::<Order>((name.as_str(), 1)).await?.unwrap().total)
            })
            .await?;
        let owned = db.transact(|tx| {
            let name = name.clone();
            async move { tx.query::<Order>()?.keys((name.as_str(), 0)..).count().await }
        });
        Ok::<_, Error>((borrowed, owned.await?))
    });
    assert_eq!(task.await.unwrap().unwrap(), (1, 1));
}

#[tokio::test]
async fn a_handle_that_escapes_its_closure_is_of_no_use() {
    let db = in_memory().await;
    db.table::<Order>().await.unwrap();
    let escaped = db.transact(async |tx| Ok::<_, Error>(tx)).await.unwrap();
    assert!(matches!(escaped.get::<Order>(("a", 1)).await, Err(Error::TransactionEnded)));
    assert!(matches!(escaped.put(&order("a", 1, 1)), Err(Error::TransactionEnded)));
    assert!(matches!(escaped.query::<Order>().map(|_| ()), Err(Error::TransactionEnded)));
    let mut kept = Arc::new(None);
    db.transact(|tx| {
        kept = Arc::new(tx.query::<Order>().ok());
        future::ready(Ok::<_, Error>(()))
    })
    .await
    .unwrap();
    let query = Option::clone(&kept).unwrap();
    assert!(matches!(query.fetch().await, Err(Error::TransactionEnded)));
}

#[tokio::test]
async fn dropping_a_transaction_at_any_point_leaves_all_or_nothing() {
    for polls in 0..12 {
        let store = MemoryDriver::new();
        let db = open(store.clone()).await;
        db.table::<Order>().await.unwrap();
        let mut transaction = Box::pin(db.transact(async |tx| {
            tokio::task::yield_now().await;
            tx.put(&order("a", 1, 1))?;
            tokio::task::yield_now().await;
            tx.get::<Order>(("a", 3)).await?;
            tx.put(&order("a", 2, 1))
        }));
        for _ in 0..polls {
            if future::poll_immediate(&mut transaction).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(transaction);
        db.close().await.unwrap();
        let count = open(store).await.table::<Order>().await.unwrap().query().count().await.unwrap();
        assert!(count == 0 || count == 2, "after {polls} polls: {count}");
    }
}

#[tokio::test]
async fn conditions_hold_or_end_the_transaction() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    let outcome = db.transact(async |tx| tx.insert(&order("a", 1, 2)).await).await;
    assert!(matches!(outcome, Err(Error::AlreadyExists { .. })));
    let outcome = db.transact(async |tx| tx.replace(&order("a", 2, 2)).await).await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })));
    let outcome = db.transact(async |tx| tx.update::<Order>(("a", 2), |order| order.total = 3).await).await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })));
    let outcome = db.transact(async |tx| tx.update::<Order>(("a", 1), |order| order.number = 3).await).await;
    assert!(matches!(outcome, Err(Error::InvalidKey { .. })));
    let changed = db
        .transact(async |tx| {
            tx.replace(&order("a", 1, 5)).await?;
            tx.delete::<Order>(("a", 1))?;
            tx.insert(&order("a", 1, 6)).await?;
            tx.update::<Order>(("a", 1), |order| order.total += 1).await
        })
        .await
        .unwrap();
    assert_eq!((changed.total, total(&db, 1).await), (7, Some(7)));
}

#[tokio::test]
async fn collections_take_part_in_transactions() {
    let (db, other) = pair().await;
    let notes = db.collection("notes");
    let outcome = db.transact(async |tx| tx.put_value(&notes, &json!({"id": 1}))).await;
    assert!(matches!(outcome, Err(Error::UnknownTable { table }) if table == "notes"));
    let runs = AtomicU32::new(0);
    let found = db
        .transact(async |tx| {
            let count = tx.query_values(&notes).count().await?;
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                other.collection("notes").insert(&json!({"id": 1})).await?;
            }
            tx.put(&order("a", 1, count as i64))?;
            Ok::<_, Error>(count)
        })
        .await;
    assert_eq!(found.unwrap(), 1, "the collection was made while the transaction took it for empty");
    db.transact(async |tx| {
        tx.insert_value(&notes, &json!({"id": 2})).await?;
        tx.replace_value(&notes, &json!({"id": 1, "text": "x"})).await?;
        assert_eq!(tx.get_value(&notes, &json!(1)).await?.unwrap()["text"], "x");
        tx.delete_value(&notes, &json!(2))?;
        assert_eq!(tx.query_values(&notes).keys(json!(1)..).count().await?, 1);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(notes.query().count().await.unwrap(), 1);
}

mod second_version {
    use bucketdb::Document;

    #[derive(serde::Serialize, serde::Deserialize, Document)]
    #[document(table = "evolving", version = 2)]
    pub(super) struct Evolving {
        #[document(key)]
        pub(super) id: u64,
        pub(super) note: Option<String>,
    }
}

#[derive(serde::Serialize, serde::Deserialize, Document)]
#[document(table = "evolving", version = 1)]
struct Evolving {
    #[document(key)]
    id: u64,
}

#[tokio::test]
async fn a_version_that_another_process_registered_before_is_found() {
    let store = MemoryDriver::new();
    let db = Database::builder().driver(store.clone()).open().await.unwrap();
    db.table::<Evolving>().await.unwrap().put(&Evolving { id: 1 }).await.unwrap();
    let other = Database::builder().driver(store).open().await.unwrap();
    other.table::<second_version::Evolving>().await.unwrap();
    let found: Result<_, Error> = db
        .transact(async |tx| {
            let found = tx.get::<second_version::Evolving>(1u64).await?;
            Ok(found.map(|found| (found.id, found.note)))
        })
        .await;
    assert_eq!(found.unwrap(), Some((1, None)));
}

#[tokio::test]
async fn a_transaction_whose_moment_is_not_kept_any_more_is_run_again() {
    let db = on(MemoryDriver::new()).max_memory(8 << 20).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    for number in 0..2 {
        orders.insert(&order("a", number, 1)).await.unwrap();
    }
    for (most, is_query) in [(None, false), (None, true), (Some(1), false)] {
        let runs = AtomicU32::new(0);
        let options = TransactOptions { max_attempts: most, ..TransactOptions::default() };
        let outcome = db
            .transact_with(options, async |tx| {
                tx.get::<Order>(("a", 0)).await?;
                if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                    // More than an eighth of the memory, twice, with a checkpoint behind each: what was before it goes.
                    for _ in 0..2 {
                        let mut batch = db.batch();
                        for number in 0..20_000 {
                            batch.put(&order(&format!("{number:>60}"), 0, 0))?;
                        }
                        batch.commit().await?;
                        db.checkpoint().await?;
                        db.transact(async |tx| tx.get::<Order>(("a", 0)).await.map(drop)).await?;
                    }
                }
                let total = if is_query {
                    tx.query::<Order>()?.keys(("a", 1)..).fetch().await?.first().map(|order| order.total)
                } else {
                    tx.get::<Order>(("a", 1)).await?.map(|order| order.total)
                };
                tx.put(&order("b", 0, total.unwrap_or_default()))
            })
            .await;
        let runs = runs.into_inner();
        match (most, outcome) {
            (None, Ok(done)) => assert_eq!((done.attempts, runs), (2, 2)),
            (Some(1), Err(Error::SnapshotExpired { .. })) => assert_eq!(runs, 1),
            (_, outcome) => panic!("{outcome:?} after {runs} runs"),
        }
    }
}
