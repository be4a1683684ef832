//! Positions with names: exactly that moment, for as long as the name is there, whatever is merged and removed meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bucketdb::{Collection, Database, Driver, Duplicates, Environment, Error, Freshness, MemoryDriver, Operation, Seq};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use crate::meanwhile::{Deed, Meanwhile};
use crate::support::{GRACE_S, Order, Skipping, in_memory, metered, on, on_clock, order};

type Model = BTreeMap<u64, u64>;

#[derive(Clone, Debug)]
enum Step {
    Put(u64),
    Delete(u64),
    Load(Vec<u64>),
    Create(usize),
    Drop(usize),
    Checkpoint,
    Compact,
    Skip(u64),
    Collect,
    Sweep,
    Reopen,
}

const NAMES: [&str; 3] = ["monday", "before the import", "größer"];

fn step() -> BoxedStrategy<Step> {
    let key = 0..12_u64;
    prop_oneof![
        8 => key.clone().prop_map(Step::Put),
        3 => key.clone().prop_map(Step::Delete),
        2 => prop::collection::vec(key, 0..6).prop_map(Step::Load),
        3 => (0..NAMES.len()).prop_map(Step::Create),
        1 => (0..NAMES.len()).prop_map(Step::Drop),
        4 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        3 => (1..2 * GRACE_S).prop_map(Step::Skip),
        3 => Just(Step::Collect),
        1 => Just(Step::Sweep),
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
    named: BTreeMap<&'static str, Model>,
    written: u64,
}

async fn found(things: impl Future<Output = bucketdb::Result<Vec<Value>>>) -> Model {
    let number = |document: &Value, field: &str| document[field].as_u64().unwrap();
    things.await.unwrap().iter().map(|document| (number(document, "id"), number(document, "value"))).collect()
}

impl World {
    async fn act(&mut self, second: bool, step: Step) {
        let db = &self.handles[usize::from(second)];
        let things: Collection = db.collection("things");
        self.written += 1;
        let value = self.written;
        match step {
            Step::Put(key) => {
                things.put(&json!({"id": key, "value": value})).await.unwrap();
                self.present.insert(key, value);
            }
            Step::Delete(key) => {
                things.delete(&json!(key)).await.unwrap();
                self.present.remove(&key);
            }
            Step::Load(keys) => {
                let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
                for key in keys {
                    load.add_value(&json!({"id": key, "value": value})).await.unwrap();
                    self.present.insert(key, value);
                }
                load.finish().await.unwrap();
            }
            Step::Create(name) => {
                let outcome = db.create_snapshot(NAMES[name]).await;
                if self.named.contains_key(NAMES[name]) {
                    assert!(matches!(outcome, Err(Error::SnapshotExists { .. })), "{outcome:?}");
                } else {
                    assert_eq!(outcome.unwrap().seq, db.position());
                    self.named.insert(NAMES[name], self.present.clone());
                }
            }
            Step::Drop(name) => {
                let outcome = db.drop_snapshot(NAMES[name]).await;
                match self.named.remove(NAMES[name]) {
                    Some(_) => outcome.unwrap(),
                    None => assert!(matches!(outcome, Err(Error::UnknownSnapshot { .. })), "{outcome:?}"),
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
    }

    async fn check(&self) {
        for db in &self.handles {
            assert_eq!(found(db.collection("things").query().fetch()).await, self.present);
            let names: Vec<String> = db.snapshots().await.unwrap().into_iter().map(|snapshot| snapshot.name).collect();
            assert!(names.iter().map(String::as_str).eq(self.named.keys().copied()), "{names:?}");
            for (name, expected) in &self.named {
                let then = Box::pin(db.at(*name)).await.unwrap();
                assert_eq!(found(then.collection("things").query().fetch()).await, *expected, "{name}");
            }
        }
    }
}

async fn run(steps: Vec<(bool, Step)>, history: Option<Duration>) {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let handles = [on_clock(&store, &clock, history).await, on_clock(&store, &clock, history).await];
    let (present, named) = (Model::from([(0, 0)]), BTreeMap::new());
    handles[0].collection("things").put(&json!({"id": 0, "value": 0})).await.unwrap();
    let mut world = World { store, clock, history, handles, present, named, written: 0 };
    for (second, step) in steps {
        world.act(second, step).await;
        Box::pin(world.check()).await;
    }
    let verification = Box::pin(world.handles[0].verify(|_| ())).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
    // Without names and history, everything goes that only they needed.
    for name in world.named.keys() {
        world.handles[0].drop_snapshot(name).await.unwrap();
    }
    world.named.clear();
    let db = &world.handles[0];
    for _ in 0..3 {
        db.collection("things").put(&json!({"id": 0, "value": 0})).await.unwrap();
        Box::pin(db.checkpoint()).await.unwrap();
        world.clock.skip(2 * GRACE_S + history.unwrap_or_default().as_secs());
        db.refresh(Freshness::Strict).await.unwrap();
        db.collect_garbage().await.unwrap();
    }
    let keys = world.store.list("db/log/", None).await.unwrap().objects;
    let first = keys.first().unwrap().key.as_str().rsplit('/').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(keys.len() as u64, db.position().0 - first + 1, "a record was left behind: {keys:?}");
    db.sweep().await.unwrap();
    let objects = world.store.list("db/", None).await.unwrap().objects.len();
    assert!(objects < 30, "{objects} objects");
}

proptest! {
    #![proptest_config(crate::support::cases(64))]
    #[test]
    fn a_name_shows_its_moment_whatever_is_removed(
        steps in prop::collection::vec((any::<bool>(), step()), 1..50),
        history in prop::option::of((0..3_u64).prop_map(|graces| Duration::from_secs(graces * GRACE_S))),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, history));
    }
}

#[tokio::test]
async fn a_snapshot_costs_one_put_and_dropping_it_another() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let db = on(meter.clone()).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    for drops in [false, true] {
        let before = meter.usage();
        match drops {
            true => db.drop_snapshot("now").await.unwrap(),
            false => _ = db.create_snapshot("now").await.unwrap(),
        }
        let used = meter.usage() - before;
        assert_eq!((used.requests(Operation::Put), used.total_requests()), (1, 1));
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let db = in_memory().await;
    for name in ["", "a\nb", "x".repeat(256).as_str()] {
        let error = db.create_snapshot(name).await.unwrap_err();
        assert!(matches!(error, Error::InvalidSnapshot { .. }), "{error}");
    }
    let error = db.at("nowhere").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no snapshot named \"nowhere\"");
}

#[tokio::test]
async fn a_name_that_was_given_anew_elsewhere_is_read_at_its_new_position() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    let other = on(store.clone()).staleness(Duration::ZERO).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    db.create_snapshot("now").await.unwrap();
    other.refresh(Freshness::Strict).await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    db.drop_snapshot("now").await.unwrap();
    let anew = db.create_snapshot("now").await.unwrap();
    assert_eq!(other.at("now").await.unwrap().position(), anew.seq);
}

