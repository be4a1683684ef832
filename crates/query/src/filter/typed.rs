use std::fmt;
use std::marker::PhantomData;
use std::ops;

use super::Filter;
use crate::Column;

/// A [`Filter`] over documents of the type `T`, built from the [`Column`]s of `T`.
///
/// The conditions of one document type cannot be joined with those of another, nor be given to a query on another
/// table. A plain [`Filter`], such as one read from text, converts into a typed one of any type, unchecked; a typed
/// one converts into a plain one.
///
/// ```compile_fail,E0277
/// use bucketdb_query::Column;
/// struct User;
/// struct Invoice;
/// let age = Column::<User, u8>::new("age");
/// let total = Column::<Invoice, u64>::new("total");
/// age.ge(18).and(total.ge(100_u64)); // `Invoice` is not `User`
/// ```
pub struct TypedFilter<T> {
    filter: Filter,
    document: PhantomData<fn(&T)>,
}

impl<T> TypedFilter<T> {
    /// Both are true.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        self.filter.and(other.into().filter).into()
    }

    /// At least one of the two is true.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        self.filter.or(other.into().filter).into()
    }

    /// It is false.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it does, and users should not have to import the trait")]
    pub fn not(self) -> Self {
        self.filter.not().into()
    }

    /// The filter without the type of its documents.
    #[must_use]
    pub fn into_untyped(self) -> Filter {
        self.filter
    }
}

impl<T> From<Filter> for TypedFilter<T> {
    fn from(filter: Filter) -> Self {
        Self { filter, document: PhantomData }
    }
}

impl<T> From<TypedFilter<T>> for Filter {
    fn from(filter: TypedFilter<T>) -> Self {
        filter.filter
    }
}

/// A column of truth values is a condition by itself: that it is `true`.
impl<T> From<Column<T, bool>> for TypedFilter<T> {
    fn from(column: Column<T, bool>) -> Self {
        column.eq(true)
    }
}

impl<T> ops::Not for TypedFilter<T> {
    type Output = Self;

    fn not(self) -> Self {
        Self::not(self)
    }
}

impl<T> Clone for TypedFilter<T> {
    fn clone(&self) -> Self {
        self.filter.clone().into()
    }
}

impl<T> PartialEq for TypedFilter<T> {
    fn eq(&self, other: &Self) -> bool {
        self.filter == other.filter
    }
}

impl<T> fmt::Debug for TypedFilter<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.filter, formatter)
    }
}

impl<T> fmt::Display for TypedFilter<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.filter, formatter)
    }
}
