//! What is in a log besides documents: bulk loads that were saved, branches, snapshots with names, and what is left of a
//! database that was dropped. Of one object bytes are changed, or a record is written behind the others; whoever goes on
//! with the load, opens the branch and drops what there is gets an answer or an error, and takes no memory that what is
//! stored does not account for. Where nothing was changed, all of it succeeds.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use bucketdb::{Cache, Condition, Database, DatabaseBuilder, Document, Driver, Duplicates, Error, Key};
use bucketdb_fuzz::{Edit, KnownStore, edited};
use bucketdb_log::format::{Checksums, decode, encode};
use bucketdb_log::{ChainHash, DatabaseId, Entry, Layout, LogTime, Record, RecordKind, SessionId, is_branch_name};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

#[derive(Arbitrary, Debug)]
struct Input {
    damage: Damage,
    edits: Vec<Edit>,
}

#[derive(Arbitrary, Debug)]
enum Damage {
    /// To one of the objects.
    Object(u8),
    /// A further record that says what one of them says, but for the edits.
    Record { like: u8, kind: Option<u8> },
}

const KINDS: [RecordKind; 12] = [
    RecordKind::Transactions,
    RecordKind::Genesis,
    RecordKind::Schema,
    RecordKind::Options,
    RecordKind::Halt,
    RecordKind::Floor,
    RecordKind::Checkpoint,
    RecordKind::Sweep,
    RecordKind::IngestBegin,
    RecordKind::Ingest,
    RecordKind::Drop,
    RecordKind::Branch,
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 1)]
struct User {
    #[document(key)]
    id: u32,
    name: String,
}

struct Base {
    runtime: Runtime,
    objects: Vec<(Key, Bytes)>,
    /// Those of the log, and the last of the database `db`.
    records: Vec<Record>,
    last: Record,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let objects = runtime.block_on(base()).unwrap();
    // Checksums are zero in a fuzzer's build, so that any database's do.
    let checksums = checksums();
    let read = |(key, body): &(Key, Bytes)| {
        let record = decode(body, key.as_str(), &checksums).ok()?;
        Some((key.as_str().starts_with("db/log/"), record))
    };
    let records: Vec<(bool, Record)> = objects.iter().filter_map(read).collect();
    let last = records.iter().filter(|(is_of_db, _)| *is_of_db).map(|(_, record)| record.clone()).next_back().unwrap();
    Base { runtime, objects, records: records.into_iter().map(|(_, record)| record).collect(), last }
});

fn checksums() -> Checksums {
    Checksums::new(DatabaseId([0; 16]))
}

fn user(id: u32) -> User {
    User { id, name: format!("user {id}") }
}

fn at(store: &KnownStore, prefix: &str) -> DatabaseBuilder {
    let timeout = Duration::from_millis(200);
    let builder = Database::builder().driver(store.clone()).prefix(prefix).commit_timeout(timeout);
    // Caches tell runs apart by their checksums.
    builder.request_timeout(timeout).cache(Cache::new(0))
}

const LOAD: &str = "import";
const NOTE: &[u8] = b"line 12";

async fn base() -> bucketdb::Result<Vec<(Key, Bytes)>> {
    let store = KnownStore::default();
    let db = at(&store, "db").open().await?;
    let users = db.table::<User>().await?;
    for id in 0..4 {
        users.insert(&user(id)).await?;
    }
    db.create_snapshot("noon").await?;
    db.checkpoint().await?;
    for name in ["staging", "old", "older"] {
        db.create_branch(name).await?;
    }
    let branch = at(&store, "db").branch("staging").open().await?;
    branch.table::<User>().await?.put(&user(5)).await?;
    branch.close().await?;
    db.drop_branch("old").await?;
    let mut load = users.resumable_load(LOAD, Duplicates::Skip).await?;
    for id in 2..12 {
        load.add(&user(id)).await?;
    }
    load.save(NOTE).await?;
    drop(load);
    db.close().await?;
    let gone = at(&store, "gone").open().await?;
    gone.table::<User>().await?.put(&user(1)).await?;
    gone.create_branch("held").await?;
    gone.drop_database("gone").await?;
    let mut objects = Vec::new();
    for info in store.list("", None).await?.objects {
        let body = store.get(&info.key).await?.body;
        objects.push((info.key, body));
    }
    Ok(objects)
}

