use bucketdb::{Path, Segment};
use serde_json::{Map, Value, json};

use super::found::{Wanted, failure};
use super::table::existing_table;
use crate::arguments::{Global, Update};
use crate::failure::Failure;
use crate::output::{Output, plural};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, options: &Update, output: &mut Output) -> Result<(), Failure> {
    let wanted = Wanted::parse(&options.found)?;
    let patch = patch(options)?;
    let (db, _) = session::open(global, Access::Change).await?;
    let table = &options.table;
    let (collection, _) = existing_table(&db, table).await?;
    let updated = wanted.apply(collection.query(), &options.found).patch(&patch).await.map_err(failure)?;
    db.close().await?;
    if output.is_json() {
        output.value(&json!({"table": table, "updated": updated}))?;
    } else {
        output.line(format_args!("updated {} of {table}", plural(updated, "document")))?;
    }
    Ok(())
}

/// A merge patch that a person wrote.
pub(super) fn parse_patch(text: &str) -> Result<Value, Failure> {
    let patch: Value =
        serde_json::from_str(text).map_err(|error| Failure::usage(format!("the patch is not JSON: {error}")))?;
    if patch.is_object() { Ok(patch) } else { Err(Failure::usage("a patch must be a JSON object")) }
}

/// What is asked for, as one merge patch.
fn patch(options: &Update) -> Result<Value, Failure> {
    let mut patch = match &options.patch {
        Some(text) => parse_patch(text)?,
        None => Value::Object(Map::new()),
    };
    for assignment in &options.set {
        set(&mut patch, assignment)?;
    }
    Ok(patch)
}

fn set(patch: &mut Value, assignment: &str) -> Result<(), Failure> {
    let wrong = |reason: &str| Failure::usage(format!("--set {assignment:?}: {reason}"));
    let (path, value) = split(assignment).ok_or_else(|| wrong("it is not of the form FIELD=JSON"))?;
    let value: Value = serde_json::from_str(value)
        .map_err(|error| wrong(&format!("what is behind `=` is not JSON ({error}); a text needs double quotes")))?;
    if put(patch, &path, value) {
        Ok(())
    } else {
        Err(wrong("a list changes as a whole: name the field that holds it"))
    }
}

/// Puts a value into a patch. `false` if the path leads into a list.
pub(super) fn put(patch: &mut Value, path: &Path, value: Value) -> bool {
    let mut place = patch;
    for segment in path.segments() {
        let Segment::Field(name) = segment else { return false };
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return false };
        place = fields.entry(name.as_str()).or_insert(Value::Null);
    }
    *place = value;
    true
}

/// The path before the first `=` that leaves one, and what is behind it: a name in quotes may have a `=`.
fn split(assignment: &str) -> Option<(Path, &str)> {
    assignment
        .match_indices('=')
        .find_map(|(at, _)| Some((assignment.get(..at)?.trim().parse().ok()?, assignment.get(at + 1..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(assignments: &[&str]) -> Result<Value, String> {
        let mut patch = json!({});
        for assignment in assignments {
            set(&mut patch, assignment).map_err(|failure| failure.message().to_owned())?;
        }
        Ok(patch)
    }

    #[test]
    fn assignments_make_a_patch() {
        let patch = patched(&["age=42", "address.city = \"Bern\"", "address.zip=null", r#""a=b"=[1]"#]);
        assert_eq!(patch, Ok(json!({"age": 42, "address": {"city": "Bern", "zip": null}, "a=b": [1]})));
        assert_eq!(patched(&["a=1", "a.b=2"]), Ok(json!({"a": {"b": 2}})));
        for (wrong, reason) in
            [("age", "FIELD=JSON"), ("=1", "FIELD=JSON"), ("role=admin", "double quotes"), ("a[0]=1", "as a whole")]
        {
            let message = patched(&[wrong]).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}
