//! Stores that ignore conditions, as rclone's S3 server does: it says yes to every writer.

use std::sync::Mutex;

use bucketdb::{Condition, Error, Freshness, Key, LogError, SlotNames};
use bucketdb_system_tests::{Entry, Line};
use tokio::runtime::Runtime;

use crate::stores::{PREFIX, Store};
use crate::support::{alone, report, runtime};
use crate::workers::{Worker, side_by_side};

/// Far more than two processes can write before they notice each other.
const MOST_ENTRIES: u32 = 2000;

/// So many are written before two processes write.
const ALONE_FIRST: u32 = 20;

/// What one process was told.
#[derive(Debug, Default)]
struct Told {
    /// The entries that were acknowledged, with their positions and the session that wrote them.
    acknowledged: Vec<(String, u64, String)>,
    /// Why the first insertion failed, and those after it.
    failures: Vec<String>,
}

/// Held: several nodes are refused on such a store, with the reason, and nothing is left behind.
/// Catches: a store that is believed because it says that it knows the header.
#[test]
fn several_nodes_are_refused() {
    let _alone = alone();
    let runtime = runtime();
    let Some(store) = runtime.block_on(Store::rclone()) else { return };
    let error = runtime.block_on(store.builder().ring_size(4).open()).unwrap_err();
    let Error::Log(LogError::UnfitStore { place, reason }) = &error else { panic!("{error}") };
    assert_eq!(*place, store.driver.fingerprint());
    for word in ["create-only", "created again", "ring size of 1"] {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
    }
    assert_eq!(runtime.block_on(store.driver.list("", None)).unwrap().objects, []);
}

/// Held: one node works there, under names that nobody else can overwrite, and what it wrote is there when it is opened
/// again.
/// Catches: a store that is refused though it could serve; a database there that can be opened only once.
#[test]
fn one_node_works() {
    let _alone = alone();
    let runtime = runtime();
    let Some(store) = runtime.block_on(Store::rclone()) else { return };
    runtime.block_on(async {
        for round in 0..3 {
            let db = store.builder().ring_size(1).open().await.unwrap();
            assert_eq!(db.stats().unwrap().slot_names, SlotNames::PerSession);
            let entries = db.table::<Entry>().await.unwrap();
            for number in 0..5 {
                entries.insert(&Entry { id: format!("{round}-{number}"), worker: round }).await.unwrap();
            }
            let count = entries.query().freshness(Freshness::Strict).count().await.unwrap();
            assert_eq!(count, 5 * (u64::from(round) + 1));
            db.close().await.unwrap();
        }
    });
}

/// Held: two processes that write there by mistake both stop with an error that says so and what to do; doing it loses
/// nothing that was acknowledged.
/// Catches: a process that goes on beside the other, so that one of the two histories is lost later; an acknowledgement
/// given before the position was looked at.
#[test]
fn a_second_process_is_found_out_and_nothing_acknowledged_is_lost() {
    let _alone = alone();
    let runtime = runtime();
    let Some(store) = runtime.block_on(Store::rclone()) else { return };
    let mut first = open_worker(&store, 0);
    let mut told = insert_alone(&mut first);
    // It has seen all that, and goes on from there as the first one does.
    let processes = [first, open_worker(&store, 1)].map(|process| Mutex::new(Some(process)));
    told.extend(side_by_side(0..2, |worker| {
        let process = processes[worker as usize].lock().unwrap().take().unwrap();
        let told = insert_until_it_fails(process, worker);
        check_failures(&told.failures);
        told
    }));
    check_resolved(&runtime, &store, &told);
}

/// Held: a second process that was opened by mistake long ago and then writes, knowing nothing of what the first one
/// wrote since, is told so at its first commit, the first one at its next, and whoever opens the database later too;
/// what was acknowledged to the first one is not lost.
/// Catches: a second history that begins in the middle of the first and is taken for it; a first process that goes on in
/// a log that nobody can open.
#[test]
fn a_second_process_that_is_behind_is_found_out() {
    let _alone = alone();
    let runtime = runtime();
    let Some(store) = runtime.block_on(Store::rclone()) else { return };
    let mut first = open_worker(&store, 0);
    let second = open_worker(&store, 1);
    let mut told = insert_alone(&mut first);
    let late = insert_until_it_fails(second, 1);
    check_failures(&late.failures);
    assert_eq!(late.acknowledged, []);
    let stopped = insert_until_it_fails(first, 0);
    assert_eq!(stopped.acknowledged, []);
    let [unknown, later @ ..] = stopped.failures.as_slice() else { panic!("nothing failed") };
    assert!(unknown.contains("the outcome of commit") || unknown.contains("was stopped by object"), "{unknown}");
    assert!(later.iter().all(|text| text.contains("was written twice") || text.contains("was stopped by object")));
    told.extend([late, stopped]);
    check_resolved(&runtime, &store, &told);
}

