//! Documents that end, against a plain map and a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bucketdb::{
    AnyColumn, Collection, Database, Document, Duplicates, Environment, Error, MemoryDriver, Order, Path, Snapshot,
};
use futures::TryStreamExt;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Skipping, metered, on};

/// So many seconds lie between the ends of documents: more than a test takes.
const TURN_S: u64 = 10_000;

type Model = BTreeMap<u64, Value>;

#[derive(Clone, Debug)]
enum Step {
    Put(u64, Value),
    Insert(u64, Value),
    Replace(u64, Value),
    Update(u64),
    Delete(u64),
    Load(Vec<(u64, Value)>),
    Transact(u64, Value),
    Wait,
    Checkpoint,
    Compact,
    CreateIndex,
    CreateUnique,
    SetTtl(Option<&'static str>),
    Hold,
    Reopen,
    Ask,
}

fn document() -> BoxedStrategy<Value> {
    let end =
        || prop_oneof![3 => (0_u64..6).prop_map(|turn| json!(turn)), 1 => Just(Value::Null), 1 => Just(json!("no"))];
    (end(), end(), 0..3_u64, 0..4_u64)
        .prop_map(|(ends, other, a, name)| json!({"ends": ends, "in": {"ends": other}, "a": a, "name": name}))
        .boxed()
}

fn step() -> BoxedStrategy<Step> {
    let number = || 0..8_u64;
    prop_oneof![
        6 => (number(), document()).prop_map(|(number, document)| Step::Put(number, document)),
        4 => (number(), document()).prop_map(|(number, document)| Step::Insert(number, document)),
        2 => (number(), document()).prop_map(|(number, document)| Step::Replace(number, document)),
        2 => number().prop_map(Step::Update),
        2 => number().prop_map(Step::Delete),
        1 => prop::collection::vec((number(), document()), 0..4).prop_map(Step::Load),
        2 => (number(), document()).prop_map(|(number, document)| Step::Transact(number, document)),
        5 => Just(Step::Wait),
        4 => Just(Step::Checkpoint),
        2 => Just(Step::Compact),
        1 => Just(Step::CreateIndex),
        1 => Just(Step::CreateUnique),
        1 => prop_oneof![Just(Some("ends")), Just(Some("in.ends")), Just(None)].prop_map(Step::SetTtl),
        1 => Just(Step::Hold),
        1 => Just(Step::Reopen),
        6 => Just(Step::Ask),
    ]
    .boxed()
}

/// What happens in one case.
struct Case {
    store: MemoryDriver,
    clock: Skipping,
    start_s: u64,
    turn: u64,
    ttl: Option<&'static str>,
    is_unique: bool,
    /// With those that have ended.
    model: Model,
    handles: [Database; 2],
    held: Option<(Snapshot, Model)>,
}

async fn open(store: &MemoryDriver, clock: &Skipping) -> Database {
    on(store.clone()).environment(clock.clone()).staleness(Duration::ZERO).open().await.unwrap()
}

impl Case {
    async fn new() -> Self {
        let (store, clock) = (MemoryDriver::new(), Skipping::default());
        let handles = [open(&store, &clock).await, open(&store, &clock).await];
        let start_s = clock.wall_clock().0 / 1_000 - TURN_S / 2;
        handles[0].collection("t").put(&json!({"id": 100, "a": 0})).await.unwrap();
        handles[0].set_ttl("t", Some("ends")).await.unwrap();
        let model = [(100, json!({"id": 100, "a": 0}))].into();
        Self { store, clock, start_s, turn: 0, ttl: Some("ends"), is_unique: false, model, handles, held: None }
    }

    /// What is stored of a document: with ends as times.
    fn stored(&self, number: u64, document: &Value) -> Value {
        let mut document = document.clone();
        document["id"] = number.into();
        for path in ["/ends", "/in/ends"] {
            if let Some(turn) = document.pointer(path).and_then(Value::as_u64) {
                *document.pointer_mut(path).unwrap() = (self.start_s + turn * TURN_S).into();
            }
        }
        document
    }

