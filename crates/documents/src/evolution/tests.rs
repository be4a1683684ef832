//! Random chains of versions, against a model that knows fields by what they are and not by their names.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::row::{self, Keep};
use crate::succession::check_succession;
use crate::{FieldType, Layouts, SchemaBuilder};

/// What a version does to the fields of the one before.
#[derive(Clone, Debug)]
enum Step {
    Add {
        default: Option<i64>,
    },
    Rename(usize),
    Remove {
        which: usize,
        stand_in: Option<i64>,
    },
    /// Nothing but a wider type.
    Widen(usize),
}

/// A field as one version has it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    name: String,
    field_type: FieldType,
    default: Option<i64>,
    renamed_from: Option<String>,
}

/// The fields of a version, by what they are, and the schema.
struct Version {
    fields: BTreeMap<usize, Known>,
    /// What is read where a field was removed by this version.
    removed: BTreeMap<usize, Option<i64>>,
    schema: Schema,
}

struct Chain(Vec<Version>);

impl Chain {
    fn of(steps: &[Vec<Step>]) -> Self {
        let mut versions: Vec<Version> = Vec::new();
        let (mut fields, mut next_field, mut next_name) = (BTreeMap::new(), 0, 0);
        let mut new_name = || {
            next_name += 1;
            format!("f{next_name}")
        };
        for (number, steps) in (1..).zip(steps) {
            let mut removed = BTreeMap::new();
            // What is said of a renaming, or of a default, stays where it was said.
            for step in steps {
                let nth = |which: usize, fields: &BTreeMap<usize, Known>| {
                    let known: Vec<usize> = fields.keys().copied().collect();
                    known.get(which % known.len().max(1)).copied()
                };
                match step {
                    Step::Add { default } => {
                        let known = Known {
                            name: new_name(),
                            field_type: FieldType::I32,
                            default: *default,
                            renamed_from: None,
                        };
                        fields.insert(next_field, known);
                        next_field += 1;
                    }
                    Step::Rename(which) => {
                        let before = versions.last().map(|version: &Version| &version.fields);
                        let Some(field) = nth(*which, &fields) else { continue };
                        let known = fields.get_mut(&field).unwrap();
                        // Once in a version, and not what this one adds.
                        if before.and_then(|before| before.get(&field)).is_some_and(|before| before.name == known.name)
                        {
                            known.renamed_from = Some(std::mem::replace(&mut known.name, new_name()));
                        }
                    }
                    Step::Remove { which, stand_in } => {
                        let Some(field) = nth(*which, &fields) else { continue };
                        fields.remove(&field);
                        removed.insert(field, *stand_in);
                    }
                    Step::Widen(which) => {
                        let Some(field) = nth(*which, &fields) else { continue };
                        fields.get_mut(&field).unwrap().field_type = FieldType::I64;
                    }
                }
            }
            let before = versions.last().map(|version| version.fields.clone()).unwrap_or_default();
            removed.retain(|field, _| before.contains_key(field));
            let mut builder = Schema::builder("t").version(number).field::<String>("id").required();
            builder = fields.values().fold(builder, declare);
            for (field, stand_in) in &removed {
                let name = &before[field].name;
                builder = match stand_in {
                    Some(value) => builder.removed_with(name, value),
                    None => builder.removed(name),
                };
            }
            let schema = builder.key(&["id"]).finish();
            versions.push(Version { fields: fields.clone(), removed, schema });
        }
        Self(versions)
    }

    fn schemas(&self) -> Vec<Schema> {
        self.0.iter().map(|version| version.schema.clone()).collect()
    }

    fn version(&self, number: usize) -> &Version {
        &self.0[number - 1]
    }

    /// The version that gives a field a default, for rows of versions before.
    fn default_of(&self, field: usize) -> Option<(usize, i64)> {
        let has = |(number, version): (usize, &Version)| Some((number, version.fields.get(&field)?.default?));
        (1..).zip(&self.0).find_map(has)
    }
}

fn declare(builder: SchemaBuilder, known: &Known) -> SchemaBuilder {
    let mut builder = builder.field_of_type(&known.name, known.field_type).optional();
    if let Some(default) = &known.default {
        builder = builder.default_value(default);
    }
    match &known.renamed_from {
        Some(name) => builder.renamed_from(name),
        None => builder,
    }
}

fn any_steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let value = || prop::option::of(100_i64..110);
    let step = prop_oneof![
        3 => value().prop_map(|default| Step::Add { default }),
        3 => (0_usize..8).prop_map(Step::Rename),
        1 => (0_usize..8, value()).prop_map(|(which, stand_in)| Step::Remove { which, stand_in }),
        1 => (0_usize..8).prop_map(Step::Widen),
    ];
    prop::collection::vec(prop::collection::vec(step, 0..4), 1..6)
}

