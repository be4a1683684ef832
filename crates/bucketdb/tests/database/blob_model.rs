//! Blobs for as long as a document refers to them, now or at a position that can be read, and not for longer, whatever is
//! written, merged, swept and removed meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use bucketdb::{Blob, Database, Driver, Duplicates, Error, Freshness, MemoryDriver, Seq};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{GRACE_S, Skipping, on_clock};

const NAMES: [&str; 2] = ["first", "second"];

/// What a document refers to, and what that holds.
type Held = (Blob, String);

type Model = BTreeMap<u64, Option<Held>>;

#[derive(Clone, Debug)]
enum Step {
    /// A document with a new blob.
    Put(u64),
    /// The same in a transaction that reads it.
    Replace(u64),
    /// The document again, with the blob that it has.
    Touch(u64),
    /// The document with a blob that it had before, so many ago.
    PutBack(u64, usize),
    /// A document with the blob that another one has, or had.
    Steal(u64, u64),
    /// Two documents with new blobs, of which one stays.
    Pair(u64, u64),
    Delete(u64),
    /// Documents without blobs.
    Load(Vec<u64>),
    /// A blob that nobody refers to.
    Orphan,
    /// A blob that is swept before its document is written.
    TooLate(u64),
    Create(usize),
    Drop(usize),
    Checkpoint,
    Compact,
    Skip(u64),
    Collect,
    Sweep,
    Reopen,
}

