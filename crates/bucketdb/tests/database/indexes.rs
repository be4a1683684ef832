//! Indexes against a plain map: whatever was written, loaded, merged or dropped, every way to the documents gives the same.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bucketdb::{
    Collection, Database, Duplicates, Error, IndexProgress, KeyType, MemoryDriver, Order, Query, Schema, Snapshot,
};
use futures::TryStreamExt;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::answers::{self, Asked};
use crate::support::{self, on};

type Model = BTreeMap<u64, Value>;

const INDEXES: [&str; 6] = ["a", "a desc, b", "b, a desc", "tags[*]", "n.x", "tags[*], b desc"];

#[derive(Clone, Debug)]
enum Step {
    Put(u64, Value),
    Delete(u64),
    Batch(Vec<(u64, Option<Value>)>),
    Load(Vec<(u64, Value)>),
    Checkpoint,
    Compact,
    CreateIndex(prop::sample::Index),
    DropIndex(prop::sample::Index),
    Hold,
    Release,
    Reopen,
    Ask(Asked),
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        4 => (0_i64..5).prop_map(Value::from),
        1 => Just(json!(null)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!(1.5)),
        1 => Just(json!(2.0)),
        2 => prop_oneof![Just(""), Just("x"), Just("xy"), Just("y")].prop_map(Value::from),
        1 => Just(json!("x".repeat(1_500))),
        1 => Just(json!("x".repeat(1_501))),
    ]
    .boxed()
}

fn document() -> BoxedStrategy<Value> {
    let tags = prop_oneof![
        9 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
        3 => Just(json!("xyz")),
        // More in the index than in the row, and more than an index holds.
        2 => scalar().prop_map(|last| Value::from((2..24).map(Value::from).chain([last]).collect::<Vec<_>>())),
        1 => scalar().prop_map(|last| Value::from((2..1_002).map(Value::from).chain([last]).collect::<Vec<_>>())),
    ];
    let fields = (prop::option::of(scalar()), prop::option::of(scalar()), prop::option::of(tags), scalar());
    fields
        .prop_map(|(a, b, tags, x)| {
            let mut document = json!({"n": {"x": x}});
            for (name, value) in [("a", a), ("b", b), ("tags", tags)] {
                if let Some(value) = value {
                    document[name] = value;
                }
            }
            document
        })
        .boxed()
}

