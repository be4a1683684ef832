//! Rows: no bytes make a reader panic; a field that is looked at alone is the same as in the whole document; what is read
//! as JSON is what it is written as; a patched row is the patched document; texts that stand for something keep what they
//! stand for, and have one form.
#![no_main]

use std::sync::LazyLock;

use bucketdb::{Document, FieldType, Schema};
use bucketdb_documents::{Layouts, row};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// With columns of many types.
#[derive(Debug, Serialize, Deserialize, Document)]
#[document(table = "people", version = 1)]
struct Person {
    #[document(key)]
    id: u64,
    #[document(index)]
    name: String,
    age: u8,
    height: Option<f32>,
    score: f64,
    change: i64,
    is_active: bool,
    note: Option<String>,
    tags: Vec<String>,
    address: Option<Address>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Address {
    city: String,
    zip: Option<u32>,
}

static LAYOUTS: LazyLock<Layouts> = LazyLock::new(|| Layouts::of_schema(&Person::schema()));

const TYPED: [(&str, FieldType); 4] = [
    ("name", FieldType::Uuid),
    ("note", FieldType::Timestamp),
    ("other", FieldType::Date),
    ("score", FieldType::Decimal),
];

static TYPED_LAYOUTS: LazyLock<Layouts> = LazyLock::new(|| {
    let schema = Schema::builder("typed").field::<u64>("id").key(&["id"]);
    let schema = TYPED.iter().fold(schema, |schema, (name, field_type)| schema.field_of_type(name, *field_type));
    Layouts::of_schema(&schema.finish())
});

const FIELDS: [&str; 11] =
    ["id", "name", "age", "height", "score", "change", "is_active", "note", "tags", "address", "other"];

fuzz_target!(|bytes: &[u8]| {
    check(&Bytes::copy_from_slice(bytes));
    // Whatever is JSON is a document that can be written.
    if let Ok(document) = serde_json::from_slice::<Value>(bytes)
        && document.is_object()
        && let Ok(row) = row::encode(&document, &LAYOUTS)
    {
        assert_eq!(row::decode_value(&row, &LAYOUTS).as_ref(), Ok(&document));
        check(&row);
        check_typed(&document);
    }
});

fn check_typed(document: &Value) {
    let row = row::encode(document, &TYPED_LAYOUTS).unwrap();
    let read = row::decode_value(&row, &TYPED_LAYOUTS).unwrap();
    for (name, field_type) in TYPED {
        let comparable = |document: &Value| Some(field_type.text_type()?.comparable(document.get(name)?.clone()));
        assert_eq!(comparable(document), comparable(&read), "{name} of {document}");
    }
    assert_eq!(row::decode_value(&row::encode(&read, &TYPED_LAYOUTS).unwrap(), &TYPED_LAYOUTS), Ok(read));
}

fn check(bytes: &Bytes) {
    let _ = row::decode_value(bytes, &TYPED_LAYOUTS);
    let _ = row::decode::<Person>(bytes, &LAYOUTS);
    let whole = row::decode_value(bytes, &LAYOUTS);
    for name in FIELDS {
        let alone = row::look(bytes, &LAYOUTS, |row| row.field(name)?.map(|field| field.to_value()).transpose());
        if let (Ok(whole), Ok(alone)) = (&whole, alone) {
            assert_eq!(whole.get(name), alone.as_ref(), "{name} of {whole}");
        }
    }
    let patch = json!({"age": 7, "note": null, "address": {"city": "Bern"}, "other": [1]});
    let Value::Object(patch) = patch else { return };
    if let Ok(patched) = row::patched(bytes, &patch, &LAYOUTS) {
        let patched = row::decode_value(&patched, &LAYOUTS).unwrap();
        assert_eq!(
            (&patched["age"], &patched["address"]["city"], &patched["other"]),
            (&json!(7), &json!("Bern"), &json!([1]))
        );
        assert_eq!(patched.get("note"), None);
    }
}
