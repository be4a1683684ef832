//! Scans take the rows of a block together where nothing else has to be looked at with them, and in a transaction one by
//! one: both, and plain code, must say the same, whatever lies in runs, in memory, and under which version it was written.

use std::collections::BTreeMap;

use bucketdb::{Collection, Database, Duplicates, FieldType, KeyType, MemoryDriver, Order, Schema, SchemaBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::answers::{self, Asked};
use crate::support::on;

type Model = BTreeMap<u64, Value>;

/// How many keys there are: several blocks of rows.
const KEYS: u64 = 1_500;

/// When documents end that have ended.
const LONG_AGO_S: u64 = 1_000;

#[derive(Clone, Debug)]
enum Layer {
    /// In runs of their own.
    Load(Written),
    /// In memory.
    Batch(Written),
    Checkpoint,
    /// Rows are written under the next version of the schema from here on.
    Version,
}

/// Every so manieth key from one on, as documents drawn from a number; some of them are deleted.
#[derive(Clone, Debug)]
struct Written {
    first: u64,
    step: u64,
    count: u64,
    seed: u64,
}

impl Written {
    fn documents(&self) -> impl Iterator<Item = (u64, Option<Value>)> {
        let Self { first, step, count, seed } = *self;
        let keys = (first..KEYS).step_by(step as usize).take(count as usize);
        keys.map(move |key| {
            let hash = blake3::hash(&[key.to_le_bytes(), seed.to_le_bytes()].concat());
            let [kind, a, b, tag, ends, x, ..] = *hash.as_bytes();
            let mut document = json!({"id": key, "n": {"x": x % 3}, "filler": hash.to_hex().as_str()});
            let number = i64::from(a % 7) - 3;
            let text = ["", "x", "xy", "é"][usize::from(b % 4)];
            // Most are as declared. Others are null, absent, of another type, or do not fit.
            match kind % 16 {
                0 => document["a"] = json!(null),
                1 => {}
                2 => document["a"] = json!(text),
                3 => document["a"] = json!(1_i64 << 40),
                4 => document["a"] = json!(1.5),
                _ => document["a"] = json!(number),
            }
            match kind / 16 {
                0 => document["b"] = json!(null),
                1 => {}
                2 => document["b"] = json!(number),
                _ => document["b"] = json!(text),
            }
            if tag % 3 > 0 {
                document["tags"] = json!([number, text]);
            }
            match ends % 8 {
                0 => document["ends"] = json!(LONG_AGO_S),
                1 => document["ends"] = json!(u64::from(u32::MAX)),
                _ => {}
            }
            (key, (seed % 5 > 0 || a % 3 > 0).then_some(document))
        })
    }
}

fn written() -> impl Strategy<Value = Written> {
    let step = prop_oneof![3 => Just(1_u64), 1 => 2..40_u64];
    (0..KEYS, step, prop_oneof![0..30_u64, 100..KEYS], any::<u64>()).prop_map(|(first, step, count, seed)| Written {
        first: first * (step % 2),
        step,
        count,
        seed,
    })
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        3 => written().prop_map(Layer::Load),
        3 => written().prop_map(Layer::Batch),
        2 => Just(Layer::Checkpoint),
        1 => Just(Layer::Version),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let filter = prop::sample::select(vec![
        "true",
        "a < 0",
        "a = 2.0",
        "a > 1.5",
        "a between -1 and 2",
        "a >= 4294967296",
        "a < \"x\"",
        "not a < 0",
        "a is null",
        "a exists and a != 0",
        "b = \"x\"",
        "b = 2",
        "a <= 1 and b = \"xy\"",
        "a <= 1 and b starts with \"x\" and n.x = 1",
        "a = 1 or b = \"é\"",
        "id between 100 and 700 and a > 0",
        "id < 18446744073709551615 and id >= 300",
        "tags contains 1 and a < 2",
        "tags[*] = \"x\" and id > 1000",
    ]);
    let order = prop::sample::select(vec!["", "", "a", "a desc, b", "b desc", "id desc", "n.x, a"]);
    (filter, order, 0..3_usize, prop::option::of(prop_oneof![0..6_usize, 100..900_usize])).prop_map(
        |(filter, order, offset, limit)| Asked { filter: filter.to_owned(), order: order.to_owned(), offset, limit },
    )
}

/// Later versions have wider numbers, more fields, and other places for all of them.
fn schema(version: u32) -> Schema {
    let builder = Schema::builder("things").version(version).ttl("ends").field::<u64>("id");
    let optional = |builder: SchemaBuilder, name: &str, of| builder.field_of_type(name, of).optional();
    let builder = match version {
        1 => optional(optional(builder, "a", FieldType::I16), "b", FieldType::Text),
        2 => optional(optional(builder, "b", FieldType::Text), "a", FieldType::I32),
        _ => {
            let builder = optional(optional(builder, "filler", FieldType::Text), "a", FieldType::I64);
            optional(optional(builder, "more", FieldType::Text), "b", FieldType::Text)
        }
    };
    optional(builder, "ends", FieldType::U64).key(&["id"]).finish().with_key_types(&[KeyType::Integer])
}

fn has_ended(document: &Value) -> bool {
    document["ends"] == json!(LONG_AGO_S)
}

async fn write(layer: &Layer, db: &Database, things: &Collection, version: &mut u32, model: &mut Model) {
    match layer {
        Layer::Load(written) => {
            let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
            for (key, document) in written.documents() {
                if let Some(document) = document {
                    load.add_value(&document).await.unwrap();
                    model.insert(key, document);
                }
            }
            load.finish().await.unwrap();
        }
        Layer::Batch(written) => {
            let mut batch = db.batch();
            for (key, document) in written.documents() {
                match document {
                    Some(document) => {
                        batch.put_into(things, &document).unwrap();
                        model.insert(key, document);
                    }
                    None => {
                        // Only what is there can be deleted.
                        if model.get(&key).is_some_and(|document| !has_ended(document)) {
                            batch.delete_from_by_text(things, &key.to_string()).unwrap();
                            model.remove(&key);
                        }
                    }
                }
            }
            if !batch.is_empty() {
                batch.commit().await.unwrap();
            }
        }
        Layer::Checkpoint => Box::pin(db.checkpoint()).await.unwrap(),
        Layer::Version if *version < 3 => {
            *version += 1;
            db.create_collection(schema(*version)).await.unwrap();
        }
        Layer::Version => {}
    }
}

async fn run(layers: Vec<Layer>, asked: Vec<Asked>) {
    let store = MemoryDriver::new();
    let db = on(store).open().await.unwrap();
    let things = db.create_collection(schema(1)).await.unwrap();
    let (mut version, mut model) = (1, Model::new());
    for layer in &layers {
        write(layer, &db, &things, &mut version, &mut model).await;
    }
    let documents: Vec<Value> = model.into_values().filter(|document| !has_ended(document)).collect();
    let (db, things) = (&db, &things);
    for asked in &asked {
        let expected = asked.expected(&documents);
        let together = || things.query();
        assert_eq!(Box::pin(asked.of(together()).fetch()).await.unwrap(), expected, "{asked:?}");
        Box::pin(answers::check(together, asked, &documents)).await;
        Box::pin(answers::check_documents(&[together], asked, &documents)).await;
        let documents = &documents;
        Box::pin(db.transact(async |tx| {
            let one_by_one = || tx.query_values(things);
            assert_eq!(asked.of(one_by_one()).fetch().await?, asked.expected(documents), "{asked:?}");
            Box::pin(answers::check(one_by_one, asked, documents)).await;
            Ok::<_, bucketdb::Error>(())
        }))
        .await
        .unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_together_and_one_by_one_are_the_same(
        layers in prop::collection::vec(layer(), 1..6), asked in prop::collection::vec(asked(), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(layers, asked));
    }
}

#[tokio::test]
async fn a_limit_ends_a_scan_within_a_block() {
    let db = on(MemoryDriver::new()).open().await.unwrap();
    let things = db.create_collection(schema(1)).await.unwrap();
    let mut load = things.bulk_load(Duplicates::Fail).await.unwrap();
    for id in 0..KEYS {
        load.add_value(&json!({"id": id, "a": id % 10})).await.unwrap();
    }
    load.finish().await.unwrap();
    let some = || things.query().filter_text("a = 3").unwrap();
    assert_eq!(some().count().await.unwrap(), KEYS / 10);
    assert_eq!(some().offset(7).limit(20).count().await.unwrap(), 20);
    assert_eq!(some().offset(KEYS as usize / 10 - 3).limit(20).count().await.unwrap(), 3);
    assert_eq!(some().limit(0).count().await.unwrap(), 0);
    let last = some().order_by("id desc".parse::<Order>().unwrap()).offset(1).limit(2).fetch().await.unwrap();
    assert_eq!(last.iter().map(|document| document["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1483, 1473]);
}