    fn is_live(&self, document: &Value) -> bool {
        let ends = self.ttl.and_then(|field| document.pointer(&format!("/{}", field.replace('.', "/")))?.as_u64());
        ends.is_none_or(|ends| ends > self.start_s + TURN_S / 2 + self.turn * TURN_S)
    }

    fn live(&self) -> Model {
        self.model
            .iter()
            .filter(|(_, document)| self.is_live(document))
            .map(|(id, found)| (*id, found.clone()))
            .collect()
    }

    /// The other live document that has the name.
    fn has_name(&self, number: u64, document: &Value) -> bool {
        let same =
            |(id, other): (u64, Value)| id != number && !other["name"].is_null() && other["name"] == document["name"];
        self.is_unique && self.live().into_iter().any(same)
    }

    fn things(&self, handle: usize) -> Collection {
        self.handles[handle % 2].collection("t")
    }

    async fn step(&mut self, at: usize, step: Step) {
        let things = self.things(at);
        match step {
            Step::Put(number, document) => {
                let document = self.stored(number, &document);
                let outcome = things.put(&document).await;
                self.written(number, document, outcome.map(|_| ()));
            }
            Step::Insert(number, document) => {
                let document = self.stored(number, &document);
                let outcome = things.insert(&document).await;
                if self.live().contains_key(&number) {
                    assert!(matches!(outcome, Err(Error::AlreadyExists { .. })), "{outcome:?}");
                } else {
                    self.written(number, document, outcome.map(|_| ()));
                }
            }
            Step::Replace(number, document) => {
                let document = self.stored(number, &document);
                let outcome = things.replace(&document).await;
                if self.live().contains_key(&number) {
                    self.written(number, document, outcome.map(|_| ()));
                } else {
                    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
                }
            }
            Step::Update(number) => {
                let mut document = self.live().get(&number).cloned();
                let outcome = things.update(&number.into(), |document| document["a"] = 7.into()).await;
                match &mut document {
                    Some(document) => {
                        document["a"] = 7.into();
                        self.model.insert(number, document.clone());
                        outcome.unwrap();
                    }
                    None => assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}"),
                }
            }
            Step::Delete(number) => {
                things.delete(&number.into()).await.unwrap();
                self.model.remove(&number);
            }
            Step::Load(documents) if !self.is_unique => {
                let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
                for (number, document) in documents {
                    let document = self.stored(number, &document);
                    load.add_value(&document).await.unwrap();
                    self.model.insert(number, document);
                }
                load.finish().await.unwrap();
            }
            Step::Transact(number, document) => {
                let (document, expected) = (self.stored(number, &document), self.live().get(&number).cloned());
                let (things, change) = (&things, &document);
                let outcome = self.handles[at % 2].transact(move |tx| async move {
                    let found = tx.get_value(things, &number.into()).await?;
                    tx.put_value(things, change)?;
                    Ok::<_, Error>(found)
                });
                let outcome = outcome.await;
                if let Ok(found) = &outcome {
                    assert_eq!(*found, expected);
                }
                self.written(number, document, outcome.map(|_| ()));
            }
            Step::Wait => {
                self.clock.skip(TURN_S);
                self.turn += 1;
            }
            Step::Checkpoint => self.handles[at % 2].checkpoint().await.unwrap(),
            Step::Compact => drop(self.handles[at % 2].compact().await.unwrap()),
            Step::CreateIndex => things.create_index("a, name").await.unwrap(),
            Step::CreateUnique => {
                let names = self.live().into_values().map(|found| found["name"].clone()).filter(|name| !name.is_null());
                let mut names: Vec<Value> = names.collect();
                let count = names.len();
                names.sort_by_key(Value::as_u64);
                names.dedup();
                if names.len() == count {
                    things.create_unique_index("name").await.unwrap();
                    self.handles[at % 2].build_indexes().await.unwrap();
                    self.is_unique = true;
                }
            }
            // Those that come back may have the same values.
            Step::SetTtl(field) if !self.is_unique && self.live() == self.model => {
                self.handles[at % 2].set_ttl("t", field).await.unwrap();
                self.ttl = field;
            }
            Step::Hold => {
                self.held = Some((self.handles[at % 2].snapshot().await.unwrap(), self.live()));
            }
            Step::Reopen => self.handles[at % 2] = open(&self.store, &self.clock).await,
            Step::Load(_) | Step::SetTtl(_) | Step::Ask => {}
        }
        self.check(at).await;
    }

