//! Held: of processes that are killed at any moment while they upload blobs and write the documents that refer to them, and
//! while others compact, remove what is superfluous and sweep, no document is left that refers to a blob which is not there
//! or is another one, nothing acknowledged is lost, and no blob is left in the end that no document refers to.
//!
//! Catches: a document that is written before its blob; a blob that is taken for an orphan; one that nobody ever removes.
//!
//! `BUCKETDB_TEST_KILL_ROUNDS` says how many rounds there are at least.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use bucketdb::{Database, Freshness};
use bucketdb_system_tests::{Line, PICTURES, Picture, image_of};
use tokio::runtime::Runtime;

use crate::stores::{PREFIX, Store, on_stores};
use crate::support::{let_pass, random_below};
use crate::workers::{Ending, Worker};

const SIGKILL: i32 = 9;

/// So many rounds there are at least, and as many more as it takes for so many pictures to be acknowledged.
const LEAST_ROUNDS: u64 = 4;
const LEAST_DONE: usize = 50;
const MOST_ROUNDS: u64 = 100;

/// So short that things are removed while the test runs, and on servers so long that one answers within a part of it, on a
/// machine that has other things to do.
const FILE_GRACE: Duration = Duration::from_millis(400);
const SERVER_GRACE: Duration = Duration::from_millis(2_000);

/// A kill comes so much later than the first word of who writes, at most.
const MOST_DELAY: Duration = Duration::from_millis(1_500);

/// So little memory makes those who write make checkpoints often.
const MEMORY: &str = "8388608";

on_stores!(kill_on_files: file);
on_stores!(kill_on_servers: localstack, ceph);

fn kill_on_files(runtime: &Runtime, store: &Store) -> String {
    kill_uploads(runtime, store, FILE_GRACE)
}

fn kill_on_servers(runtime: &Runtime, store: &Store) -> String {
    kill_uploads(runtime, store, SERVER_GRACE)
}

/// What was begun, and what of that was acknowledged, by the numbers of the operations.
#[derive(Default)]
struct Account {
    begun: BTreeSet<u64>,
    done: BTreeSet<u64>,
}

fn kill_uploads(runtime: &Runtime, store: &Store, grace: Duration) -> String {
    runtime.block_on(async {
        let db = store.builder().grace(grace).history(Duration::ZERO).open().await.unwrap();
        db.table::<Picture>().await.unwrap();
        db.close().await.unwrap();
    });
    let mut account = Account::default();
    let wanted = std::env::var("BUCKETDB_TEST_KILL_ROUNDS").map_or(LEAST_ROUNDS, |rounds| rounds.parse().unwrap());
    let mut round = 0;
    while round < wanted || account.done.len() < LEAST_DONE {
        assert!(round < MOST_ROUNDS.max(wanted), "too little is done: {} operations", account.done.len());
        run_round(store, round, &mut account);
        runtime.block_on(async {
            let db = store.open().await;
            check(&db, &account).await;
            db.close().await.unwrap();
        });
        round += 1;
    }
    let (left, removed) = runtime.block_on(clean_up(store, &account, grace));
    format!(
        "; {} of {} operations were acknowledged in {round} rounds, {removed} objects were removed, and {left} blobs are \
         left, each with its document",
        account.done.len(),
        account.begun.len()
    )
}

fn run_round(store: &Store, round: u64, account: &mut Account) {
    let first = account.begun.last().map_or(0, |last| last + 1).to_string();
    let care = if round.is_multiple_of(2) { "gc" } else { "compact" };
    let mut painter = Worker::start(store, &["--max-memory", MEMORY, "paint", "--first", &first]);
    let mut carer = Worker::start(store, &["--max-memory", MEMORY, "care", "--what", care]);
    let mut lines: Vec<Line> = painter.line().into_iter().collect();
    let_pass(Duration::from_micros(random_below(MOST_DELAY.as_micros() as u64)));
    painter.kill();
    carer.kill();
    for (worker, is_painter) in [(painter, true), (carer, false)] {
        let Ending { status, lines: said, complaint } = worker.finish();
        assert_eq!(status.signal(), Some(SIGKILL), "round {round}: a worker ended by itself: {complaint}");
        if is_painter {
            lines.extend(said);
        }
    }
    for line in lines {
        match line {
            Line::Doing(number) => assert!(account.begun.insert(number)),
            Line::Done(number) => assert!(account.done.insert(number)),
            unexpected => panic!("{unexpected:?}"),
        }
    }
}

/// Whether every picture has its image, and which has to be there is.
async fn check(db: &Database, account: &Account) -> usize {
    let pictures = db.table::<Picture>().await.unwrap().with_freshness(Freshness::Strict);
    let found: Vec<Picture> = pictures.query().fetch().await.unwrap();
    for Picture { id, version, image } in &found {
        let content = db.blobs().open(image).unwrap().bytes().await;
        assert_eq!(content.unwrap(), image_of(*id, *version), "picture {id}, version {version}");
    }
    let found: BTreeSet<u64> = found.iter().map(|picture| picture.id).collect();
    for id in &account.done {
        assert!(found.contains(id) || account.begun.contains(&(id + PICTURES)), "picture {id} is lost");
        assert!(!found.contains(id) || !account.done.contains(&(id + PICTURES)), "picture {id} is there again");
    }
    found.len()
}

/// Removes everything that can be: uploads that were announced by a process that was killed last, ten graces later.
async fn clean_up(store: &Store, account: &Account, grace: Duration) -> (usize, u64) {
    let mut removed = 0;
    let mut pictures = 0;
    for _ in 0..4 {
        tokio::task::spawn_blocking(move || let_pass(4 * grace)).await.unwrap();
        let db = store.open().await;
        removed += db.sweep().await.unwrap().removed;
        db.compact().await.unwrap();
        while let Some(left) = {
            let report = db.collect_garbage().await.unwrap();
            removed += report.objects;
            report.next_due
        } {
            tokio::task::spawn_blocking(move || let_pass(left)).await.unwrap();
        }
        pictures = check(&db, account).await;
        let verification = db.verify(|_| {}).await.unwrap();
        assert!(verification.is_clean(), "{:#?}", verification.findings);
        db.close().await.unwrap();
    }
    let mut blobs = 0;
    let folder = format!("{PREFIX}/blob/");
    let mut page = store.driver.list(&folder, None).await.unwrap();
    loop {
        blobs += page.objects.len();
        match page.next {
            Some(next) => page = store.driver.list(&folder, Some(&next)).await.unwrap(),
            None => break,
        }
    }
    assert_eq!(blobs, pictures, "blobs, and documents that refer to them");
    (blobs, removed)
}
