//! Reaches a value in a row without reading what is beside it.

use std::fmt;

use bucketdb_query::{TextValue, double_of};
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use super::columns::{Columns, State};
use super::item::Item;
use super::message_pack::{Head, MessagePack, NIL, text};
use super::reader::Document;
use super::translated::{Names, Stored};
use super::{AnyValue, RowError, key_text};

/// A value as it is stored: the document itself, or one in it. It is seen as [`decode_value`](super::decode_value) would
/// give it.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    place: Place<'a>,
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Columns(Columns<'a, 'a>),
    Scalar(Head<'a>),
    MessagePack(&'a [u8]),
    /// A document whose fields may have other names, or be missing, in the version that it is read as.
    Translated(&'a (Stored<'a>, Names<'a>)),
}

/// What a [`Node`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// Also a number that JSON lacks: infinite, or none.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number from -2^63 to 2^64.
    Integer(i128),
    /// A number with a fraction, be it 0.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// A text, stored as what it stands for.
    TextValue(TextValue),
    /// A list, or bytes.
    List,
    /// A document, or a map.
    Map,
}

impl<'a> Node<'a> {
    pub(super) fn document(columns: Columns<'a, 'a>) -> Self {
        Self { place: Place::Columns(columns) }
    }

    pub(super) fn translated(document: &'a (Stored<'a>, Names<'a>)) -> Self {
        Self { place: Place::Translated(document) }
    }

    /// Whether it is null, and no number that JSON lacks.
    pub(super) fn is_nil(&self) -> bool {
        matches!(self.place, Place::Scalar(Head::Nil) | Place::MessagePack([NIL]))
    }

    /// Of one value.
    pub(super) fn message_pack(bytes: &'a [u8]) -> Self {
        Self { place: Place::MessagePack(bytes) }
    }

    fn item(item: Item<'a>) -> Self {
        let place = match item {
            Item::Scalar(head) => Place::Scalar(head),
            Item::MessagePack(bytes) => Place::MessagePack(bytes),
        };
        Self { place }
    }

    /// What it begins with, and what is behind that.
    fn head(&self) -> Result<(Head<'a>, MessagePack<'a>), RowError> {
        match self.place {
            Place::Columns(columns) => {
                let entries = columns.layout.columns().len();
                Ok((Head::Map(entries), MessagePack::nested(&[])))
            }
            Place::Scalar(head) => Ok((head, MessagePack::nested(&[]))),
            Place::Translated((Stored::Columns(_), _)) => Ok((Head::Map(0), MessagePack::nested(&[]))),
            Place::Translated((Stored::MessagePack(bytes), _)) => Self::message_pack(bytes).head(),
            Place::MessagePack(bytes) => {
                let mut source = MessagePack::nested(bytes);
                Ok((source.head()?, source))
            }
        }
    }

    /// What it is.
    ///
    /// # Errors
    /// If it is damaged.
    #[inline]
    pub fn kind(&self) -> Result<Kind<'a>, RowError> {
        let head = match self.place {
            Place::Scalar(head) => head,
            _ => self.head()?.0,
        };
        Ok(match head {
            Head::Nil => Kind::Null,
            Head::Boolean(value) => Kind::Bool(value),
            Head::Unsigned(number) => Kind::Integer(number.into()),
            Head::Signed(number) => Kind::Integer(number.into()),
            Head::Float32(number) => float(double_of(number)),
            Head::Float64(number) => float(number),
            Head::Text(bytes) => Kind::Text(text(bytes)?),
            Head::TextValue(value) => Kind::TextValue(value),
            Head::Binary(_) | Head::List(_) => Kind::List,
            Head::Map(_) => Kind::Map,
        })
    }

    /// The value of a field, if it is a map that has it.
    ///
    /// # Errors
    /// If it is damaged.
    #[inline]
    pub fn field(&self, name: &str) -> Result<Option<Self>, RowError> {
        if let Place::Translated((stored, names)) = self.place {
            return names.field(*stored, name);
        }
        let Place::Columns(columns) = self.place else {
            let (Head::Map(entries), source) = self.head()? else { return Ok(None) };
            return entry(source, entries, name);
        };
        let index = columns.layout.find(name, 0);
        if let Some((index, column)) = index.and_then(|index| Some((index, columns.layout.column(index)?))) {
            match columns.state(index) {
                State::Absent => return Ok(None),
                State::Value | State::Null => return Ok(columns.item(index, column)?.map(Self::item)),
                State::InRest => {}
            }
        }
        let (rest, entries) = columns.rest()?;
        entry(rest, entries, name)
    }

    /// The elements, if it is a list.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn elements(&self) -> Result<Elements<'a>, RowError> {
        Ok(match self.head()? {
            (Head::List(left), source) => Elements { left, of: ElementsOf::List(source) },
            (Head::Binary(bytes), _) => Elements { left: bytes.len(), of: ElementsOf::Bytes(bytes) },
            _ => Elements { left: 0, of: ElementsOf::Bytes(&[]) },
        })
    }

    /// All of it as JSON, as [`decode_value`](super::decode_value) gives it.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn to_value(&self) -> Result<Value, RowError> {
        match self.place {
            Place::Columns(columns) => AnyValue.deserialize(Document::new(columns)),
            Place::Scalar(head) => AnyValue.deserialize(Item::Scalar(head)),
            Place::MessagePack(bytes) => AnyValue.deserialize(Item::MessagePack(bytes)),
            Place::Translated((stored, names)) => match (names.all(*stored)?, stored) {
                (Some(document), _) => AnyValue.deserialize(document),
                (None, Stored::Columns(columns)) => AnyValue.deserialize(Document::new(*columns)),
                (None, Stored::MessagePack(bytes)) => AnyValue.deserialize(Item::MessagePack(bytes)),
            },
        }
    }

    /// The fields of those names, as JSON.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn to_object<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Value, RowError> {
        let mut object = Map::new();
        for name in names {
            if let Some(value) = self.field(name)? {
                object.insert(name.to_owned(), value.to_value()?);
            }
        }
        Ok(Value::Object(object))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_value() {
            Ok(value) => write!(formatter, "Node({value})"),
            Err(error) => write!(formatter, "Node({error})"),
        }
    }
}

