use std::io::{self, IsTerminal, Read};

use bucketdb::{Freshness, KeyType, Schema};
use serde_json::{Value, json};

use super::table::key_names;
use crate::arguments::{Global, Put};
use crate::failure::Failure;
use crate::output::{Output, timestamp};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, options: &Put, output: &mut Output) -> Result<(), Failure> {
    let document = read_document(options.document.as_deref())?;
    let (db, _) = session::open(global, Access::Create).await?;
    let collection = db.collection(&options.table).with_freshness(Freshness::Local);
    match (collection.schema().await?, &options.key) {
        (Some(schema), Some(key)) if key_names(&schema) != *key => {
            let (table, known) = (&options.table, key_names(&schema).join(","));
            return Err(Failure::usage(format!(
                "the key of table {table} is {known}, and --key says {}",
                key.join(",")
            )));
        }
        (None, Some(key)) => drop(db.create_collection(schema_for(&options.table, key, &document)?).await?),
        _ => {}
    }
    let commit = if options.insert { collection.insert(&document).await? } else { collection.put(&document).await? };
    db.close().await?;
    if output.is_json() {
        let time = timestamp(commit.time.unix_ms());
        output
            .value(&json!({"table": options.table, "seq": commit.seq.0, "time": time, "id": commit.id.to_string()}))?;
    } else {
        output.line(format_args!("written to {} at position {}", options.table, commit.seq))?;
    }
    Ok(())
}

fn read_document(argument: Option<&str>) -> Result<Value, Failure> {
    let text = match argument {
        Some(text) if text != "-" => text.to_owned(),
        None if io::stdin().is_terminal() => {
            return Err(Failure::usage("no document was given: name it as an argument or write it to standard input"));
        }
        _ => {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::of_io("read", "standard input", &error))?;
            text
        }
    };
    let document: Value =
        serde_json::from_str(&text).map_err(|error| Failure::usage(format!("the document is not JSON: {error}")))?;
    if document.is_object() { Ok(document) } else { Err(Failure::usage("a document must be a JSON object")) }
}

/// The schema of a new table with that key, by what its first document holds there.
fn schema_for(table: &str, key: &[String], document: &Value) -> Result<Schema, Failure> {
    let mut types = Vec::new();
    for name in key {
        types.push(match document.get(name) {
            Some(Value::String(_)) => KeyType::Text,
            Some(Value::Bool(_)) => KeyType::Boolean,
            Some(Value::Number(number)) if !number.is_f64() => KeyType::Integer,
            Some(_) => {
                let message = format!("field {name:?}, the key, must be text, a whole number or a boolean");
                return Err(Failure::usage(message));
            }
            None => return Err(Failure::usage(format!("field {name:?}, the key, is missing in the document"))),
        });
    }
    let names: Vec<&str> = key.iter().map(String::as_str).collect();
    Ok(Schema::builder(table).version(0).key(&names).finish().with_key_types(&types))
}
