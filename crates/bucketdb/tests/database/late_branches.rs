//! Creating a branch comes to an end, or to an error, and leaves no name that is taken for good, whatever others do at the same
//! time and wherever it is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bucketdb::{
    Database, DatabaseBuilder, Driver, Environment, Error, ErrorKind, Fault, FaultDriver, LogError, MemoryDriver,
    Operation,
};

use futures::future::{self, Either};
use tokio::sync::Notify;

use crate::branches::{Model, put, shown};
use crate::meanwhile::{Deed, Meanwhile};
use crate::support::{GRACE_S, Skipping, on};

/// What the creator is about to write when it stands still.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Origin,
    Head,
    Record,
}

impl Before {
    fn is_about(self, key: &str) -> bool {
        let is_of_branch = key.starts_with("db/branch/");
        is_of_branch
            && match self {
                Self::Origin => key.ends_with("/origin"),
                Self::Head => key.ends_with("/head"),
                Self::Record => key.contains("/log/"),
            }
    }
}

/// What others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Others {
    DropParent,
    /// And nothing is left of it but the record that says so.
    RemoveParent,
    ReplaceParent,
    DropBranch,
    ReplaceBranch,
}

/// What must be, in one of many cases.
trait ExpectIn<T> {
    fn expect_in(self, case: &str) -> T;
}

impl<T> ExpectIn<T> for Result<T, Error> {
    fn expect_in(self, case: &str) -> T {
        assert!(self.is_ok(), "{case}: {:?}", self.err());
        self.unwrap()
    }
}

/// A bucket, and a clock that all processes have.
#[derive(Clone, Default)]
struct Bucket {
    store: MemoryDriver,
    clock: Skipping,
}

impl Bucket {
    fn builder(&self, driver: impl Driver) -> DatabaseBuilder {
        let grace = Duration::from_secs(GRACE_S);
        on(driver).environment(self.clock.clone()).staleness(Duration::ZERO).grace(grace)
    }

    async fn open(&self) -> Result<Database, Error> {
        self.builder(self.store.clone()).open().await
    }

