//! What feeds tell of bulk loads: every document once, from any place, for as long as the load's record is kept.

use std::time::Duration;

use bucketdb::{
    Change, ChangeKind, Commit, Cursor, Database, Duplicates, Error, Feed, MemoryDriver, Operation, Previous, Since,
    Stored, Table,
};
use serde_json::Value;

use crate::support::{Order, Skipping, User, in_memory, metered, on, open, order, user};

async fn drain<T: Stored>(feed: &mut Feed<T>) -> Vec<Change<T>> {
    let mut changes = Vec::new();
    while let Some(change) = feed.try_next().await.unwrap() {
        changes.push(change);
    }
    changes
}

/// Loads the numbers of each block, which becomes a sorted stretch of its own; their totals count the documents.
async fn load(orders: &Table<Order>, duplicates: Duplicates, blocks: &[&[u64]]) -> Commit {
    let mut load = orders.resumable_load("nightly", duplicates).await.unwrap();
    let mut total = 0;
    for block in blocks {
        for number in *block {
            load.add(&order("a", *number, total)).await.unwrap();
            total += 1;
        }
        load.save("").await.unwrap();
    }
    load.finish().await.unwrap().commit.unwrap()
}

fn puts<T: Clone>(changes: &[Change<T>]) -> Vec<T> {
    let put = |change: &Change<T>| match &change.kind {
        ChangeKind::Put(document) => document.clone(),
        ChangeKind::Delete => unreachable!("nothing was removed"),
    };
    changes.iter().map(put).collect()
}

/// Loads of one run, of several that lie side by side, and of several that overlap, with keys that occur twice.
const SHAPES: [(Duplicates, &[&[u64]]); 4] = [
    (Duplicates::Fail, &[&[4, 2, 9, 1]]),
    (Duplicates::Fail, &[&[30, 31, 32], &[20, 22, 21], &[10]]),
    (Duplicates::Skip, &[&[1, 4, 7], &[2, 4, 8], &[3, 6, 7]]),
    (Duplicates::Replace, &[&[1, 4, 7], &[2, 4, 8], &[3, 6, 7, 9]]),
];

#[tokio::test]
async fn a_load_is_a_put_for_every_document_in_the_order_of_the_keys() {
    for (duplicates, blocks) in SHAPES {
        let db = in_memory().await;
        let users = db.table::<User>().await.unwrap();
        let orders = db.table::<Order>().await.unwrap();
        users.insert(&user(1)).await.unwrap();
        let before = orders.insert(&order("b", 1, -1)).await.unwrap();
        let commit = load(&orders, duplicates, blocks).await;
        orders.put(&order("b", 2, -2)).await.unwrap();

        let changes = drain(&mut orders.watch(Since::Beginning).await.unwrap()).await;
        let expected = orders.query().fetch().await.unwrap();
        let (loaded, around) = expected.split_at(expected.len() - 2);
        assert_eq!(puts(&changes), [&around[..1], loaded, &around[1..]].concat(), "{duplicates:?}");
        let of_load = &changes[1..changes.len() - 1];
        assert_eq!(of_load.len(), loaded.len());
        assert!(changes[0].seq == before.seq);
        for change in of_load {
            assert_eq!((change.seq, change.time, change.table.as_str()), (commit.seq, commit.time, "orders"));
            let none = if duplicates == Duplicates::Replace { Previous::Unknown } else { Previous::Absent };
            assert_eq!(change.previous, none, "{duplicates:?}");
        }
        let mut all: Feed<Value> = db.watch(Since::Beginning).await.unwrap();
        assert_eq!(drain(&mut all).await.len(), changes.len() + 1);
        let of_users = drain(&mut users.watch(Since::Beginning).await.unwrap()).await;
        assert_eq!(puts(&of_users), [user(1)]);
    }
}

#[tokio::test]
async fn what_replaces_nothing_says_so() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    for (blocks, expected) in [([&[1, 2][..]], Previous::Absent), ([&[2, 3][..]], Previous::Unknown)] {
        let commit = load(&orders, Duplicates::Replace, &blocks).await;
        let since = Since::Seq(bucketdb::Seq(commit.seq.0 - 1));
        let changes = drain(&mut orders.watch(since).await.unwrap()).await;
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().all(|change| change.previous == expected), "{changes:?}");
    }
    orders.put(&order("a", 3, 7)).await.unwrap();
    let last = drain(&mut orders.watch(Since::Beginning).await.unwrap()).await.pop().unwrap();
    assert_eq!(last.previous, Previous::Document(order("a", 3, 1)), "a change behind a load finds what was loaded");
}

