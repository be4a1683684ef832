//! Rows of one version of a schema, read as ones of another: what is read is what the declarations say, a field is the same
//! under all its names, a row that is rewritten reads as before, and no bytes make a reader panic.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use bucketdb::{FieldType, Schema};
use bucketdb_documents::row::{self, Keep};
use bucketdb_documents::{Layouts, SchemaBuilder, StandIn};
use bucketdb_fuzz::Any;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
struct Input {
    versions: Vec<Vec<Step>>,
    writer: u8,
    /// What the document has in each field that its version declares; `None`: it lacks it.
    values: Vec<Option<Any>>,
    /// What it has in a field of a name that no version declares.
    undeclared: Option<Any>,
    /// What another program, of another version, writes in its place.
    second: (u8, Vec<Option<Any>>),
    /// Stored by nobody.
    raw: Vec<u8>,
}

/// What a version does to the fields of the one before.
#[derive(Arbitrary, Debug)]
enum Step {
    Add { field_type: Type, is_required: bool, default: Option<Any> },
    Rename(u8),
    Remove { which: u8, stand_in: Option<Any> },
    Widen(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Type {
    Boolean,
    Byte,
    Small,
    Whole,
    Large,
    Single,
    Double,
    Text,
    Any,
}

impl Type {
    fn field_type(self) -> FieldType {
        match self {
            Self::Boolean => FieldType::Bool,
            Self::Byte => FieldType::U8,
            Self::Small => FieldType::I32,
            Self::Whole => FieldType::I64,
            Self::Large => FieldType::U64,
            Self::Single => FieldType::F32,
            Self::Double => FieldType::F64,
            Self::Text => FieldType::Text,
            Self::Any => FieldType::Any,
        }
    }

    fn wider(self) -> Self {
        match self {
            Self::Byte => Self::Small,
            Self::Small => Self::Whole,
            Self::Single => Self::Double,
            other => other,
        }
    }
}

/// A field as one version has it. What it is by, in a [`Version`], never changes.
#[derive(Clone)]
struct Known {
    name: String,
    field_type: Type,
    is_required: bool,
    default: Option<Value>,
    /// The version that brought it.
    since: usize,
    renamed_from: Option<String>,
}

#[derive(Default)]
struct Version {
    fields: BTreeMap<usize, Known>,
    /// What programs of versions before read in fields that this one removed.
    removed: BTreeMap<usize, Option<Value>>,
}

const MOST_VERSIONS: usize = 6;
const MOST_STEPS: usize = 4;

/// The versions, oldest first, with their schemas.
struct Chain {
    versions: Vec<Version>,
    schemas: Vec<Schema>,
}

impl Chain {
    fn of(steps: Vec<Vec<Step>>) -> Self {
        let mut chain = Self { versions: Vec::new(), schemas: Vec::new() };
        let (mut fields, mut next_field) = (BTreeMap::<usize, Known>::new(), 0);
        for (number, steps) in (1..).zip(steps.into_iter().take(MOST_VERSIONS)) {
            let mut removed = BTreeMap::new();
            for (step_number, step) in steps.into_iter().take(MOST_STEPS).enumerate() {
                let name = format!("f{number}_{step_number}");
                let nth = |which: u8, fields: &BTreeMap<usize, Known>| {
                    fields.keys().nth(usize::from(which) % fields.len().max(1)).copied()
                };
                match step {
                    Step::Add { field_type, is_required, default } => {
                        let default = default.and_then(stand_in_of);
                        let (since, renamed_from) = (number, None);
                        fields
                            .insert(next_field, Known { name, field_type, is_required, default, since, renamed_from });
                        next_field += 1;
                    }
                    Step::Rename(which) => {
                        let Some(known) = nth(which, &fields).and_then(|field| fields.get_mut(&field)) else {
                            continue;
                        };
                        // Once in a version, and not what this one adds.
                        let was_here = chain
                            .schemas
                            .last()
                            .is_some_and(|before| before.fields().iter().any(|field| field.name == known.name));
                        if was_here {
                            known.renamed_from = Some(std::mem::replace(&mut known.name, name));
                        }
                    }
                    Step::Remove { which, stand_in } => {
                        let Some(field) = nth(which, &fields) else { continue };
                        fields.remove(&field);
                        if chain.versions.last().is_some_and(|before| before.fields.contains_key(&field)) {
                            removed.insert(field, stand_in.and_then(stand_in_of));
                        }
                    }
                    Step::Widen(which) => {
                        let Some(known) = nth(which, &fields).and_then(|field| fields.get_mut(&field)) else {
                            continue;
                        };
                        known.field_type = known.field_type.wider();
                    }
                }
            }
            let builder = Schema::builder("t").version(number as u32).field::<String>("id").required();
            let builder = fields.values().fold(builder, declare);
            let builder = removed.iter().fold(builder, |builder, (field, stand_in)| {
                let name = &chain.versions[number - 2].fields[field].name;
                match stand_in {
                    Some(value) => builder.removed_with(name, value),
                    None => builder.removed(name),
                }
            });
            chain.schemas.push(builder.key(&["id"]).finish());
            chain.versions.push(Version { fields: fields.clone(), removed });
        }
        chain
    }

    fn version(&self, number: usize) -> &Version {
        &self.versions[number - 1]
    }

    /// What a program of version `reader` has in a field of a document that version `writer` wrote.
    fn expected(&self, field: usize, written: Option<&Value>, (writer, reader): (usize, usize)) -> Option<Value> {
        if let Some(value) = written.filter(|value| !value.is_null()) {
            return Some(value.clone());
        }
        let known = &self.version(reader).fields[&field];
        let default = known.default.clone().filter(|_| writer < known.since && known.since <= reader);
        if let Some(default) = default {
            // Where there may be null, null is a value.
            return if written.is_some() && !known.is_required { Some(Value::Null) } else { Some(default) };
        }
        if written.is_some() {
            return Some(Value::Null);
        }
        let removed = (1..)
            .zip(&self.versions)
            .find_map(|(number, version)| version.removed.get(&field).filter(|_| reader < number && number <= writer));
        removed.cloned().flatten()
    }
}

/// A value as it may stand for a missing one: one that is nested too deep is as good as none.
fn stand_in_of(value: Any) -> Option<Value> {
    let value = Value::from(value);
    StandIn::of(&value).is_ok().then_some(value)
}

fn declare(builder: SchemaBuilder, known: &Known) -> SchemaBuilder {
    let builder = builder.field_of_type(&known.name, known.field_type.field_type());
    let mut builder = if known.is_required { builder.required() } else { builder.optional() };
    if let Some(default) = &known.default {
        builder = builder.default_value(default);
    }
    match &known.renamed_from {
        Some(name) => builder.renamed_from(name),
        None => builder,
    }
}

/// What a document has in each of its fields.
fn written(version: &Version, values: &[Option<Any>]) -> BTreeMap<usize, Value> {
    let value = |field: &usize| values.get(field % values.len().max(1)).cloned().flatten().map(Value::from);
    version.fields.keys().filter_map(|field| Some((*field, value(field)?))).collect()
}

fn document(version: &Version, written: &BTreeMap<usize, Value>) -> Value {
    let fields = written.iter().map(|(field, value)| (version.fields[field].name.clone(), value.clone()));
    Value::Object(fields.chain([("id".to_owned(), "x".into())]).collect())
}

fuzz_target!(|input: Input| {
    let chain = Chain::of(input.versions);
    if chain.versions.is_empty() {
        return;
    }
    let newest = Layouts::of_versions(&chain.schemas);
    let raw = Bytes::from(input.raw);
    let writer = 1 + usize::from(input.writer) % chain.versions.len();
    let by = chain.version(writer);
    let values = written(by, &input.values);
    let mut document = document(by, &values);
    let undeclared = input.undeclared.map(Value::from);
    if let Some(value) = &undeclared {
        document["undeclared"] = value.clone();
    }
    let layouts = newest.for_version(writer as u32);
    // Only one that is nested too deep cannot be stored.
    let Ok(row) = row::encode(&document, &layouts) else { return };
    assert_eq!(row::decode_value(&row, &layouts).as_ref(), Ok(&document));
    for (reader, version) in (1..).zip(&chain.versions) {
        let layouts = newest.for_version(reader as u32);
        damaged(&raw, &row, &layouts);
        let read: BTreeMap<String, Value> = row::decode(&row, &layouts).unwrap();
        let whole = row::decode_value(&row, &layouts).unwrap();
        assert_eq!(read.get("undeclared"), undeclared.as_ref());
        let mut names = 1 + usize::from(undeclared.is_some());
        for (field, known) in &version.fields {
            let expected = chain.expected(*field, values.get(field), (writer, reader));
            assert_eq!(read.get(&known.name), expected.as_ref(), "{} of {document} for {reader}", known.name);
            assert_eq!(whole.get(&known.name), expected.as_ref(), "{} of {document} for {reader}", known.name);
            assert_eq!(field_of(&row, &layouts, &known.name), Ok(expected.clone()), "{} for {reader}", known.name);
            names += usize::from(expected.is_some());
        }
        assert_eq!(read.len(), names, "{read:?} has what version {reader} does not declare");
    }
    let upgraded = row::upgraded(&row, &newest).unwrap();
    if let Some(upgraded) = upgraded {
        assert_eq!(row::schema_version(&upgraded), Ok(newest.version()));
        same(&row, &upgraded, &newest);
    }
    rewritten(&chain, &newest, &row, input.second);
});

/// A program of another version writes the document anew: it reads what it wrote.
fn rewritten(chain: &Chain, newest: &Layouts, before: &Bytes, (writer, values): (u8, Vec<Option<Any>>)) {
    let writer = 1 + usize::from(writer) % chain.versions.len();
    let layouts = newest.for_version(writer as u32);
    let version = chain.version(writer);
    let Ok(row) = row::encode(&document(version, &written(version, &values)), &layouts) else { return };
    if let Some(kept) = row::keep(&row, before, &layouts, Keep::Others).unwrap() {
        same(&row, &kept, &layouts);
    }
    row::keep(&row, before, &layouts, Keep::Undeclared).unwrap();
}

/// Both read as the same document.
fn same(one: &Bytes, other: &Bytes, layouts: &Layouts) {
    let read = |row: &Bytes| row::decode::<BTreeMap<String, Value>>(row, layouts).unwrap();
    assert_eq!(read(one), read(other));
}

fn field_of(row: &[u8], layouts: &Layouts, name: &str) -> Result<Option<Value>, row::RowError> {
    row::look(row, layouts, |node| node.field(name)?.map(|node| node.to_value()).transpose())
}

/// Bytes that may be a row of any version, or nothing.
fn damaged(raw: &Bytes, row: &Bytes, layouts: &Layouts) {
    let _ = row::decode::<BTreeMap<String, Value>>(raw, layouts);
    let _ = row::decode_value(raw, layouts);
    for name in ["id", "f1_0", "f2_0", "undeclared"] {
        let _ = field_of(raw, layouts, name);
    }
    for keep in [Keep::Others, Keep::Undeclared] {
        let _ = row::keep(raw, row, layouts, keep);
        let _ = row::keep(row, raw, layouts, keep);
    }
    if let (Ok(Some(upgraded)), Ok(read)) = (row::upgraded(raw, layouts), row::decode_value(raw, layouts))
        && let Value::Object(read) = read
    {
        let again = row::decode_value(&upgraded, layouts);
        assert!(again.is_ok(), "{read:?}, upgraded: {again:?}");
    }
}
