//! Several openings of one database at once, as several processes would have it.

use std::time::Duration;

use bucketdb::{DelayDriver, Environment, Error, MemoryDriver, TokioEnvironment};

use crate::support::{Order, User, on, open, order, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_from_several_openings_are_all_counted() {
    let store = MemoryDriver::new();
    open(store.clone()).await.table::<Order>().await.unwrap().insert(&order("a", 1, 0)).await.unwrap();
    let workers = (0..4).map(|_| {
        let env = TokioEnvironment::new();
        let delay = Duration::from_micros(300);
        let slow = DelayDriver::new(store.clone(), env).reads(delay).writes(delay);
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let orders = open(slow).await.table::<Order>().await.unwrap();
                for _ in 0..100 {
                    orders.update(("a", 1), |order| order.total += 1).await.unwrap();
                }
            });
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker.unwrap();
    }
    let total = open(store).await.table::<Order>().await.unwrap().get(("a", 1)).await.unwrap().unwrap().total;
    assert_eq!(total, 400);
}

#[tokio::test]
async fn of_two_inserts_of_one_key_one_is_refused() {
    let store = MemoryDriver::new();
    let (a, b) = (open(store.clone()).await, open(store).await);
    let (users_a, users_b) = (a.table::<User>().await.unwrap(), b.table::<User>().await.unwrap());
    for number in 0..50 {
        let document = user(number);
        let outcomes = futures::join!(users_a.insert(&document), users_b.insert(&document));
        let refused = [outcomes.0, outcomes.1]
            .into_iter()
            .filter(|outcome| matches!(outcome, Err(Error::AlreadyExists { .. })))
            .count();
        assert_eq!(refused, 1);
    }
}

#[tokio::test]
async fn two_programs_that_register_the_same_type_agree() {
    let store = MemoryDriver::new();
    let (a, b) = (open(store.clone()).await, on(store.clone()).open().await.unwrap());
    let (first, second) = futures::join!(a.table::<User>(), b.table::<User>());
    first.unwrap().insert(&user(1)).await.unwrap();
    second.unwrap().insert(&user(2)).await.unwrap();
    let tables = open(store).await.stats().unwrap().tables;
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].stats.documents, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_the_first_checkpoint_is_made_stays_deleted() {
    let store = MemoryDriver::new();
    let slow = DelayDriver::new(store.clone(), TokioEnvironment::new()).writes(Duration::from_millis(500));
    let (a, b) = (open(slow).await, open(store.clone()).await);
    let users = a.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    let users = b.table::<User>().await.unwrap();
    let making = a.checkpoint();
    // The checkpoint covers the document, and its record comes behind the deletion.
    let deleting = async {
        TokioEnvironment::new().sleep(Duration::from_millis(100)).await;
        users.delete("u_1").await.unwrap();
    };
    let (made, ()) = tokio::join!(making, deleting);
    made.unwrap();
    b.refresh(bucketdb::Freshness::Strict).await.unwrap();
    assert!(b.checkpointed() < b.position() && b.checkpointed().0 > 0);
    assert_eq!(users.get("u_1").await.unwrap(), None);
    assert_eq!(users.query().count().await.unwrap(), 0);
}