/// From every place, by the cursor of a change and by that of a feed that gave it, the rest follows and nothing else.
async fn resumes_everywhere<T, W>(watch: impl Fn(Since) -> W) -> Vec<Change<T>>
where
    T: Stored + Clone + PartialEq + std::fmt::Debug,
    W: Future<Output = bucketdb::Result<Feed<T>>>,
{
    let changes = drain(&mut watch(Since::Beginning).await.unwrap()).await;
    let mut followed = watch(Since::Beginning).await.unwrap();
    for (index, change) in changes.iter().enumerate() {
        assert_eq!(followed.try_next().await.unwrap().as_ref(), Some(change));
        assert_eq!(followed.cursor(), change.cursor);
        let cursor: Cursor = change.cursor.to_string().parse().unwrap();
        let rest = drain(&mut watch(cursor.into()).await.unwrap()).await;
        assert_eq!(rest, changes[index + 1..], "behind {cursor}");
    }
    changes
}

#[tokio::test]
async fn every_cursor_in_a_load_resumes_behind_its_change() {
    for (duplicates, blocks) in SHAPES {
        let db = in_memory().await;
        let orders = db.table::<Order>().await.unwrap();
        orders.insert(&order("b", 1, -1)).await.unwrap();
        load(&orders, duplicates, blocks).await;
        orders.put(&order("b", 2, -2)).await.unwrap();
        let of_table = resumes_everywhere(|since| orders.watch(since)).await;
        let of_all: Vec<Change<Value>> = resumes_everywhere(|since| db.watch(since)).await;
        let cursors = |changes: &[Change<Order>]| changes.iter().map(|change| change.cursor).collect::<Vec<_>>();
        assert_eq!(cursors(&of_table), of_all.iter().map(|change| change.cursor).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn runs_before_a_cursor_are_not_read() {
    let store = MemoryDriver::new();
    let orders = open(store.clone()).await.table::<Order>().await.unwrap();
    let blocks: Vec<Vec<u64>> = (0..20).rev().map(|block| (block * 10..block * 10 + 10).collect()).collect();
    let blocks: Vec<&[u64]> = blocks.iter().map(Vec::as_slice).collect();
    let commit = load(&orders, Duplicates::Fail, &blocks).await;
    let meter = metered(&store);
    let orders = open(meter.clone()).await.table::<Order>().await.unwrap();
    let cursor: Cursor = format!("1.{}.185", commit.seq).parse().unwrap();
    let mut feed = orders.watch(cursor.into()).await.unwrap();
    let before = meter.usage();
    let rest = drain(&mut feed).await;
    assert_eq!(puts(&rest).iter().map(|order| order.number).collect::<Vec<_>>(), (185..200).collect::<Vec<_>>());
    let used = meter.usage() - before;
    // The record, two runs, and the end of the log.
    assert!(used.requests(Operation::Get) <= 4, "{used:?}");
}

#[tokio::test]
async fn a_load_of_another_table_costs_no_look_at_its_runs() {
    let store = MemoryDriver::new();
    let writer = open(store.clone()).await;
    let orders = writer.table::<Order>().await.unwrap();
    writer.table::<User>().await.unwrap();
    load(&orders, Duplicates::Replace, &[&[1, 4], &[2, 4]]).await;
    let meter = metered(&store);
    let users = open(meter.clone()).await.table::<User>().await.unwrap();
    let before = meter.usage();
    assert!(drain(&mut users.watch(Since::Beginning).await.unwrap()).await.is_empty());
    let position = writer.position();
    let used = meter.usage() - before;
    assert!(used.requests(Operation::Get) <= position.0 + 1, "{used:?}");
}

#[tokio::test]
async fn a_feed_that_cannot_read_a_document_as_its_type_leaves_none_out() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let mut load = orders.bulk_load(Duplicates::Fail).await.unwrap();
    for number in 1..=3_u64 {
        let total = if number == 2 { Value::from("two") } else { Value::from(number) };
        load.add_value(&serde_json::json!({"shop": "a", "number": number, "total": total})).await.unwrap();
    }
    load.finish().await.unwrap();
    let mut feed = orders.watch(Since::Beginning).await.unwrap();
    assert_eq!(feed.try_next().await.unwrap().unwrap().kind, ChangeKind::Put(order("a", 1, 1)));
    for _ in 0..2 {
        assert!(matches!(feed.try_next().await, Err(Error::InvalidDocument { .. })));
    }
    let mut rest: Feed<Value> = db.watch(feed.cursor().into()).await.unwrap();
    assert_eq!(drain(&mut rest).await.len(), 2);
}

/// A database whose superfluous objects go after half an hour.
async fn forgetful(store: &MemoryDriver, clock: &Skipping, history: Duration) -> Database {
    let builder = on(store.clone()).environment(clock.clone()).grace(Duration::from_secs(1_800)).history(history);
    builder.open().await.unwrap()
}

/// Moves what was loaded to other runs, and removes what nobody needs any more.
async fn forget(db: &Database, clock: &Skipping) -> u64 {
    db.checkpoint().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    for number in 0..3 {
        orders.put(&order("c", number, 0)).await.unwrap();
        db.compact().await.unwrap();
    }
    collect(db, clock).await
}

/// Removes what nobody needs any more, and says how many objects that were.
async fn collect(db: &Database, clock: &Skipping) -> u64 {
    // What counts is since when it is known that `head` covers a checkpoint, which the first look may find out.
    let mut objects = 0;
    for _ in 0..3 {
        objects += db.collect_garbage().await.unwrap().objects;
        clock.skip(1_801);
    }
    objects
}

#[tokio::test]
async fn a_load_is_there_for_as_long_as_the_past_is_kept() {
    for (duplicates, blocks) in SHAPES {
        let store = MemoryDriver::new();
        let clock = Skipping::default();
        let db = forgetful(&store, &clock, Duration::from_secs(86_400)).await;
        let orders = db.table::<Order>().await.unwrap();
        load(&orders, duplicates, blocks).await;
        let expected = drain(&mut orders.watch(Since::Beginning).await.unwrap()).await;
        let mut followed = orders.watch(Since::Beginning).await.unwrap();
        for change in &expected[..2] {
            assert_eq!(followed.try_next().await.unwrap().as_ref(), Some(change));
        }
        forget(&db, &clock).await;
        let reopened = forgetful(&store, &clock, Duration::from_secs(86_400)).await;
        let late = reopened.table::<Order>().await.unwrap();
        let changes = drain(&mut late.watch(Since::Beginning).await.unwrap()).await;
        assert_eq!(changes[..expected.len()], expected);
        let rest = drain(&mut followed).await;
        assert_eq!(rest[..expected.len() - 2], expected[2..]);
        assert_eq!(db.verify(|_| ()).await.unwrap().findings, []);
    }
}

#[tokio::test]
async fn the_record_at_the_floor_is_a_load_that_can_be_read() {
    let store = MemoryDriver::new();
    let clock = Skipping::default();
    let db = forgetful(&store, &clock, Duration::ZERO).await;
    let orders = db.table::<Order>().await.unwrap();
    load(&orders, Duplicates::Fail, SHAPES[1].1).await;
    let expected = drain(&mut orders.watch(Since::Beginning).await.unwrap()).await;
    // The floor is the position that it covers, which is that of the load.
    db.checkpoint().await.unwrap();
    collect(&db, &clock).await;
    assert_eq!(drain(&mut orders.watch(Since::Beginning).await.unwrap()).await, expected);
}

#[tokio::test]
async fn a_load_that_was_given_up_is_an_error_that_says_where_to_go_on() {
    for (duplicates, blocks) in SHAPES {
        let store = MemoryDriver::new();
        let clock = Skipping::default();
        let db = forgetful(&store, &clock, Duration::ZERO).await;
        let orders = db.table::<Order>().await.unwrap();
        let commit = load(&orders, duplicates, blocks).await;
        let expected = drain(&mut orders.watch(Since::Beginning).await.unwrap()).await;
        // They know the log, and nothing of what comes; one has begun to read.
        let slow = [forgetful(&store, &clock, Duration::ZERO).await, forgetful(&store, &clock, Duration::ZERO).await];
        let [slow, idle] = &slow;
        let mut halfway: Feed<Order> = slow.table().await.unwrap().watch(Since::Beginning).await.unwrap();
        let mut unread: Feed<Order> = idle.table().await.unwrap().watch(Since::Beginning).await.unwrap();
        assert_eq!(halfway.try_next().await.unwrap().as_ref(), Some(&expected[0]));
        let mut given = 1;
        assert!(forget(&db, &clock).await > 0);
        for _ in 0..2 {
            // What has arrived is given; never is there a gap.
            let error = loop {
                match halfway.try_next().await {
                    Ok(Some(change)) if change.seq == commit.seq => {
                        assert_eq!(change, expected[given]);
                        given += 1;
                    }
                    Ok(other) => panic!("it went on with {other:?} behind {given} of {}", expected.len()),
                    Err(error) => break error,
                }
            };
            let unread = unread.try_next().await.unwrap_err();
            for error in [error, unread] {
                let Error::FeedExpired { resume_from } = error else { panic!("{error:?}") };
                let text = resume_from.to_string();
                assert!(text.split('.').nth(1).unwrap().parse::<u64>().unwrap() > commit.seq.0, "{text}");
                let changes = drain(&mut orders.watch(resume_from.into()).await.unwrap()).await;
                assert!(changes.iter().all(|change| change.seq > commit.seq), "{changes:?}");
            }
        }
    }
}
