//! Which version of a schema may follow which.

use crate::evolution::Evolution;
use crate::{Field, InvalidSchema, Presence, Schema};

/// Whether `newer` may be registered behind `newest`, after which `evolution` holds.
///
/// Documents of all earlier versions must read as ones of the newer, and the other way round as far as programs of the
/// version before need it; what a program's own step brings about is its own affair.
///
/// # Errors
/// The reason why not, with the field that it is about.
pub(crate) fn check_succession(newest: &Schema, evolution: &Evolution, newer: &Schema) -> Result<(), InvalidSchema> {
    newest.check_successor(newer)?;
    for field in newer.fields() {
        let earlier = earlier_name(newest, evolution, newer, field)?;
        if newer.has_step() || newest.version() == 0 {
            continue;
        }
        match earlier.and_then(|name| newest.field(name)) {
            Some(earlier) => check_change(newest, earlier, newer, field)?,
            None if field.presence == Presence::Required && field.default.is_none() => {
                let (name, version) = (&field.name, newest.version());
                return Err(newer.invalid(format!(
                    "field {name:?} is new, and documents of version {version} do not have it; give it a default or make it \
                     optional"
                )));
            }
            None => {}
        }
    }
    if newer.has_step() {
        return Ok(());
    }
    for gone in newest.fields().iter().filter(|field| !has_successor(evolution, newer, field)) {
        let is_told = newer.removed().iter().any(|removed| removed.name == gone.name);
        if gone.presence == Presence::Required && !is_told {
            let (name, version) = (&gone.name, newest.version());
            return Err(newer.invalid(format!(
                "field {name:?} is gone, and programs of version {version} need it; say what they read in its place with \
                 removed({name} = ...), or removed({name}) if there are none any more"
            )));
        }
    }
    Ok(())
}

/// The name of a field of `newer` in `newest`, as far as it had one anywhere before.
fn earlier_name<'a>(
    newest: &Schema,
    evolution: &'a Evolution,
    newer: &'a Schema,
    field: &'a Field,
) -> Result<Option<&'a str>, InvalidSchema> {
    let name = &field.name;
    let known = evolution.find(name);
    // What is said of a renaming stays in a program for as long as it likes.
    let from = field.renamed_from.as_deref().filter(|_| !newest.declares(name));
    if let Some(from) = from {
        if newer.declares(from) {
            return Err(newer.invalid(format!("field {name:?} was {from:?}, which is declared beside it")));
        }
        if newest.version() > 0 && !newest.declares(from) {
            let version = newest.version();
            return Err(newer.invalid(format!(
                "field {name:?} was {from:?}, and version {version}, the newest, has no field of that name"
            )));
        }
        if known.is_some() && known != evolution.find(from) {
            return Err(
                newer.invalid(format!("field {name:?} was {from:?}, but was another field before; take another name"))
            );
        }
        return Ok(Some(from));
    }
    let Some(index) = known else { return Ok(None) };
    let now = evolution.name(index, newest.version());
    if now != name {
        return Err(newer.invalid(format!("field {name:?} was the name of {now:?} once; take another name")));
    }
    Ok(Some(now))
}

fn check_change(newest: &Schema, earlier: &Field, newer: &Schema, field: &Field) -> Result<(), InvalidSchema> {
    let (name, version) = (&field.name, newest.version());
    // Where nothing is said of documents, a type is but where their values are found fastest.
    let is_said = earlier.presence != Presence::Unsaid && field.presence != Presence::Unsaid;
    if is_said && !earlier.field_type.widens_to(field.field_type) {
        return Err(newer.invalid(format!(
            "field {name:?} is {} in version {version} and {} in version {}: not all values fit; take another name, or \
             migrate with a step of the program's",
            earlier.field_type,
            field.field_type,
            newer.version(),
        )));
    }
    let (was, is) = (earlier.presence, field.presence);
    if was == Presence::Optional && is == Presence::Required && field.default.is_none() {
        return Err(newer.invalid(format!(
            "field {name:?} may be missing in documents of version {version}; give it a default or leave it optional"
        )));
    }
    Ok(())
}

/// Whether `newer` has a field of the version before, be it under another name.
fn has_successor(evolution: &Evolution, newer: &Schema, field: &Field) -> bool {
    let index = evolution.find(&field.name);
    newer.fields().iter().any(|newer| {
        let known = evolution.find(&newer.name).or_else(|| evolution.find(newer.renamed_from.as_deref()?));
        newer.name == field.name || known.is_some() && known == index
    })
}

#[cfg(test)]
mod tests;
