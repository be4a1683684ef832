use bucketdb_documents::{InvalidSchema, Schema};
use bucketdb_query::{Order, Path, Segment};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::fields_of::Nothing;

/// Whether the indexes, the types of nested values and the end of documents that a schema declares are over fields that its
/// type has, in nested documents too, by the names under which serde reads them. Where the type does not say which fields
/// there are, as a map does not, there may be any.
///
/// # Errors
/// The index, and the names that there are.
pub(crate) fn check_nested_fields<'de, T: Deserialize<'de>>(schema: &Schema) -> Result<(), InvalidSchema> {
    let indexes = schema.indexes().iter().map(|index| ("index", index.fields.as_str()));
    let nested = schema.nested().iter().map(|nested| ("nested type", nested.path.as_str()));
    for (what, fields) in indexes.chain(nested).chain(schema.ttl().map(|field| ("ttl", field))) {
        // What cannot be is told when it is registered.
        let Ok(order) = fields.parse::<Order>() else { continue };
        for term in order.terms() {
            let Some(Unknown { place, name, known }) = unknown_field::<T>(&term.path) else { continue };
            let reason = format!(
                "the {what} {fields:?} is over field {name:?} of {place}, and no document has one of that name there; as they are \
                 stored, with the names that serde gives them, its fields are {}",
                known.join(", ")
            );
            return Err(InvalidSchema { table: schema.table().to_owned(), reason });
        }
    }
    Ok(())
}

/// A field that a nested document has not.
struct Unknown {
    /// Where the document is.
    place: String,
    name: String,
    known: &'static [&'static str],
}

/// The first field on the way of a path that a nested type does not ask for when it is read. The field at the top may have
/// the name that it had in an earlier version.
fn unknown_field<'de, T: Deserialize<'de>>(path: &Path) -> Option<Unknown> {
    let mut unknown = None;
    // It reads nothing, so there is nothing but an error.
    let _ = T::deserialize(Followed { path: path.segments(), passed: 0, unknown: &mut unknown });
    unknown
}

/// A document that has nothing but what is on the way of a path.
struct Followed<'a> {
    path: &'a [Segment],
    /// How many segments lead here.
    passed: usize,
    unknown: &'a mut Option<Unknown>,
}

impl<'a> Followed<'a> {
    fn next(&self) -> Option<&'a Segment> {
        self.path.get(self.passed)
    }

    fn into_next(self) -> Self {
        Followed { passed: self.passed + 1, ..self }
    }
}