/// What the reader begins with is given up while it reads, as a later checkpoint reaches as far.
#[tokio::test]
async fn a_name_is_read_while_the_checkpoint_before_it_is_given_up() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let database: Arc<OnceLock<Database>> = Arc::default();
    let reading = Arc::new(Mutex::new(None));
    let (from, of) = (Arc::new(Mutex::new(Seq(0))), database.clone());
    let (begun, reader) = (from.clone(), reading.clone());
    let (was_asked, is_told, env) = (asked.clone(), go_on.clone(), clock.clone());
    let meanwhile = Meanwhile::new(store.clone(), move |operation, key| {
        let (first, db) = (*begun.lock().unwrap(), of.get()?.clone());
        if operation == Operation::Get && key.contains(&format!("manifest/{:020}", first.0)) {
            let (asked, go_on) = (was_asked.clone(), is_told.clone());
            return Some(Box::pin(async move {
                asked.notify_one();
                go_on.notified().await;
            }));
        }
        let is_run = operation == Operation::Put && key.contains("/run/") && reader.lock().unwrap().is_none();
        let (reader, asked, env) = (reader.clone(), was_asked.clone(), env.clone());
        is_run.then(|| -> Deed {
            Box::pin(async move {
                db.collection("things").put(&json!({"id": 3})).await.unwrap();
                db.create_snapshot("monday").await.unwrap();
                db.collection("things").put(&json!({"id": 4})).await.unwrap();
                let (sender, found) = oneshot::channel();
                let read = async move {
                    let monday = db.at("monday").await?;
                    monday.collection("things").query().fetch().await
                };
                env.spawn(Box::pin(async move { sender.send(read.await).unwrap() }));
                *reader.lock().unwrap() = Some(found);
                asked.notified().await;
            })
        })
    });
    let builder = on(meanwhile).environment(clock.clone()).staleness(Duration::ZERO).history(Duration::ZERO);
    let db = builder.open().await.unwrap();
    let things = db.collection("things");
    things.put(&json!({"id": 1})).await.unwrap();
    db.checkpoint().await.unwrap();
    *from.lock().unwrap() = db.checkpointed();
    things.put(&json!({"id": 2})).await.unwrap();
    database.set(db.clone()).unwrap();
    // The reader begins with the one before this, which does not know of the name yet; the next one gives that up.
    for id in 5..7 {
        db.checkpoint().await.unwrap();
        clock.skip(2 * GRACE_S);
        things.put(&json!({"id": id})).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    go_on.notify_waiters();
    let found = reading.lock().unwrap().take().unwrap();
    let found = found.await.unwrap().unwrap();
    assert_eq!(found, [json!({"id": 1}), json!({"id": 2}), json!({"id": 3})]);
}