    /// A write that only a unique name could be in the way of.
    fn written(&mut self, number: u64, document: Value, outcome: Result<(), Error>) {
        if self.has_name(number, &document) {
            assert!(matches!(outcome, Err(Error::UniqueViolation { .. })), "{outcome:?}");
        } else {
            outcome.unwrap();
            self.model.insert(number, document);
        }
    }

    async fn check(&mut self, at: usize) {
        let live = self.live();
        let things = self.things(at + 1);
        for number in 0..8 {
            assert_eq!(things.get(&number.into()).await.unwrap().as_ref(), live.get(&number), "document {number}");
        }
        let all: Vec<Value> = live.values().cloned().collect();
        assert_eq!(things.query().fetch().await.unwrap(), all);
        assert_eq!(things.query().count().await.unwrap(), all.len() as u64);
        for a in [0, 1, 7] {
            let expected: Vec<Value> = all.iter().filter(|found| found["a"] == a).cloned().collect();
            let query = || things.query().filter_text(&format!("a = {a}")).unwrap();
            assert_eq!(query().fetch().await.unwrap(), expected);
            assert_eq!(query().count().await.unwrap(), expected.len() as u64);
            let names: u64 = expected.iter().filter_map(|found| found["name"].as_u64()).sum();
            let name = || -> AnyColumn { "name".parse().unwrap() };
            assert_eq!(query().sum(name()).await.unwrap(), json!(names));
            match query().by_index("a, name").fetch().await {
                Ok(found) => {
                    assert_eq!(found, expected);
                    // Of entries alone.
                    assert_eq!(query().by_index("a, name").count().await.unwrap(), found.len() as u64);
                    assert_eq!(query().by_index("a, name").sum(name()).await.unwrap(), json!(names));
                    let greatest = expected.iter().filter_map(|found| found["name"].as_u64()).max();
                    assert_eq!(query().by_index("a, name").max(name()).await.unwrap(), greatest.map(Value::from));
                }
                Err(error) => assert!(matches!(error, Error::UnknownIndex { .. }), "{error}"),
            }
        }
        if let Some((snapshot, expected)) = &self.held {
            let expected: Vec<Value> = expected.values().cloned().collect();
            let then = snapshot.collection("t");
            assert_eq!(then.query().count().await.unwrap(), expected.len() as u64);
            assert_eq!(then.query().fetch().await.unwrap(), expected);
        }
    }

    async fn end(self) {
        self.handles[0].compact().await.unwrap();
        let verification = self.handles[1].verify(|_| {}).await.unwrap();
        assert!(verification.is_clean(), "{:?}", verification.findings);
        self.handles[0].set_ttl("t", self.ttl.or(Some("ends"))).await.unwrap();
        // Once everything has ended and was merged, nothing of it is left.
        self.clock.skip(10 * TURN_S);
        self.handles[0].collection("t").put(&json!({"id": 100, "a": 0})).await.unwrap();
        self.handles[0].compact().await.unwrap();
        self.handles[0].compact().await.unwrap();
        let left = self.handles[0].collection("t").query().count().await.unwrap();
        let stats = self.handles[0].stats().unwrap();
        assert_eq!(stats.tables.iter().map(|table| table.stats.documents).sum::<u64>(), left);
    }
}

proptest! {
    #![proptest_config(crate::support::cases(48))]
    #[test]
    fn what_has_ended_is_seen_by_nobody(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut case = Case::new().await;
            for (at, step) in steps.into_iter().enumerate() {
                case.step(at, step).await;
            }
            case.end().await;
        });
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "sessions")]
struct Session {
    #[document(key)]
    token: String,
    user: u64,
    #[document(ttl)]
    expires_at: Option<u64>,
}