    async fn left(&self, under: &str) -> Vec<String> {
        let page = self.store.list(under, None).await.unwrap();
        page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()).collect()
    }

    /// The bucket of a creator that stands still once, while others do something, and sets a count then.
    fn meanwhile(&self, (before, deed): (Before, Others), (count, set): (&Arc<AtomicU32>, u32)) -> Meanwhile {
        let (is_done, count, others) = (AtomicBool::new(false), count.clone(), self.clone());
        Meanwhile::new(self.store.clone(), move |operation, key| {
            let is_now = operation == Operation::Put && before.is_about(key) && !is_done.swap(true, Ordering::SeqCst);
            let (count, others) = (count.clone(), others.clone());
            is_now.then(|| -> Deed {
                Box::pin(async move {
                    others.do_meanwhile(deed).await;
                    count.store(set, Ordering::SeqCst);
                })
            })
        })
    }

    async fn do_meanwhile(self, deed: Others) {
        if deed == Others::RemoveParent {
            self.builder(self.store.clone()).drop_database("db", true).await.unwrap();
            return;
        }
        let db = self.open().await.unwrap();
        match deed {
            Others::RemoveParent => {}
            Others::DropParent | Others::ReplaceParent => {
                _ = db.drop_database("db").await.unwrap();
                drop(db);
                if deed == Others::ReplaceParent {
                    put(&self.open().await.unwrap(), 2, 2).await;
                }
            }
            Others::DropBranch => _ = db.drop_branch("x").await.unwrap(),
            Others::ReplaceBranch => {
                db.drop_branch("x").await.unwrap();
                db.create_branch("x").await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_again_whatever_was_done_while_a_branch_was_created() {
    for before in [Before::Origin, Before::Head, Before::Record] {
        let all = [
            Others::DropParent,
            Others::RemoveParent,
            Others::ReplaceParent,
            Others::DropBranch,
            Others::ReplaceBranch,
        ];
        for deed in all {
            // As long as there is something of a branch, no other database can take the parent's place.
            if before != Before::Origin && deed == Others::ReplaceParent {
                continue;
            }
            for puts_left in [0, 1, 2, 3, u32::MAX] {
                for has_checkpoint in [false, true] {
                    // Without one, there is no `head` to write.
                    if before == Before::Head && !has_checkpoint {
                        continue;
                    }
                    let case = format!("{before:?}, {deed:?}, cut off after {puts_left}, checkpoint: {has_checkpoint}");
                    create_meanwhile((before, deed), puts_left, has_checkpoint, &case).await;
                }
            }
        }
    }
}

async fn create_meanwhile((before, deed): (Before, Others), puts_left: u32, has_checkpoint: bool, case: &str) {
    let bucket = Bucket::default();
    let db = bucket.open().await.unwrap();
    put(&db, 1, 1).await;
    if has_checkpoint {
        db.checkpoint().await.unwrap();
    }
    db.close().await.unwrap();
    // The creator stands still once, and is cut off so many puts later.
    let left = Arc::new(AtomicU32::new(u32::MAX));
    let meanwhile = bucket.meanwhile((before, deed), (&left, puts_left));
    let counter = left.clone();
    let cut_off = FaultDriver::new(meanwhile, move |operation, _| {
        let less = |left: u32| match operation {
            Operation::Put if left < u32::MAX => left.checked_sub(1),
            _ => (left > 0).then_some(left),
        };
        let is_over = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err();
        if is_over { Fault::Before(ErrorKind::Denied) } else { Fault::None }
    });
    let creator = bucket.builder(cut_off).open().await.unwrap();
    let error = creator.create_branch("x").await.map(|_| ()).unwrap_err();
    let is_told = match deed {
        _ if puts_left != u32::MAX => {
            matches!(error, Error::Log(LogError::Driver(_) | LogError::Dropped { .. }) | Error::UnknownBranch { .. })
        }
        Others::DropParent | Others::RemoveParent | Others::ReplaceParent => {
            matches!(error, Error::Log(LogError::Dropped { .. }))
        }
        Others::DropBranch | Others::ReplaceBranch => matches!(error, Error::UnknownBranch { .. }),
    };
    assert!(is_told, "{case}: {error:?}");
    drop(creator);
    let db = match bucket.open().await {
        // What was begun is there, and has to go first.
        Err(Error::Log(LogError::Nested { .. })) if puts_left != u32::MAX => {
            let begun = bucket.builder(bucket.store.clone()).branch("x");
            begun.drop_database("db/branch/x", false).await.expect_in(case);
            bucket.open().await.expect_in(case)
        }
        outcome => outcome.expect_in(case),
    };
    put(&db, 3, 3).await;
    let expected = shown(&db).await;
    assert_eq!(expected.contains_key(&1), matches!(deed, Others::DropBranch | Others::ReplaceBranch), "{case}");
    if deed == Others::ReplaceBranch {
        let branch = bucket.builder(bucket.store.clone()).branch("x").open().await;
        let branch = branch.expect_in(case);
        assert_eq!(shown(&branch).await, Model::from([(1, 1)]), "{case}");
        drop(branch);
        db.drop_branch("x").await.unwrap();
    }
    db.create_branch("x").await.expect_in(case);
    let branch = bucket.builder(bucket.store.clone()).branch("x").open().await.unwrap();
    assert_eq!(shown(&branch).await, expected, "{case}");
    drop(branch);
    db.drop_branch("x").await.unwrap();
    // Of each that was begun one record is left at most, which says that it is gone.
    db.sweep().await.unwrap();
    bucket.clock.skip(100 * GRACE_S);
    db.sweep().await.unwrap();
    let left = bucket.left("db/branch/").await;
    let mut ids: Vec<&str> = left.iter().filter_map(|key| key.split('/').nth(3)).collect();
    let count = ids.len();
    ids.dedup();
    let is_record = |key: &&String| key.contains("/log/");
    assert_eq!(left.iter().filter(is_record).count(), count - 1, "{case}: {left:#?}");
    assert_eq!(ids.len(), count, "{case}: {left:#?}");
    drop(db);
    let removed = bucket.open().await.unwrap().drop_database("db").await.unwrap();
    assert!(removed.held_by.is_empty(), "{case}");
}

/// Taking back what was begun, too, and within the time that a request may take: the store may be as dead for that as for anything
/// else.
#[tokio::test(start_paused = true)]
async fn a_creation_ends_whatever_request_is_never_answered() {
    for deed in [Others::DropBranch, Others::RemoveParent] {
        let mut hung = 0;
        loop {
            let bucket = Bucket::default();
            let db = bucket.open().await.unwrap();
            put(&db, 1, 1).await;
            db.checkpoint().await.unwrap();
            db.close().await.unwrap();
            let left = Arc::new(AtomicU32::new(u32::MAX));
            let counter = left.clone();
            let dead = FaultDriver::new(bucket.meanwhile((Before::Head, deed), (&left, hung)), move |_, _| {
                // Below zero, it begins anew from the top.
                let is_now = counter.load(Ordering::SeqCst) != u32::MAX && counter.fetch_sub(1, Ordering::SeqCst) == 0;
                if is_now { Fault::Hang } else { Fault::None }
            });
            let creator = bucket.builder(dead).request_timeout(Duration::from_secs(1)).open().await.unwrap();
            // Each is made again a few times at most.
            let later = bucket.clock.sleep(Duration::from_secs(9));
            let creating = std::pin::pin!(creator.create_branch("x"));
            let Either::Left((created, _)) = future::select(creating, later).await else {
                panic!("{deed:?}, request {hung}: it does not end")
            };
            assert!(created.is_err(), "{deed:?}, request {hung}: {created:?}");
            if left.load(Ordering::SeqCst) != u32::MAX {
                break;
            }
            hung += 1;
        }
        assert!(hung > 3, "{deed:?}: only {hung} requests");
    }
}

/// Who drops a branch before it is there, and comes to say so when it is there and written to, drops it as any other: those who
/// write to it hear of it.
#[tokio::test]
async fn who_drops_a_branch_that_came_to_be_meanwhile_drops_it_for_those_who_use_it() {
    let bucket = Bucket::default();
    let db = bucket.open().await.unwrap();
    put(&db, 1, 1).await;
    db.close().await.unwrap();
    let [pinned, go_on, created, written] = std::array::from_fn(|_| Arc::new(Notify::new()));
    let is_origin = |operation, key: &str| operation == Operation::Put && Before::Origin.is_about(key);
    let (stands, goes_on) = (pinned.clone(), go_on.clone());
    let of_creator = Meanwhile::new(bucket.store.clone(), move |operation, key| {
        let (pinned, go_on) = (stands.clone(), goes_on.clone());
        is_origin(operation, key).then(|| -> Deed {
            Box::pin(async move {
                pinned.notify_one();
                go_on.notified().await;
            })
        })
    });
    let (goes_on, is_written, is_done) = (go_on.clone(), written.clone(), AtomicBool::new(false));
    let of_dropper = Meanwhile::new(bucket.store.clone(), move |operation, key| {
        let (go_on, written) = (goes_on.clone(), is_written.clone());
        let is_now = is_origin(operation, key) && !is_done.swap(true, Ordering::SeqCst);
        is_now.then(|| -> Deed {
            Box::pin(async move {
                go_on.notify_one();
                written.notified().await;
            })
        })
    });
    let creator = bucket.builder(of_creator).open().await.unwrap();
    let dropper = bucket.builder(of_dropper).open().await.unwrap();
    let create = async {
        let outcome = creator.create_branch("x").await;
        created.notify_one();
        outcome
    };
    let drop_it = async {
        pinned.notified().await;
        dropper.drop_branch("x").await
    };
    let write = async {
        created.notified().await;
        let branch = bucket.builder(bucket.store.clone()).branch("x").open().await.unwrap();
        put(&branch, 2, 2).await;
        written.notify_one();
        branch
    };
    let (outcome, dropped, branch) = futures::join!(create, drop_it, write);
    outcome.unwrap();
    dropped.unwrap();
    let late = branch.collection("things").put(&serde_json::json!({"id": 3, "n": 3})).await;
    assert!(matches!(late, Err(Error::Log(LogError::Dropped { .. }))), "{late:?}");
    assert_eq!(creator.branches().await.unwrap(), []);
}
