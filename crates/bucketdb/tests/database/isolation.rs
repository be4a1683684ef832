//! Isolation, anomaly by anomaly: two openings of one store do what would go wrong under a weaker level, and it does
//! not. The names are those of Berenson et al., "A Critique of ANSI SQL Isolation Levels", 1995, and of Adya, 1999.

use std::sync::atomic::{AtomicU32, Ordering};

use bucketdb::{Database, Error, Freshness, MemoryDriver, Result, TransactOptions, Transacted, Transaction};

use crate::support::{Order, open, order};

/// Two openings of one store that holds the orders 1 and 2 with a total of 50 each.
async fn pair() -> (Database, Database) {
    let store = MemoryDriver::new();
    let (first, second) = (open(store.clone()).await, open(store).await);
    let orders = first.table::<Order>().await.unwrap();
    orders.insert(&order("a", 1, 50)).await.unwrap();
    orders.insert(&order("a", 2, 50)).await.unwrap();
    second.table::<Order>().await.unwrap();
    second.refresh(Freshness::Strict).await.unwrap();
    (first, second)
}

async fn totals(db: &Database) -> Vec<(u64, i64)> {
    let orders = db.table::<Order>().await.unwrap().with_freshness(Freshness::Strict);
    orders.query().fetch().await.unwrap().into_iter().map(|order| (order.number, order.total)).collect()
}

async fn total(tx: &Transaction, number: u64) -> Result<i64> {
    Ok(tx.get::<Order>(("a", number)).await?.unwrap().total)
}

/// Writes outside a transaction.
async fn write(db: &Database, number: u64, total: i64) -> Result<()> {
    db.table::<Order>().await?.put(&order("a", number, total)).await.map(|_| ())
}