#[tokio::test]
async fn a_type_says_when_its_documents_end() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let db = open(&store, &clock).await;
    let sessions = db.table::<Session>().await.unwrap();
    assert_eq!(db.ttl("sessions").unwrap().as_deref(), Some("expires_at"));
    let now_s = clock.wall_clock().0 / 1_000;
    let session = |token: &str, expires_at| Session { token: token.to_owned(), user: 1, expires_at };
    sessions.insert(&session("a", Some(now_s + 1_000))).await.unwrap();
    sessions.insert(&session("b", None)).await.unwrap();
    clock.skip(500);
    assert!(sessions.get("a").await.unwrap().is_some());
    let before = db.snapshot().await.unwrap().position();
    clock.skip(501);
    assert_eq!(sessions.get("a").await.unwrap(), None);
    assert_eq!(sessions.query().fetch().await.unwrap(), [session("b", None)]);
    // The past is as it was.
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    sessions.insert(&session("c", None)).await.unwrap();
    let past = db.at(before).await.unwrap();
    assert_eq!(past.table::<Session>().unwrap().query().count().await.unwrap(), 2);
    sessions.insert(&session("a", Some(now_s + 5_000))).await.unwrap();
    assert_eq!(sessions.get("a").await.unwrap(), Some(session("a", Some(now_s + 5_000))));
    assert!(matches!(db.set_ttl("sessions", Some("a[*]")).await, Err(Error::Schema(_))));
    assert!(matches!(db.set_ttl("nothing", None).await, Err(Error::Schema(_))));
}