/// Goes on with the load, and tells which documents there are at the end.
async fn go_on(db: &Database) -> bucketdb::Result<Vec<u32>> {
    let users = db.table::<User>().await?;
    let mut load = users.resumable_load(LOAD, Duplicates::Skip).await?;
    load.add(&user(20)).await?;
    load.save("line 20").await?;
    assert_eq!(load.saved(), Some(&b"line 20"[..]));
    load.finish().await?;
    Ok(users.query().fetch().await?.iter().map(|user| user.id).collect())
}

/// The names of the branches, each opened, and how many documents the last that opens has.
async fn branches(store: &KnownStore, db: &Database) -> bucketdb::Result<(Vec<String>, usize)> {
    let mut count = 0;
    let names: Vec<String> = db.branches().await?.into_iter().map(|branch| branch.name).collect();
    assert!(names.iter().all(|name| is_branch_name(name)), "{names:?}");
    for name in &names {
        if let Ok(branch) = at(store, "db").branch(name).create(false).open().await {
            let found = branch.table::<User>().await?.query().fetch().await;
            let _ = branch.close().await;
            count = found?.len();
        }
    }
    for name in &names {
        db.drop_branch(name).await?;
    }
    Ok((names, count))
}

async fn snapshots(db: &Database) -> bucketdb::Result<usize> {
    let mut count = 0;
    for snapshot in db.snapshots().await? {
        count += db.at(&*snapshot.name).await?.table::<User>()?.query().fetch().await?.len();
        db.drop_snapshot(&snapshot.name).await?;
    }
    Ok(count)
}

/// Everything; each of these may fail by itself.
async fn use_it(store: &KnownStore, is_whole: bool) -> bucketdb::Result<()> {
    let opened = at(store, "db").open().await;
    if let Ok(db) = &opened {
        let snapshots = snapshots(db).await;
        let branches = branches(store, db).await;
        let loaded = go_on(db).await;
        let verified = db.verify(|_| ()).await;
        let _ = db.checkpoint().await;
        let _ = db.collect_garbage().await;
        let dropped = db.drop_database("db").await;
        let _ = db.close().await;
        if is_whole {
            assert_eq!(snapshots?, 4);
            assert_eq!(branches?, (vec!["older".to_owned(), "staging".to_owned()], 5));
            assert_eq!(loaded?, (0..12).chain([20]).collect::<Vec<u32>>());
            verified?;
            dropped?;
        }
    }
    // Dropped, but its branch has what it had: the prefix is not free.
    let next = at(store, "gone").open().await;
    if let Ok(next) = &next {
        let _ = next.table::<User>().await?.put(&user(1)).await;
        let _ = next.close().await;
    }
    let held = at(store, "gone").branch("held").create(false).open().await;
    if let Ok(held) = &held {
        let found = held.table::<User>().await?.query().fetch().await;
        let _ = held.close().await;
        assert!(!is_whole || found? == [user(1)]);
    }
    if is_whole {
        assert!(next.is_err_and(|error| error.to_string().contains("dropped")));
        held?;
    }
    opened.map(|_| ())
}

fn further(base: &Base, (like, kind): (u8, Option<u8>), edits: &[Edit]) -> Option<(Key, Bytes)> {
    let like = base.records.get(usize::from(like) % base.records.len())?;
    let payload = like.entries.first().map(|entry| entry.payload.clone()).unwrap_or_default();
    let kind = kind.and_then(|kind| KINDS.get(usize::from(kind) % KINDS.len()).copied()).unwrap_or(like.kind);
    let record = Record {
        kind,
        seq: base.last.seq.next(),
        time: LogTime(base.last.time.0 + 1),
        node: base.last.node,
        session: SessionId([9; 16]),
        previous: ChainHash([0; 16]),
        entries: vec![Entry { counter: 1, payload: edited(&payload, edits) }],
    };
    let name = Layout::slot_name(record.seq);
    let key = Key::new(format!("db/{name}")).ok()?;
    Some((key, encode(&record, &name, &checksums())))
}

fuzz_target!(|input: Input| {
    let base = &*BASE;
    base.runtime.block_on(async {
        let store = KnownStore::default();
        let mut objects = base.objects.clone();
        let mut is_whole = false;
        match input.damage {
            Damage::Object(number) => {
                let number = usize::from(number) % objects.len();
                let (_, body) = &mut objects[number];
                let changed = edited(body, &input.edits);
                is_whole = changed == *body;
                *body = changed;
            }
            Damage::Record { like, kind } => objects.extend(further(base, (like, kind), &input.edits)),
        }
        for (key, body) in objects {
            store.put(&key, body, Condition::Always).await.unwrap();
        }
        let used = use_it(&store, is_whole).await;
        assert!(!is_whole || used.is_ok(), "{:?}", used.err().map(|error: Error| error.to_string()));
    });
});