pub(super) fn float<'a>(number: f64) -> Kind<'a> {
    if number.is_finite() { Kind::Float(number) } else { Kind::Null }
}

/// The last value under a name among the entries of a map.
fn entry<'a>(mut entries: MessagePack<'a>, count: usize, name: &str) -> Result<Option<Node<'a>>, RowError> {
    let mut found = None;
    for _ in 0..count {
        let is_it = is_key(entries.value()?, name)?;
        let value = entries.value()?;
        if is_it {
            found = Some(Node::message_pack(value));
        }
    }
    Ok(found)
}

/// Whether a key reads as that name where all keys are text.
fn is_key(key: &[u8], name: &str) -> Result<bool, RowError> {
    let head = MessagePack::nested(key).head()?;
    if let Head::Text(key) = head {
        return Ok(key == name.as_bytes());
    }
    Ok(key_text(AnyValue.deserialize(Item::MessagePack(key))?)? == name)
}

/// The elements of a list, one after the other.
#[derive(Debug)]
pub struct Elements<'a> {
    left: usize,
    of: ElementsOf<'a>,
}

#[derive(Debug)]
enum ElementsOf<'a> {
    List(MessagePack<'a>),
    /// Numbers, as JSON has them.
    Bytes(&'a [u8]),
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Node<'a>, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.of {
            ElementsOf::List(source) => {
                let value = source.value();
                if value.is_err() {
                    self.left = 0;
                }
                Some(value.map(Node::message_pack))
            }
            ElementsOf::Bytes(bytes) => {
                let (first, rest) = bytes.split_first()?;
                *bytes = rest;
                Some(Ok(Node { place: Place::Scalar(Head::Unsigned((*first).into())) }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