/// A document that a program writes: a value, or none, for each field that its version declares.
#[derive(Clone, Debug)]
struct Write {
    version: usize,
    values: Vec<Option<i64>>,
}

fn any_writes() -> impl Strategy<Value = Vec<Write>> {
    let value = prop_oneof![3 => (0_i64..100).prop_map(Some), 1 => Just(None)];
    let write = (0_usize..8, prop::collection::vec(value, 7)).prop_map(|(version, values)| Write { version, values });
    prop::collection::vec(write, 1..5)
}

/// What is known of a field of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    /// No program that knows it has written it.
    Never,
    Absent,
    Value(i64),
}

fn document(version: &Version, values: &[Option<i64>]) -> Value {
    let mut document = Map::from_iter([("id".to_owned(), json!("x"))]);
    for (field, known) in &version.fields {
        if let Some(value) = values[*field % values.len()] {
            document.insert(known.name.clone(), json!(value));
        }
    }
    Value::Object(document)
}

/// What a program of one version reads in each of its fields.
fn read(row: &Bytes, layouts: &Layouts, version: &Version) -> BTreeMap<usize, Option<i64>> {
    let document: BTreeMap<String, Value> = row::decode(row, layouts).unwrap();
    let known: Vec<&str> = version.fields.values().map(|known| known.name.as_str()).collect();
    for name in document.keys() {
        assert!(name == "id" || known.contains(&name.as_str()), "{name} is none of {known:?}");
    }
    let value = |known: &Known| document.get(&known.name).and_then(Value::as_i64);
    version.fields.iter().map(|(field, known)| (*field, value(known))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Any programs read and write one document, one after the other.
    #[test]
    fn no_program_loses_what_another_one_wrote(steps in any_steps(), writes in any_writes()) {
        let chain = Chain::of(&steps);
        let newest = Layouts::of_versions(&chain.schemas());
        let mut row: Option<Bytes> = None;
        let mut held: BTreeMap<usize, Held> = BTreeMap::new();
        for write in writes {
            let number = 1 + write.version % chain.0.len();
            let version = chain.version(number);
            let layouts = newest.for_version(number as u32);
            let written = row::encode(&document(version, &write.values), &layouts).unwrap();
            let kept = row.as_ref().and_then(|before| row::keep(&written, before, &layouts, Keep::Others).unwrap());
            row = Some(kept.unwrap_or(written));
            for field in version.fields.keys() {
                let value = write.values[*field % write.values.len()];
                held.insert(*field, value.map_or(Held::Absent, Held::Value));
            }
            let row = row.as_ref().unwrap();
            for (reader, version) in (1..).zip(&chain.0) {
                for (field, found) in read(row, &newest.for_version(reader as u32), version) {
                    let expected = match held.get(&field).copied().unwrap_or(Held::Never) {
                        Held::Value(value) => Some(value),
                        Held::Absent => None,
                        Held::Never => {
                            let default = chain.default_of(field).filter(|(since, _)| *since <= reader);
                            let removed = (1..).zip(&chain.0).find_map(|(version, of)| {
                                of.removed.get(&field).filter(|_| reader < version && version <= number)
                            });
                            match default {
                                Some((since, value)) if number < since => Some(value),
                                // Whoever wrote it last is newer than what gave the field its value, and knows it no more.
                                _ => removed.copied().flatten(),
                            }
                        }
                    };
                    prop_assert_eq!(found, expected, "field {} for version {}: {:?}", field, reader, held);
                }
            }
        }
    }

    /// A row that was written once, under any version, is read as the declarations say.
    #[test]
    fn a_row_reads_as_declared_by_any_version(steps in any_steps(), write in any_writes()) {
        let chain = Chain::of(&steps);
        let newest = Layouts::of_versions(&chain.schemas());
        let write = &write[0];
        let writer = 1 + write.version % chain.0.len();
        let by = chain.version(writer);
        let row = row::encode(&document(by, &write.values), &newest.for_version(writer as u32)).unwrap();
        for (reader, version) in (1..).zip(&chain.0) {
            for (field, found) in read(&row, &newest.for_version(reader as u32), version) {
                let written = by.fields.get(&field).and(write.values[field % write.values.len()]);
                let default = chain.default_of(field).filter(|(since, _)| writer < *since && *since <= reader);
                let removed = (1..).zip(&chain.0).find_map(|(number, version)| {
                    version.removed.get(&field).filter(|_| reader < number && number <= writer)
                });
                let expected = written.or(default.map(|(_, value)| value)).or(removed.copied().flatten());
                prop_assert_eq!(found, expected, "field {} of version {} for version {}", field, writer, reader);
            }
        }
        // Rewritten, it is the same document to the newest version, and of that version.
        let last = chain.0.len();
        let upgraded = row::upgraded(&row, &newest).unwrap();
        prop_assert_eq!(upgraded.is_none(), writer == last);
        if let Some(upgraded) = upgraded {
            prop_assert_eq!(row::schema_version(&upgraded), Ok(last as u32));
            let version = chain.version(last);
            prop_assert_eq!(read(&upgraded, &newest, version), read(&row, &newest, version));
        }
    }

    /// Filters look at what reading as JSON shows, whatever names they use; and what is in an index stays where it is when
    /// more versions come, unless the index begins anew.
    #[test]
    fn fields_are_found_by_all_their_names_and_stay_what_they_were(
        steps in any_steps(), write in any_writes(), undeclared in prop::option::of((1_usize..12, 0_i64..100)),
    ) {
        let chain = Chain::of(&steps);
        let schemas = chain.schemas();
        let newest = Layouts::of_versions(&schemas);
        let writer = 1 + write[0].version % chain.0.len();
        let mut document = document(chain.version(writer), &write[0].values);
        if let Some((name, value)) = undeclared {
            let name = format!("f{name}");
            if !schemas[writer - 1].declares(&name) {
                document[name] = json!(value);
            }
        }
        let row = row::encode(&document, &newest.for_version(writer as u32)).unwrap();
        let names: Vec<String> = (1..12).map(|number| format!("f{number}")).collect();
        let evolution = Evolution::of(&schemas);
        let value = row::decode_value(&row, &newest).unwrap();
        let field = |layouts: &Layouts, name: &str| {
            row::look(&row, layouts, |node| node.field(name)?.map(|node| node.to_value()).transpose()).unwrap()
        };
        for name in &names {
            prop_assert_eq!(field(&newest, name), value.get(evolution.newest_name(name)).cloned(), "{}", name);
        }
        for wanted in 1..=schemas.len() {
            // What is known without a look is what a look finds, whatever version asks.
            let layouts = newest.for_version(wanted as u32);
            let mut places = row::FieldPlaces::new(&layouts, names.iter().map(String::as_str));
            let Some(placed) = places.open(&row) else { continue };
            for (index, name) in names.iter().enumerate() {
                match placed.field(index) {
                    row::Glance::Value(row::Kind::Integer(number)) => {
                        prop_assert_eq!(field(&layouts, name), Some(json!(number as i64)), "{} for {}", name, wanted);
                    }
                    row::Glance::Value(row::Kind::Null) => prop_assert_eq!(field(&layouts, name), Some(Value::Null)),
                    row::Glance::Missing => prop_assert_eq!(field(&layouts, name), None),
                    row::Glance::Value(other) => prop_assert!(false, "{:?} is no number", other),
                    row::Glance::Unknown => {}
                }
            }
        }
        for known in writer..=schemas.len() {
            let (before, earlier) = (Evolution::of(&schemas[..known]), Layouts::of_versions(&schemas[..known]));
            let versions = || schemas[..known].iter().map(Schema::version);
            for more in known + 1..=schemas.len() {
                let (after, later) = (Evolution::of(&schemas[..more]), Layouts::of_versions(&schemas[..more]));
                for name in names.iter().filter(|name| after.reads_as_before(&before, name, versions())) {
                    prop_assert_eq!(field(&earlier, name), field(&later, name), "{} in {} and {}", name, known, more);
                }
            }
        }
    }

    #[test]
    fn damaged_rows_are_refused_or_kept(
        steps in any_steps(), write in any_writes(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let chain = Chain::of(&steps);
        let newest = Layouts::of_versions(&chain.schemas());
        let writer = 1 + write[0].version % chain.0.len();
        let layouts = newest.for_version(writer as u32);
        let row = row::encode(&document(chain.version(writer), &write[0].values), &layouts).unwrap();
        let mut damaged = row.to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let damaged = Bytes::from(damaged);
        let _ = row::decode_value(&damaged, &newest);
        let _ = row::upgraded(&damaged, &newest);
        let _ = row::keep(&row, &damaged, &layouts, Keep::Others);
        let _ = row::keep(&damaged, &row, &newest, Keep::Undeclared);
        let _ = row::look(&damaged, &newest, |node| node.field("f1")?.map(|node| node.to_value()).transpose());
    }

    /// What the generator makes is what may be registered.
    #[test]
    fn such_chains_are_accepted(steps in any_steps()) {
        let schemas = Chain::of(&steps).schemas();
        for (known, schema) in schemas.iter().enumerate().skip(1) {
            let evolution = Evolution::of(&schemas[..known]);
            prop_assert_eq!(check_succession(&schemas[known - 1], &evolution, schema), Ok(()));
        }
    }
}
