use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use super::{Container, List, Nests, Operand, Text};
use crate::path::scan;
use crate::stored::Wide;
use crate::{AsStored, Comparison, Filter, Order, ParseError, Path, TypedFilter, TypedOrder};

/// A field of the documents of type `T`, whose values have the type `V`.
///
/// `#[derive(Document)]` makes one for every field, as a constant of the document type. Its methods build conditions
/// and orders that the compiler checks: against the type of the field, and against the document type of the query.
/// Their exact meaning is in the [crate's documentation](crate).
///
/// ```
/// use bucketdb_query::Column;
/// # struct User;
/// # impl User {
/// const ROLE: Column<User, String> = Column::new("role");
/// const AGE: Column<User, u8> = Column::new("age");
/// const NICKNAME: Column<User, Option<String>> = Column::new("nickname");
/// const TAGS: Column<User, Vec<String>> = Column::new("tags");
/// # }
///
/// let filter = User::ROLE.eq("admin").and(User::AGE.ge(18)).and(User::NICKNAME.ne("root")).or(User::TAGS.contains("vip"));
/// assert_eq!(
///     filter.to_string(),
///     r#"role = "admin" and age >= 18 and not nickname = "root" or tags contains "vip""#
/// );
/// ```
///
/// A value is compared in the form in which it is [stored](AsStored), which is how serde serialises it to a
/// [`serde_json::Value`], but for numbers that JSON has no type for; see [the crate](crate#numbers). For a float that is
/// infinite or not a number that is `null`. A value that fails to serialise is in no document, so no comparison with it is
/// true.
pub struct Column<T, V> {
    path: Cow<'static, str>,
    types: PhantomData<fn(&T) -> V>,
}

