//! What a read may miss, and what it may not.

use std::time::Duration;

use bucketdb::{Freshness, MemoryDriver};

use crate::support::{User, on, open, user};

#[tokio::test]
async fn a_strict_read_sees_what_others_were_told_before() {
    let store = MemoryDriver::new();
    let writer = open(store.clone()).await;
    let reader = on(store).staleness(Duration::ZERO).open().await.unwrap();
    let (written, read) = (writer.table::<User>().await.unwrap(), reader.table::<User>().await.unwrap());
    for number in 0..100 {
        written.insert(&user(number)).await.unwrap();
        assert_eq!(read.get(&user(number).id).await.unwrap(), Some(user(number)));
    }
}

#[tokio::test]
async fn local_and_bounded_reads_may_lag_and_see_what_this_process_wrote() {
    let store = MemoryDriver::new();
    let (a, b) = (open(store.clone()).await, on(store).staleness(Duration::from_secs(3600)).open().await.unwrap());
    let (users_a, users_b) = (a.table::<User>().await.unwrap(), b.table::<User>().await.unwrap());
    users_b.insert(&user(1)).await.unwrap();
    users_a.insert(&user(2)).await.unwrap();
    assert_eq!(users_b.get("u_2").await.unwrap(), None, "within an hour it need not ask");
    assert_eq!(users_b.get("u_1").await.unwrap(), Some(user(1)));
    let local = users_b.clone().with_freshness(Freshness::Local);
    assert_eq!(local.get("u_2").await.unwrap(), None);
    let strict = users_b.clone().with_freshness(Freshness::Strict);
    assert_eq!(strict.get("u_2").await.unwrap(), Some(user(2)));
    assert_eq!(local.get("u_2").await.unwrap(), Some(user(2)), "reads never go backwards");
}