/// Runs a transaction whose first attempt is disturbed in the middle, by another opening.
async fn disturbed<T, R: Future<Output = Result<T>>, D: Future<Output = Result<()>>>(
    db: &Database,
    before: impl Fn(Transaction) -> R,
    disturb: impl Fn() -> D,
    after: impl Fn(Transaction, T) -> Result<()>,
) -> Transacted<()> {
    let runs = AtomicU32::new(0);
    db.transact_with(TransactOptions::default(), async |tx| {
        let read = before(tx.clone()).await?;
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            disturb().await?;
        }
        after(tx, read)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn no_dirty_write() {
    // Two transactions write both rows: the rows never hold one of each.
    let (first, second) = pair().await;
    let both = async |db: &Database, value: i64| {
        db.transact(async |tx| {
            tx.put(&order("a", 1, value))?;
            tokio::task::yield_now().await;
            tx.put(&order("a", 2, value))
        })
        .await
    };
    for round in 0..20 {
        let (left, right) = futures::join!(both(&first, 2 * round), both(&second, 2 * round + 1));
        left.unwrap();
        right.unwrap();
        let totals = totals(&first).await;
        assert_eq!(totals[0].1, totals[1].1, "{totals:?}");
    }
}

#[tokio::test]
async fn no_dirty_read() {
    // What a transaction wrote and then gave up was never there for anybody else.
    let (first, second) = pair().await;
    let outcome = first
        .transact(async |tx| {
            tx.put(&order("a", 1, 101))?;
            second
                .transact(async |other| {
                    assert_eq!(total(&other, 1).await?, 50);
                    Ok::<_, Error>(())
                })
                .await?;
            Err::<(), _>(Error::EmptyBatch)
        })
        .await;
    assert!(matches!(outcome, Err(Error::EmptyBatch)));
    assert_eq!(totals(&second).await, [(1, 50), (2, 50)]);
}

#[tokio::test]
async fn no_lost_update() {
    let (first, second) = pair().await;
    let transacted = disturbed(
        &first,
        async |tx| total(&tx, 1).await,
        async || write(&second, 1, 70).await,
        |tx, read| tx.put(&order("a", 1, read + 1)),
    );
    assert_eq!(transacted.await.attempts, 2);
    assert_eq!(totals(&first).await, [(1, 71), (2, 50)]);
}

#[tokio::test]
async fn no_lost_update_among_many() {
    let (first, second) = pair().await;
    let add = async |db: &Database| {
        db.transact(async |tx| {
            let total = total(&tx, 1).await?;
            tx.put(&order("a", 1, total + 1))
        })
        .await
    };
    let adds = (0..40).map(|number| if number % 2 == 0 { add(&first) } else { add(&second) });
    futures::future::try_join_all(adds).await.unwrap();
    assert_eq!(totals(&first).await[0], (1, 90));
}

#[tokio::test]
async fn no_non_repeatable_read() {
    let (first, second) = pair().await;
    let transacted = first
        .transact_with(TransactOptions::default(), async |tx| {
            let before = total(&tx, 1).await?;
            write(&second, 1, before + 5).await?;
            first.refresh(Freshness::Strict).await?;
            Ok::<_, Error>((before, total(&tx, 1).await?))
        })
        .await;
    let Transacted { value: (before, after), .. } = transacted.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn no_phantom_in_a_table() {
    let (first, second) = pair().await;
    let transacted = disturbed(
        &first,
        async |tx| tx.query::<Order>()?.filter(Order::TOTAL.gt(40)).count().await,
        async || write(&second, 3, 50).await,
        |tx, count| tx.put(&order("sum", 0, count as i64)),
    );
    assert_eq!(transacted.await.attempts, 2);
    assert_eq!(totals(&first).await.last(), Some(&(0, 3)));
}

#[tokio::test]
async fn no_phantom_in_a_range_and_no_conflict_outside_it() {
    let (first, second) = pair().await;
    for (number, attempts) in [(5, 2), (9, 1)] {
        let transacted = disturbed(
            &first,
            async |tx| tx.query::<Order>()?.keys(("a", 3)..("a", 9)).count().await,
            async || write(&second, number, 50).await,
            |tx, count| tx.put(&order("sum", number, count as i64)),
        );
        assert_eq!(transacted.await.attempts, attempts, "order {number}");
    }
}

#[tokio::test]
async fn no_phantom_by_a_deletion() {
    let (first, second) = pair().await;
    let orders = second.table::<Order>().await.unwrap();
    let transacted = disturbed(
        &first,
        async |tx| tx.query::<Order>()?.count().await,
        async || orders.delete(("a", 2)).await.map(|_| ()),
        |tx, count| tx.put(&order("sum", 0, count as i64)),
    );
    assert_eq!(transacted.await.attempts, 2);
    assert_eq!(totals(&first).await, [(1, 50), (0, 1)]);
}

#[tokio::test]
async fn a_limited_query_reads_only_the_rows_that_it_went_over() {
    let (first, second) = pair().await;
    for (number, attempts) in [(0, 2), (7, 1)] {
        let transacted = disturbed(
            &first,
            async |tx| tx.query::<Order>()?.limit(1).fetch().await,
            async || write(&second, number, 50).await,
            |tx, found| tx.put(&order("first", number, found[0].number as i64)),
        );
        assert_eq!(transacted.await.attempts, attempts, "order {number}");
    }
    let transacted = disturbed(
        &first,
        async |tx| tx.query::<Order>()?.order_by(Order::TOTAL.asc()).limit(1).fetch().await,
        async || write(&second, 8, -1).await,
        |tx, found| tx.put(&order("least", 0, found[0].number as i64)),
    );
    assert_eq!(transacted.await.attempts, 2, "an order needs all rows");
}

#[tokio::test]
async fn a_key_that_was_absent_counts_as_read() {
    let (first, second) = pair().await;
    let transacted = disturbed(
        &first,
        async |tx| tx.get::<Order>(("a", 3)).await,
        async || write(&second, 3, 7).await,
        |tx, found| tx.put(&order("a", 1, found.map_or(0, |order| order.total))),
    );
    assert_eq!(transacted.await.attempts, 2);
    assert_eq!(totals(&first).await[0], (1, 7));
}

#[tokio::test]
async fn no_read_skew() {
    // A transfer commits between the two reads: they still add up to 100, in whichever order.
    let (first, second) = pair().await;
    let transfer = async |amount: i64| {
        second
            .transact(async |tx| {
                let (one, two) = (total(&tx, 1).await?, total(&tx, 2).await?);
                tx.put(&order("a", 1, one - amount))?;
                tx.put(&order("a", 2, two + amount))
            })
            .await
    };
    let sum = first
        .transact(async |tx| {
            let one = total(&tx, 1).await?;
            transfer(10).await?;
            first.refresh(Freshness::Strict).await?;
            let rest: i64 =
                tx.query::<Order>()?.keys(("a", 2)..).fetch().await?.into_iter().map(|order| order.total).sum();
            Ok::<_, Error>(one + rest)
        })
        .await;
    assert_eq!(sum.unwrap(), 100);
}

#[tokio::test]
async fn no_write_skew() {
    // Each takes 80 from one of two rows if the two hold as much together: one of them must find that they do not.
    let (first, second) = pair().await;
    let take = async |db: &Database, from: u64| {
        db.transact(async |tx| {
            let (one, two) = (total(&tx, 1).await?, total(&tx, 2).await?);
            tokio::task::yield_now().await;
            if one + two < 80 {
                return Ok::<_, Error>(false);
            }
            let left = if from == 1 { one } else { two } - 80;
            tx.put(&order("a", from, left))?;
            Ok(true)
        })
        .await
    };
    let (one, two) = futures::join!(take(&first, 1), take(&second, 2));
    assert!(one.unwrap() != two.unwrap(), "exactly one of them takes it");
    assert_eq!(totals(&first).await.iter().map(|(_, total)| total).sum::<i64>(), 20);
}

#[tokio::test]
async fn no_write_skew_within_one_group() {
    // Both wait for the same record: the later member is validated against the earlier one.
    let (db, _) = pair().await;
    let take = async |from: u64| {
        db.transact(async |tx| {
            let sum: i64 = tx.query::<Order>()?.fetch().await?.into_iter().map(|order| order.total).sum();
            tokio::task::yield_now().await;
            if sum < 80 {
                return Ok::<_, Error>(false);
            }
            tx.put(&order("a", from, -30))?;
            Ok(true)
        })
        .await
    };
    let (one, two) = futures::join!(take(1), take(2));
    assert!(one.unwrap() != two.unwrap());
}

#[tokio::test]
async fn no_anomaly_of_a_reader_among_writers() {
    // Fekete et al. 2004: two writers and a reader, each serializable in pairs, together not, under snapshot isolation.
    let (first, second) = pair().await;
    let runs = AtomicU32::new(0);
    let seen = first
        .transact_with(TransactOptions::default(), async |tx| {
            let (checking, saving) = (total(&tx, 1).await?, total(&tx, 2).await?);
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                write(&second, 2, saving + 20).await?;
                let report = second
                    .transact(async |reader| Ok::<_, Error>((total(&reader, 1).await?, total(&reader, 2).await?)))
                    .await?;
                assert_eq!(report, (50, 70));
            }
            let penalty = if checking + saving < 110 { 1 } else { 0 };
            tx.put(&order("a", 1, checking - 10 - penalty))?;
            Ok::<_, Error>(penalty)
        })
        .await
        .unwrap();
    assert_eq!((seen.value, seen.attempts), (0, 2), "the report saw the deposit before the withdrawal");
}