/// What a process says that has found another one: of the commit that found it out, it cannot tell whether it is the
/// one to stay, and all after it say what is wrong and what to do.
fn check_failures(failures: &[String]) {
    let [first, later @ ..] = failures else { panic!("nothing failed") };
    let is_fork = |text: &String| text.contains("was written twice") && text.contains("delete the other");
    assert!(first.contains("the outcome of commit") || is_fork(first), "{first}");
    assert!(!later.is_empty() && later.iter().all(is_fork), "{later:?}");
}

/// Does what the error says, and checks that everything is there that anyone was told is committed.
fn check_resolved(runtime: &Runtime, store: &Store, told: &[Told]) {
    let deleted = resolve(runtime, store, told);
    let db = runtime.block_on(store.builder().create(false).open()).unwrap();
    let entries = runtime.block_on(db.table::<Entry>()).unwrap();
    let acknowledged: Vec<_> = told.iter().flat_map(|told| &told.acknowledged).collect();
    for (id, position, _) in &acknowledged {
        let found = runtime.block_on(entries.get(id)).unwrap();
        assert!(found.is_some(), "{id}, acknowledged at {position}, was lost");
    }
    runtime.block_on(entries.insert(&Entry { id: "after".into(), worker: 9 })).expect("the database works again");
    let count = acknowledged.len();
    report(format_args!("a second process on rclone: {count} entries acknowledged, none lost; deleted {deleted}"));
}

/// What the first process is told while it is the only one that writes.
fn insert_alone(process: &mut Worker) -> Vec<Told> {
    let mut told = Told::default();
    for number in 0..ALONE_FIRST {
        process.order(&format!("alone-{number}"));
        match process.line() {
            Some(Line::Inserted { id, position, session }) => told.acknowledged.push((id, position, session)),
            line => panic!("{line:?}"),
        }
    }
    vec![told]
}

fn open_worker(store: &Store, worker: u32) -> Worker {
    let mut process = Worker::start(store, &["insert", "--worker", &worker.to_string()]);
    process.order("open");
    let opened = process.line();
    assert!(matches!(opened, Some(Line::Opened(_))), "{opened:?}");
    process
}

fn insert_until_it_fails(mut process: Worker, worker: u32) -> Told {
    let mut told = Told::default();
    for number in 0..MOST_ENTRIES {
        process.order(&format!("{worker}-{number}"));
        match process.line() {
            Some(Line::Inserted { id, position, session }) => {
                assert!(told.failures.is_empty(), "a process that had failed was told that {id} is committed");
                told.acknowledged.push((id, position, session));
            }
            Some(Line::Failed { reason, .. }) => told.failures.push(reason),
            line => panic!("{line:?}: {}", process.finish().complaint),
        }
        if told.failures.len() == 3 {
            break;
        }
    }
    process.succeed();
    told
}

/// Does what the errors say: keeps the objects that hold what was acknowledged, and deletes the others and the one that
/// stopped the log. Gives what it deleted.
fn resolve(runtime: &Runtime, store: &Store, told: &[Told]) -> String {
    let acknowledged: Vec<String> = told
        .iter()
        .flat_map(|told| &told.acknowledged)
        .map(|(_, position, session)| format!("{PREFIX}/log/{position:020}-{session}"))
        .collect();
    let mut deleted = Vec::new();
    loop {
        let object = match runtime.block_on(store.builder().create(false).open()) {
            Ok(_) => break,
            Err(Error::Log(LogError::Halted { object, .. })) => object,
            Err(Error::Log(LogError::Forked { first, second, .. })) => {
                if acknowledged.contains(&first) {
                    second
                } else {
                    first
                }
            }
            Err(error) => panic!("{error}"),
        };
        assert!(object.starts_with(&format!("{PREFIX}/log/")));
        assert!(!acknowledged.contains(&object), "{object} was acknowledged and has to go");
        runtime.block_on(store.driver.delete(&Key::new(&object).unwrap())).unwrap();
        deleted.push(object);
    }
    assert!(!deleted.is_empty(), "whoever opens the database is told as well");
    deleted.join(", ")
}

/// Held: the store of these tests is one that lies.
/// Catches: a newer rclone that honours conditions, with which the tests above would show nothing.
#[test]
fn the_store_lies() {
    let runtime = runtime();
    let Some(store) = runtime.block_on(Store::rclone()) else { return };
    let key = Key::new("a").unwrap();
    for body in ["first", "second"] {
        runtime.block_on(store.driver.put(&key, body.into(), Condition::IfAbsent)).unwrap();
    }
}