impl<T, V> Column<T, V> {
    /// The column at a [`Path`]: `age`, or `address.city`. A name with unusual characters needs double quotes.
    ///
    /// # Panics
    /// If the text is no path. In a constant that is an error of compilation.
    ///
    /// ```compile_fail,E0080
    /// # use bucketdb_query::Column;
    /// # struct User;
    /// const AGE: Column<User, u8> = Column::new("the age");
    /// # let _ = AGE;
    /// ```
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        assert!(scan::is_path(path), "a column needs a path such as `name`, `address.city` or `\"odd name\"`");
        Self { path: Cow::Borrowed(path), types: PhantomData }
    }

    /// Where the column is in a document.
    #[must_use]
    pub fn path(&self) -> Path {
        // `new` has checked the text, and joining two paths gives a path.
        Path::scan(&self.path).map_or_else(|_| Path::field(&*self.path), |(path, _)| path)
    }

    /// A column of the nested document that this column holds.
    ///
    /// ```
    /// # use bucketdb_query::Column;
    /// # struct User; struct Address;
    /// const ADDRESS: Column<User, Option<Address>> = Column::new("address");
    /// const CITY: Column<Address, String> = Column::new("city");
    ///
    /// assert_eq!(ADDRESS.then(CITY).eq("Bern").to_string(), r#"address.city = "Bern""#);
    /// ```
    #[must_use]
    pub fn then<N, W>(&self, inner: Column<N, W>) -> Column<T, W>
    where
        V: Nests<N>,
    {
        self.joined(self.path().then(inner.path()))
    }

    /// The elements of the list that this column holds: a condition on them is true if one of them satisfies it.
    ///
    /// ```
    /// # use bucketdb_query::Column;
    /// # struct User;
    /// const SCORES: Column<User, Vec<u32>> = Column::new("scores");
    ///
    /// assert_eq!(SCORES.any_element().gt(90).to_string(), "scores[*] > 90");
    /// ```
    #[must_use]
    pub fn any_element(&self) -> Column<T, V::Item>
    where
        V: List,
    {
        self.joined(self.path().then_any_element())
    }

    /// The same column, whatever its values are: for paths that are known only at run time, and those of JSON documents.
    #[must_use]
    pub fn into_any(self) -> Column<T, Value> {
        Column { path: self.path, types: PhantomData }
    }

    fn joined<W>(&self, path: Path) -> Column<T, W> {
        Column { path: Cow::Owned(path.to_string()), types: PhantomData }
    }

    /// The value equals the other.
    #[must_use]
    pub fn eq(&self, value: impl Operand<V>) -> TypedFilter<T> {
        self.compare(Comparison::Equal, value)
    }

    /// The value does not equal the other, or there is none: the negation of [`eq`](Self::eq).
    #[must_use]
    pub fn ne(&self, value: impl Operand<V>) -> TypedFilter<T> {
        self.eq(value).not()
    }

    /// The value is less than the other.
    #[must_use]
    pub fn lt(&self, value: impl Operand<V>) -> TypedFilter<T> {
        self.compare(Comparison::Less, value)
    }

    /// The value is less than the other or equals it.
    #[must_use]
    pub fn le(&self, value: impl Operand<V>) -> TypedFilter<T> {
        self.compare(Comparison::LessOrEqual, value)
    }

    /// The value is greater than the other.
    #[must_use]
    pub fn gt(&self, value: impl Operand<V>) -> TypedFilter<T> {
        self.compare(Comparison::Greater, value)
    }

    /// The value is greater than the other or equals it.
    #[must_use]
    pub fn ge(&self, value: impl Operand<V>) -> TypedFilter<T> {
        self.compare(Comparison::GreaterOrEqual, value)
    }

    /// The value equals one of the others.
    #[must_use]
    pub fn is_in<O: Operand<V>>(&self, values: impl IntoIterator<Item = O>) -> TypedFilter<T> {
        Filter::is_in(self.path(), values.into_iter().filter_map(stored)).into()
    }

    /// The value is neither less than `low` nor greater than `high`.
    #[must_use]
    pub fn between(&self, low: impl Operand<V>, high: impl Operand<V>) -> TypedFilter<T> {
        if let (Some(low), Some(high)) = (Wide::of(&low), Wide::of(&high))
            && let Some(filter) = low.up_to(&self.path(), high)
        {
            return filter.into();
        }
        match (stored(low), stored(high)) {
            (Some(low), Some(high)) => Filter::between(self.path(), low, high).into(),
            _ => Filter::none().into(),
        }
    }

    /// The value begins so.
    #[must_use]
    pub fn starts_with(&self, prefix: impl Into<String>) -> TypedFilter<T>
    where
        V: Text,
    {
        Filter::starts_with(self.path(), prefix).into()
    }

    /// The value is a list with an element equal to the other, or a string with the other inside.
    #[must_use]
    pub fn contains(&self, value: impl Operand<V::Item>) -> TypedFilter<T>
    where
        V: Container,
    {
        stored(value).map_or_else(Filter::none, |value| Filter::contains(self.path(), value)).into()
    }

    /// There is a value, be it `null`.
    #[must_use]
    pub fn exists(&self) -> TypedFilter<T> {
        Filter::exists(self.path()).into()
    }

    /// There is no value, or it is `null`: what serde makes of `None`, whether it writes that or leaves the field out.
    #[must_use]
    pub fn is_null(&self) -> TypedFilter<T> {
        Filter::is_null(self.path()).into()
    }

    /// There is a value, and it is not `null`: the negation of [`is_null`](Self::is_null).
    #[must_use]
    pub fn is_not_null(&self) -> TypedFilter<T> {
        self.is_null().not()
    }

    /// The order by this column, the least first.
    #[must_use]
    pub fn asc(&self) -> TypedOrder<T> {
        Order::ascending(self.path()).into()
    }

    /// The order by this column, the greatest first.
    #[must_use]
    pub fn desc(&self) -> TypedOrder<T> {
        Order::descending(self.path()).into()
    }

    fn compare(&self, comparison: Comparison, value: impl Operand<V>) -> TypedFilter<T> {
        if let Some(wide) = Wide::of(&value) {
            return wide.compared(&self.path(), comparison).into();
        }
        stored(value).map_or_else(Filter::none, |value| Filter::compare(self.path(), comparison, value)).into()
    }
}

/// The form in which a document holds a value; none if no document can.
fn stored(value: impl Serialize) -> Option<Value> {
    AsStored(value).to_value()
}

/// A column of JSON documents.
///
/// ```
/// use bucketdb_query::AnyColumn;
///
/// let city: AnyColumn = "address.city".parse()?;
/// assert_eq!(city.eq("Bern").to_string(), r#"address.city = "Bern""#);
/// # Ok::<(), bucketdb_query::ParseError>(())
/// ```
pub type AnyColumn = Column<Value, Value>;

/// A column by a path that is known only at run time. That its values have the type is not checked.
impl<T, V> From<Path> for Column<T, V> {
    fn from(path: Path) -> Self {
        Self { path: Cow::Owned(path.to_string()), types: PhantomData }
    }
}

impl<T, V> FromStr for Column<T, V> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Path::from_str(text).map(Self::from)
    }
}

impl<T, V> Clone for Column<T, V> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), types: PhantomData }
    }
}

impl<T, V> fmt::Debug for Column<T, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Column({})", self.path)
    }
}

impl<T, V> fmt::Display for Column<T, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)
    }
}