fn step() -> BoxedStrategy<Step> {
    let key = 0..6_u64;
    prop_oneof![
        6 => key.clone().prop_map(Step::Put),
        2 => key.clone().prop_map(Step::Replace),
        2 => key.clone().prop_map(Step::Touch),
        2 => (key.clone(), 0..3_usize).prop_map(|(key, back)| Step::PutBack(key, back)),
        2 => (key.clone(), key.clone()).prop_map(|(from, to)| Step::Steal(from, to)),
        1 => (key.clone(), key.clone()).prop_map(|(first, second)| Step::Pair(first, second)),
        4 => key.clone().prop_map(Step::Delete),
        1 => prop::collection::vec(key.clone(), 1..4).prop_map(Step::Load),
        1 => Just(Step::Orphan),
        1 => key.prop_map(Step::TooLate),
        2 => (0..NAMES.len()).prop_map(Step::Create),
        1 => (0..NAMES.len()).prop_map(Step::Drop),
        5 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        4 => (1..2 * GRACE_S).prop_map(Step::Skip),
        4 => Just(Step::Collect),
        2 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
    .boxed()
}

struct World {
    store: MemoryDriver,
    clock: Skipping,
    history: Option<Duration>,
    handles: [Database; 2],
    present: Model,
    /// All that each document ever referred to.
    held: BTreeMap<u64, Vec<Held>>,
    /// What was there at some positions.
    past: BTreeMap<Seq, Model>,
    named: BTreeMap<&'static str, Model>,
    uploads: u64,
}

fn document(key: u64, held: Option<&Held>) -> Value {
    match held {
        Some((blob, _)) => json!({"id": key, "more": {"file": blob}}),
        None => json!({"id": key}),
    }
}

async fn upload(db: &Database, uploads: &mut u64) -> Held {
    *uploads += 1;
    let content = format!("content {uploads}");
    (db.blobs().upload(content.clone()).await.unwrap(), content)
}

/// Whether there are these documents, and all that they refer to.
async fn check(db: &Database, found: Vec<Value>, expected: &Model) {
    let documents: Vec<Value> = expected.iter().map(|(key, held)| document(*key, held.as_ref())).collect();
    assert_eq!(found, documents);
    for (blob, content) in expected.values().flatten() {
        assert_eq!(db.blobs().open(blob).unwrap().bytes().await.unwrap(), content.as_str());
    }
}

impl World {
    fn note(&mut self, key: u64, held: Held) {
        self.held.entry(key).or_default().push(held.clone());
        self.present.insert(key, Some(held));
    }

    async fn act(&mut self, second: bool, step: Step) {
        let db = self.handles[usize::from(second)].clone();
        let things = db.collection("things");
        match step {
            Step::Put(key) => {
                let held = upload(&db, &mut self.uploads).await;
                things.put(&document(key, Some(&held))).await.unwrap();
                self.note(key, held);
            }
            Step::Replace(key) => {
                let held = upload(&db, &mut self.uploads).await;
                db.transact(async |tx| {
                    tx.get_value(&things, &json!(key)).await?;
                    tx.put_value(&things, &document(key, Some(&held)))
                })
                .await
                .unwrap();
                self.note(key, held);
            }
            Step::Touch(key) => {
                if let Some(held) = self.present.get(&key) {
                    things.put(&document(key, held.as_ref())).await.unwrap();
                }
            }
            Step::PutBack(key, back) => {
                let Some(held) = self.held.get(&key).and_then(|held| held.iter().rev().nth(back)).cloned() else {
                    return;
                };
                match things.put(&document(key, Some(&held))).await {
                    Ok(_) => _ = self.present.insert(key, Some(held)),
                    Err(Error::BlobExpired { blob }) => assert_eq!(blob, held.0),
                    Err(error) => unreachable!("{error}"),
                }
            }
            Step::Steal(from, to) => {
                let Some(held) = self.held.get(&from).and_then(|held| held.last()).filter(|_| from != to) else {
                    return;
                };
                match things.put(&document(to, Some(held))).await.unwrap_err() {
                    Error::BlobTaken { blob, holder, .. } => assert_eq!((*blob, holder), (held.0, from.to_string())),
                    Error::BlobExpired { blob } => {
                        assert_eq!(blob, held.0);
                        assert_ne!(self.present.get(&from), Some(&Some(held.clone())));
                    }
                    error => unreachable!("{error}"),
                }
            }
            Step::Pair(first, second) if first == second => {}
            Step::Pair(first, second) => {
                db.refresh(Freshness::Strict).await.unwrap();
                let [kept, dropped] = [upload(&db, &mut self.uploads).await, upload(&db, &mut self.uploads).await];
                let mut batch = db.batch();
                batch.put_into(&things, &document(second, Some(&dropped))).unwrap();
                batch.put_into(&things, &document(first, Some(&kept))).unwrap();
                batch.put_into(&things, &document(second, None)).unwrap();
                batch.commit().await.unwrap();
                self.present.insert(first, Some(kept.clone()));
                self.held.entry(first).or_default().push(kept);
                self.present.insert(second, None);
            }
            Step::Delete(key) => {
                things.delete(&json!(key)).await.unwrap();
                self.present.remove(&key);
            }
            Step::Load(keys) => {
                let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
                for key in keys {
                    load.add_value(&document(key, None)).await.unwrap();
                    self.present.insert(key, None);
                }
                load.finish().await.unwrap();
            }
            Step::Orphan => _ = upload(&db, &mut self.uploads).await,
            Step::TooLate(key) => {
                let held = upload(&db, &mut self.uploads).await;
                // The other one knows more of the log than this one did.
                things.put(&document(key, None)).await.unwrap();
                self.present.insert(key, None);
                self.handles[usize::from(!second)].sweep().await.unwrap();
                let error = things.put(&document(key, Some(&held))).await.unwrap_err();
                assert!(matches!(error, Error::BlobExpired { blob } if blob == held.0), "{error}");
            }
            Step::Create(name) => {
                if !self.named.contains_key(NAMES[name]) {
                    db.create_snapshot(NAMES[name]).await.unwrap();
                    self.named.insert(NAMES[name], self.present.clone());
                }
            }
            Step::Drop(name) => {
                if self.named.remove(NAMES[name]).is_some() {
                    db.drop_snapshot(NAMES[name]).await.unwrap();
                }
            }
            Step::Checkpoint => Box::pin(db.checkpoint()).await.unwrap(),
            Step::Compact => _ = Box::pin(db.compact()).await.unwrap(),
            Step::Skip(seconds) => self.clock.skip(seconds),
            Step::Collect => {
                db.refresh(Freshness::Strict).await.unwrap();
                db.collect_garbage().await.unwrap();
            }
            Step::Sweep => _ = db.sweep().await.unwrap(),
            Step::Reopen => {
                self.handles[usize::from(second)] = on_clock(&self.store, &self.clock, self.history).await;
            }
        }
        db.refresh(Freshness::Strict).await.unwrap();
        self.past.insert(db.position(), self.present.clone());
    }

    async fn check(&self) {
        for db in &self.handles {
            check(db, db.collection("things").query().fetch().await.unwrap(), &self.present).await;
            for (name, expected) in &self.named {
                let then = Box::pin(db.at(*name)).await.unwrap();
                check(db, then.collection("things").query().fetch().await.unwrap(), expected).await;
            }
        }
    }

    /// Whatever position can be read shows its documents with their blobs.
    async fn check_past(&self) {
        let db = &self.handles[0];
        for (seq, expected) in &self.past {
            match Box::pin(db.at(*seq)).await {
                Ok(then) => check(db, then.collection("things").query().fetch().await.unwrap(), expected).await,
                Err(Error::SnapshotExpired { .. }) => {}
                Err(error) => unreachable!("{error}"),
            }
        }
    }

    async fn blobs(&self) -> usize {
        self.store.list("db/blob/", None).await.unwrap().objects.len()
    }
}

async fn run(steps: Vec<(bool, Step)>, history: Option<Duration>) {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let handles = [on_clock(&store, &clock, history).await, on_clock(&store, &clock, history).await];
    handles[0].collection("things").put(&document(0, None)).await.unwrap();
    let mut world = World {
        store,
        clock,
        history,
        handles,
        present: Model::from([(0, None)]),
        held: BTreeMap::new(),
        past: BTreeMap::new(),
        named: BTreeMap::new(),
        uploads: 0,
    };
    for (at, (second, step)) in steps.into_iter().enumerate() {
        world.act(second, step).await;
        Box::pin(world.check()).await;
        if at % 8 == 7 {
            Box::pin(world.check_past()).await;
        }
    }
    Box::pin(world.check_past()).await;
    let verification = Box::pin(world.handles[0].verify(|_| ())).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
    // Without names and history, nothing is left but what documents refer to.
    for name in world.named.keys() {
        world.handles[0].drop_snapshot(name).await.unwrap();
    }
    world.named.clear();
    let db = &world.handles[0];
    db.collection("things").put(&document(9, None)).await.unwrap();
    world.present.insert(9, None);
    db.sweep().await.unwrap();
    for _ in 0..4 {
        db.collection("things").put(&document(9, None)).await.unwrap();
        Box::pin(db.checkpoint()).await.unwrap();
        world.clock.skip(2 * GRACE_S + history.unwrap_or_default().as_secs());
        db.refresh(Freshness::Strict).await.unwrap();
        db.collect_garbage().await.unwrap();
    }
    let live = world.present.values().flatten().count();
    assert_eq!(world.blobs().await, live);
    // What stood for those that are gone is gone too, and nothing that is there is taken for an orphan.
    db.sweep().await.unwrap();
    assert_eq!(world.blobs().await, live);
    Box::pin(world.check()).await;
}

proptest! {
    #![proptest_config(crate::support::cases(48))]
    #[test]
    fn a_blob_is_there_while_somebody_may_read_it_and_no_longer(
        steps in prop::collection::vec((any::<bool>(), step()), 1..60),
        history in prop::option::of((0..3_u64).prop_map(|graces| Duration::from_secs(graces * GRACE_S))),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, history));
    }
}
