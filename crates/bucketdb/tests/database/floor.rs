//! Positions that were given up: never a wrong answer, and a way to go on.

use std::time::Duration;

use bucketdb::{Error, MemoryDriver, Point, Since};

use crate::support::{Order, on, order};

#[tokio::test]
async fn what_was_given_up_is_an_error_that_says_where_to_go_on() {
    let db = on(MemoryDriver::new()).history(Duration::ZERO).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    let first = orders.insert(&order("a", 1, 1)).await.unwrap();
    let second = orders.insert(&order("a", 2, 2)).await.unwrap();
    let mut followed = orders.watch(Since::Seq(first.seq)).await.unwrap();
    let mut left_behind = orders.watch(Since::Beginning).await.unwrap();
    db.checkpoint().await.unwrap();
    for point in [Point::Seq(first.seq), first.time.into()] {
        let outcome = db.at(point).await;
        assert!(matches!(outcome, Err(Error::SnapshotExpired { floor }) if floor == second.seq), "{outcome:?}");
    }
    assert_eq!(followed.try_next().await.unwrap().unwrap().seq, second.seq);
    let error = left_behind.try_next().await.unwrap_err();
    let Error::FeedExpired { resume_from } = error else { unreachable!("{error:?}") };
    for since in [Since::Cursor(resume_from), Since::Beginning] {
        let mut resumed = orders.watch(since).await.unwrap();
        assert_eq!(resumed.try_next().await.unwrap().unwrap().seq, second.seq);
        assert_eq!(resumed.try_next().await.unwrap(), None);
    }
}