fn condition() -> BoxedStrategy<String> {
    let path = prop_oneof![Just("a"), Just("b"), Just("n.x"), Just("tags[*]"), Just("tags"), Just("id")];
    let comparison = prop_oneof![Just("="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    prop_oneof![
        4 => (path.clone(), comparison, scalar()).prop_map(|(path, comparison, value)| format!("{path} {comparison} {value}")),
        1 => (path.clone(), scalar(), scalar()).prop_map(|(path, first, second)| format!("{path} in [{first}, {second}]")),
        1 => (path.clone(), 0..4, 0..5).prop_map(|(path, low, high)| format!("{path} between {low} and {high}")),
        1 => (path.clone(), "x{0,1}").prop_map(|(path, prefix)| format!("{path} starts with {prefix:?}")),
        1 => (scalar(), Just("tags")).prop_map(|(value, path)| format!("{path} contains {value}")),
        1 => path.clone().prop_map(|path| format!("{path} is null")),
        1 => path.prop_map(|path| format!("{path} exists")),
    ]
    .boxed()
}

fn filter() -> BoxedStrategy<String> {
    prop_oneof![
        1 => Just("true".to_owned()),
        4 => prop::collection::vec(condition(), 1..4).prop_map(|conditions| conditions.join(" and ")),
        1 => (condition(), condition(), condition()).prop_map(|(a, b, c)| format!("({a} or {b}) and not {c}")),
    ]
    .boxed()
}

fn asked() -> BoxedStrategy<Asked> {
    let order = prop_oneof![
        3 => Just(String::new()),
        4 => prop::sample::select(INDEXES.to_vec()).prop_map(str::to_owned),
        1 => Just("b".to_owned()),
        1 => Just("a desc".to_owned()),
        1 => Just("b desc, n.x".to_owned()),
    ];
    (filter(), order, 0..3_usize, prop::option::of(0..6_usize))
        .prop_map(|(filter, order, offset, limit)| Asked { filter, order, offset, limit })
        .boxed()
}

fn step() -> BoxedStrategy<Step> {
    let number = 0..12_u64;
    prop_oneof![
        6 => (number.clone(), document()).prop_map(|(number, document)| Step::Put(number, document)),
        2 => number.clone().prop_map(Step::Delete),
        2 => prop::collection::vec((number.clone(), prop::option::weighted(0.8, document())), 1..6).prop_map(Step::Batch),
        1 => prop::collection::vec((number, document()), 0..6).prop_map(Step::Load),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        3 => any::<prop::sample::Index>().prop_map(Step::CreateIndex),
        1 => any::<prop::sample::Index>().prop_map(Step::DropIndex),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
        8 => asked().prop_map(Step::Ask),
    ]
    .boxed()
}

async fn handle(store: &MemoryDriver) -> (Database, Collection) {
    let db = on(store.clone()).staleness(Duration::ZERO).open().await.unwrap();
    let things = db.collection("things");
    (db, things)
}

fn with_id(number: u64, document: &Value) -> Value {
    let mut document = document.clone();
    document["id"] = json!(number);
    document
}

/// Every way must give the same.
async fn check(query: impl Fn() -> Query<Value> + Sync, asked: &Asked, model: &Model) {
    let documents: Vec<Value> = model.values().cloned().collect();
    let expected = asked.expected(&documents);
    let chosen = Box::pin(asked.of(query()).fetch()).await.unwrap();
    assert_eq!(chosen, expected, "as planned: {asked:?}");
    let by_keys = || query().without_index();
    assert_eq!(Box::pin(asked.of(by_keys()).fetch()).await.unwrap(), expected, "by primary key: {asked:?}");
    Box::pin(answers::check(&query, asked, &documents)).await;
    Box::pin(answers::check(&by_keys, asked, &documents)).await;
    let ways: [&(dyn Fn() -> Query<Value> + Sync); 2] = [&query, &by_keys];
    Box::pin(answers::check_documents(&ways, asked, &documents)).await;
    for fields in INDEXES {
        let by_index = || query().by_index(fields);
        match Box::pin(asked.of(by_index()).fetch()).await {
            Err(Error::UnknownIndex { .. }) => {}
            found => {
                assert_eq!(found.unwrap(), expected, "by the index on {fields}: {asked:?}");
                let ways: [&(dyn Fn() -> Query<Value> + Sync); 2] = [&by_index, &query];
                Box::pin(answers::check_documents(&ways, asked, &documents)).await;
                Box::pin(answers::check(&by_index, asked, &documents)).await;
            }
        }
    }
}

async fn run(steps: Vec<(bool, Step)>, is_declared: bool) {
    let store = MemoryDriver::new();
    let mut handles = [handle(&store).await, handle(&store).await];
    let mut model = Model::new();
    if is_declared {
        // Most documents have other values there: a declaration promises nothing.
        let schema = Schema::builder("things").field::<u64>("id").field::<String>("a").field::<bool>("b").key(&["id"]);
        handles[0].0.create_collection(schema.finish().with_key_types(&[KeyType::Integer])).await.unwrap();
    }
    let first = with_id(0, &json!({"a": 1, "tags": ["x"]}));
    handles[0].1.put(&first).await.unwrap();
    model.insert(0, first);
    let mut held: Option<(Snapshot, Model)> = None;
    for (second, step) in steps {
        let (db, things) = &handles[usize::from(second)];
        match step {
            Step::Put(number, document) => {
                let document = with_id(number, &document);
                things.put(&document).await.unwrap();
                model.insert(number, document);
            }
            Step::Delete(number) => {
                things.delete(&json!(number)).await.unwrap();
                model.remove(&number);
            }
            Step::Batch(changes) => {
                // The collection is known once it was looked at.
                things.get(&json!(0)).await.unwrap();
                let mut batch = db.batch();
                for (number, document) in changes {
                    match document {
                        Some(document) => {
                            let document = with_id(number, &document);
                            batch.put_into(things, &document).unwrap();
                            model.insert(number, document);
                        }
                        None => {
                            if model.remove(&number).is_some() {
                                batch.delete_from_by_text(things, &number.to_string()).unwrap();
                            }
                        }
                    }
                }
                if !batch.is_empty() {
                    batch.commit().await.unwrap();
                }
            }
            Step::Load(documents) => {
                let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
                for (number, document) in documents {
                    let document = with_id(number, &document);
                    load.add_value(&document).await.unwrap();
                    model.insert(number, document);
                }
                load.finish().await.unwrap();
            }
            Step::Checkpoint => Box::pin(db.checkpoint()).await.unwrap(),
            Step::Compact => {
                Box::pin(db.compact()).await.unwrap();
            }
            Step::CreateIndex(index) => things.create_index(index.get::<&str>(&INDEXES)).await.unwrap(),
            Step::DropIndex(index) => {
                things
                    .drop_index(index.get::<&str>(&INDEXES))
                    .await
                    .map_or_else(|error| assert!(matches!(error, Error::UnknownIndex { .. }), "{error}"), |()| {});
            }
            Step::Hold => held = Some((db.snapshot().await.unwrap(), model.clone())),
            Step::Release => held = None,
            Step::Reopen => handles[usize::from(second)] = handle(&store).await,
            Step::Ask(asked) => {
                Box::pin(check(|| things.query(), &asked, &model)).await;
                if let Some((snapshot, model)) = &held {
                    Box::pin(check(|| snapshot.collection("things").query(), &asked, model)).await;
                }
            }
        }
    }
    let (db, things) = &handles[0];
    things.get(&json!(0)).await.unwrap();
    Box::pin(db.build_indexes()).await.unwrap();
    for index in things.indexes().unwrap() {
        assert_eq!(index.progress, IndexProgress::Usable, "{}", index.fields);
        let asked = Asked { filter: "true".to_owned(), order: index.fields.clone(), offset: 0, limit: None };
        let found = asked.of(things.query()).by_index(&index.fields).fetch().await.unwrap();
        let documents: Vec<Value> = model.values().cloned().collect();
        assert_eq!(found, asked.expected(&documents), "{}", index.fields);
    }
    let verification = Box::pin(db.verify(|_| {})).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
}

#[test]
fn every_way_gives_the_same() {
    let executions = || answers::EXECUTIONS.load(Ordering::Relaxed);
    let config = ProptestConfig { failure_persistence: None, ..support::cases(48) };
    let before = executions();
    let cases = config.cases as usize;
    let strategy = (prop::collection::vec((any::<bool>(), step()), 1..40), any::<bool>());
    let ran = TestRunner::new(config).run(&strategy, |(steps, is_declared)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, is_declared));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    let count = executions() - before;
    println!("{cases} cases, {count} queries: no difference");
    assert!(count > 200 * cases, "{count} queries show nothing");
}

#[tokio::test]
async fn a_text_among_lists_is_found_by_what_it_contains() {
    let store = MemoryDriver::new();
    let (db, things) = handle(&store).await;
    things.put(&json!({"id": 1, "a": [{"b": "hello"}, {"b": ["x"]}]})).await.unwrap();
    things.create_index("a[*].b[*]").await.unwrap();
    for is_in_runs in [false, true] {
        if is_in_runs {
            db.checkpoint().await.unwrap();
        }
        for (filter, by_index) in [(r#"a[*].b contains "ell""#, false), (r#"a[*].b[*] = "x""#, true)] {
            let query = things.query().filter_text(filter).unwrap();
            assert_eq!(query.clone().count().await.unwrap(), 1, "{filter}");
            let query = query.by_index("a[*].b[*]").count().await;
            assert!(query.is_ok_and(|count| count == 1) || !by_index, "{filter}");
        }
    }
}

#[tokio::test]
async fn a_query_that_has_begun_goes_on_over_a_checkpoint() {
    let store = MemoryDriver::new();
    let (db, things) = handle(&store).await;
    for id in 0..3 {
        things.put(&json!({"id": id, "a": 7 - id})).await.unwrap();
    }
    things.create_index("a").await.unwrap();
    let order: Order = "a".parse().unwrap();
    let stream = things.query().order_by(order).by_index("a").stream().await.unwrap();
    things.put(&json!({"id": 9, "a": 0})).await.unwrap();
    db.checkpoint().await.unwrap();
    let found: Vec<Value> = stream.try_collect().await.unwrap();
    assert_eq!(found.iter().map(|document| document["id"].clone()).collect::<Vec<_>>(), [2, 1, 0]);
}