/// What an index says of ends is of no use to whoever reads by another field, which a change of it leaves behind.
#[tokio::test]
async fn a_snapshot_goes_by_the_field_that_said_when_documents_end() {
    for (was_covered, field, expected) in
        [(false, Some("others"), vec![1]), (true, Some("others"), vec![1]), (true, None, vec![0, 1])]
    {
        let (store, clock) = (MemoryDriver::new(), Skipping::default());
        let db = open(&store, &clock).await;
        let things = db.collection("things");
        let now_s = clock.wall_clock().0 / 1_000;
        let (ended, live) = (now_s - TURN_S, now_s + TURN_S);
        things.put(&json!({"id": 0, "a": 7, "until": live, "others": ended})).await.unwrap();
        things.put(&json!({"id": 1, "a": 7, "until": live, "others": live})).await.unwrap();
        things.set_ttl(Some("until")).await.unwrap();
        if was_covered {
            db.checkpoint().await.unwrap();
        }
        let snapshot = db.snapshot().await.unwrap();
        let of_snapshot = snapshot.collection("things");
        things.set_ttl(field).await.unwrap();
        things.create_index("a, id").await.unwrap();
        for is_built in [false, true] {
            if is_built {
                db.build_indexes().await.unwrap();
            }
            for (query, expected) in [(things.query(), &expected), (of_snapshot.query(), &vec![0, 1])] {
                let by_a = query.clone().filter_text("a = 7").unwrap();
                let found = by_a.clone().fetch().await.unwrap();
                let ids: Vec<u64> = found.iter().map(|found| found["id"].as_u64().unwrap()).collect();
                assert_eq!(ids, *expected, "{was_covered}, {field:?}, {is_built}");
                for count in [query.count(), by_a.count()] {
                    assert_eq!(count.await.unwrap(), expected.len() as u64, "{was_covered}, {field:?}, {is_built}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_document_whose_end_was_put_off_is_not_missed_over_a_checkpoint() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let db = open(&store, &clock).await;
    let things = db.collection("things");
    let ends = clock.wall_clock().0 / 1_000 + 1_000;
    things.put(&json!({"id": 0, "user": 0, "ends": ends})).await.unwrap();
    things.set_ttl(Some("ends")).await.unwrap();
    things.create_index("user").await.unwrap();
    let mut batch = db.batch();
    for id in 1..200 {
        batch.put_into(&things, &json!({"id": id, "user": id, "ends": ends})).unwrap();
    }
    batch.commit().await.unwrap();
    db.checkpoint().await.unwrap();
    // Whatever ends a page of the index.
    for id in [15, 16, 17, 63, 64, 65, 127, 128, 191, 192] {
        things.put(&json!({"id": id, "user": id, "ends": ends + id})).await.unwrap();
    }
    let query = things.query().filter_text("user >= 0").unwrap().order_by(Order::ascending(Path::field("user")));
    let mut found = std::pin::pin!(query.by_index("user").stream().await.unwrap());
    let mut ids = Vec::new();
    while let Some(document) = found.try_next().await.unwrap() {
        ids.push(document["id"].as_u64().unwrap());
        if ids.len() == 1 {
            db.checkpoint().await.unwrap();
        }
    }
    assert_eq!(ids, (0..200).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was_whatever_comes_to_say_when_documents_end() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let db = open(&store, &clock).await;
    let things = db.collection("things");
    let now_s = clock.wall_clock().0 / 1_000;
    things.put(&json!({"id": 1, "first": now_s - 1_000, "second": now_s + 1_000})).await.unwrap();
    things.set_ttl(Some("first")).await.unwrap();
    let written = things.put(&json!({"id": 2, "first": now_s + 1_000, "second": now_s - 1_000})).await.unwrap();
    let ids = async |snapshot: &Snapshot| -> Vec<u64> {
        let found = snapshot.collection("things").query().fetch().await.unwrap();
        found.iter().map(|found| found["id"].as_u64().unwrap()).collect()
    };
    let snapshot = db.snapshot().await.unwrap();
    assert_eq!(ids(&snapshot).await, [2]);
    things.set_ttl(Some("second")).await.unwrap();
    db.compact().await.unwrap();
    assert_eq!(ids(&snapshot).await, [2]);
    assert_eq!(ids(&db.snapshot().await.unwrap()).await, [1]);
    things.set_ttl(None).await.unwrap();
    assert_eq!(ids(&snapshot).await, [2]);
    // A position of the past shows what had not ended at the time of its record, be it the newest or not.
    assert_eq!(ids(&db.at(written.seq).await.unwrap()).await, [2]);
    let verification = db.verify(|_| {}).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
}

/// Documents of which half end, or do not, are written, left alone for so long, and then put in order; what each step took
/// in requests, and how many rows there are in the end.
async fn upkeep_requests(ends_in_s: u64) -> (Vec<(&'static str, u64)>, u64) {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let meter = metered(&store);
    // It is always the other node's turn to look after the database, so only this test does.
    let builder = on(meter.clone()).environment(clock.clone()).staleness(Duration::ZERO);
    let builder = builder.node_id(1).ring_size(2).write_forward_interval(Duration::from_secs(1 << 32));
    let db = builder.open().await.unwrap();
    let things = db.collection("t");
    let ends = clock.wall_clock().0 / 1_000 + ends_in_s;
    let mut requests = Vec::new();
    let mut last = meter.usage().total_requests();
    let mut note = |step| {
        let now = meter.usage().total_requests();
        requests.push((step, now - last));
        last = now;
    };
    things.put(&json!({"id": 0})).await.unwrap();
    db.set_ttl("t", Some("ends")).await.unwrap();
    things.create_index("a").await.unwrap();
    for id in 1..400 {
        let ends = if id % 2 == 0 { json!(ends) } else { Value::Null };
        things.put(&json!({"id": id, "a": id % 7, "ends": ends})).await.unwrap();
    }
    note("writing");
    db.checkpoint().await.unwrap();
    note("a checkpoint");
    clock.skip(2 * TURN_S);
    things.get(&json!(2)).await.unwrap();
    note("reading one");
    for id in 400..440 {
        things.put(&json!({"id": id, "a": id % 7, "ends": ends})).await.unwrap();
    }
    note("writing more");
    db.checkpoint().await.unwrap();
    note("another checkpoint");
    db.compact().await.unwrap();
    note("compacting");
    things.query().without_index().count().await.unwrap();
    note("counting");
    (requests, db.stats().unwrap().tiers.iter().map(|tier| tier.rows).sum())
}

#[tokio::test]
async fn that_documents_end_takes_no_request() {
    let (without, all) = upkeep_requests(1_000 * TURN_S).await;
    let (with, left) = upkeep_requests(TURN_S).await;
    assert_eq!(with, without, "{left} of {all}");
    // The rows and their entries did leave: those with an even number, and all that were written last.
    assert_eq!((all, left), (2 * 440, 2 * 201));
}