impl<'de> Deserializer<'de> for Followed<'_> {
    type Error = Nothing;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Nothing> {
        Err(Nothing)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Nothing> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Nothing> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Nothing> {
        let Some(Segment::Field(name)) = self.next() else { return Err(Nothing) };
        if fields.contains(&name.as_str()) {
            return self.deserialize_map(visitor);
        }
        if let Some(place) = place_of(self.path.get(..self.passed).unwrap_or_default()) {
            *self.unknown = Some(Unknown { place: place.to_string(), name: name.clone(), known: fields });
        }
        Err(Nothing)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Nothing> {
        match self.next() {
            Some(Segment::Field(_)) => visitor.visit_map(Only { value: Some(self) }),
            _ => Err(Nothing),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Nothing> {
        match self.next() {
            // Elements are of one type.
            Some(Segment::AnyElement | Segment::Index(_)) => visitor.visit_seq(Only { value: Some(self) }),
            _ => Err(Nothing),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

/// The path of so many segments; `None` if it leads to the document itself.
fn place_of(segments: &[Segment]) -> Option<Path> {
    let mut place = None;
    for segment in segments {
        place = match (place, segment) {
            (None, Segment::Field(name)) => Some(Path::field(name)),
            (Some(place), Segment::Field(name)) => Some(Path::then_field(place, name)),
            (Some(place), Segment::Index(index)) => Some(Path::then_index(place, *index)),
            (Some(place), Segment::AnyElement) => Some(Path::then_any_element(place)),
            (None, _) => None,
        };
    }
    place
}

/// The one entry, or the one element, that is on the way.
struct Only<'a> {
    value: Option<Followed<'a>>,
}

impl<'de> MapAccess<'de> for Only<'_> {
    type Error = Nothing;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Nothing> {
        match self.value.as_ref().and_then(Followed::next) {
            Some(Segment::Field(name)) => seed.deserialize(StrDeserializer::new(name)).map(Some),
            _ => Err(Nothing),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Nothing> {
        self.value.take().map_or(Err(Nothing), |value| seed.deserialize(value.into_next()))
    }
}

impl<'de> SeqAccess<'de> for Only<'_> {
    type Error = Nothing;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Nothing> {
        self.value.take().map_or(Err(Nothing), |value| seed.deserialize(value.into_next()).map(Some))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[expect(dead_code, reason = "they are asked for, and never read")]
    #[derive(Deserialize)]
    struct User {
        id: u64,
        address: Option<Address>,
        earlier: Vec<Address>,
        wrapped: Wrapped,
        by_year: BTreeMap<String, Address>,
        json: serde_json::Value,
        open: Open,
        pair: (u8, u8),
    }

    #[expect(dead_code, reason = "they are asked for, and never read")]
    #[derive(Deserialize)]
    struct Address {
        #[serde(rename = "postalCode", alias = "plz")]
        zip: String,
        country: Box<Country>,
    }

    #[expect(dead_code, reason = "they are asked for, and never read")]
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Country {
        iso_code: String,
    }

    #[expect(dead_code, reason = "they are asked for, and never read")]
    #[derive(Deserialize)]
    struct Wrapped(Address);

    #[expect(dead_code, reason = "they are asked for, and never read")]
    #[derive(Deserialize)]
    struct Open {
        id: u64,
        #[serde(flatten)]
        more: BTreeMap<String, u64>,
    }

    fn unknown(path: &str) -> Option<(String, String)> {
        let Unknown { place, name, .. } = unknown_field::<User>(&path.parse().unwrap())?;
        Some((place, name))
    }

    #[test]
    fn fields_of_nested_types_are_known_by_their_stored_names() {
        for known in [
            "id",
            "id.x",
            "was",
            "was.x",
            "address.postalCode",
            "address.plz",
            "address.country.isoCode",
            "earlier[*].postalCode",
            "earlier[3].country.isoCode",
            "wrapped.postalCode",
            "by_year.\"2026\".postalCode",
            "json.what.ever",
            "open.what",
            "pair[0]",
            "earlier.zip",
        ] {
            assert_eq!(unknown(known), None, "{known}");
        }
        for (path, place, name) in [
            ("address.zip", "address", "zip"),
            ("address.country.iso_code", "address.country", "iso_code"),
            ("earlier[*].zip", "earlier[*]", "zip"),
            ("wrapped.zip.x", "wrapped", "zip"),
            ("by_year.\"2026\".zip", "by_year.\"2026\"", "zip"),
        ] {
            assert_eq!(unknown(path), Some((place.to_owned(), name.to_owned())), "{path}");
        }
    }

    #[test]
    fn an_index_over_a_field_that_never_exists_is_refused_by_name() {
        let schema = Schema::builder("users").field::<u64>("id").key(&["id"]);
        let check = |schema: Schema| check_nested_fields::<User>(&schema).map_err(|error| error.to_string());
        assert_eq!(check(schema.clone().index("id, address.postalCode desc").finish()), Ok(()));
        let error = check(schema.clone().index("id, address.zip desc").finish()).unwrap_err();
        assert!(error.contains(r#"field "zip" of address"#) && error.ends_with("postalCode, country"), "{error}");
        let error = check(schema.ttl("address.country.ends").finish()).unwrap_err();
        assert!(error.contains(r#"the ttl "address.country.ends""#) && error.contains("isoCode"), "{error}");
    }
}
