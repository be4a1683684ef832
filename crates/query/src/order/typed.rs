use std::fmt;
use std::marker::PhantomData;

use super::Order;
use crate::Column;

/// An [`Order`] of documents of the type `T`, built from the [`Column`]s of `T`.
///
/// A column alone is the ascending order by it. A plain [`Order`], such as one read from text, converts into a typed
/// one of any type, unchecked; a typed one converts into a plain one.
///
/// ```
/// use bucketdb_query::{Column, TypedOrder};
/// # struct City;
/// const NAME: Column<City, String> = Column::new("name");
/// const POPULATION: Column<City, u32> = Column::new("population");
///
/// let order: TypedOrder<City> = POPULATION.desc().then(NAME);
/// assert_eq!(order.to_string(), "population desc, name");
/// ```
pub struct TypedOrder<T> {
    order: Order,
    document: PhantomData<fn(&T)>,
}

impl<T> TypedOrder<T> {
    /// Orders by `next` what this order leaves equal.
    #[must_use]
    pub fn then(self, next: impl Into<Self>) -> Self {
        self.order.then(next.into().order).into()
    }

    /// The order without the type of its documents.
    #[must_use]
    pub fn into_untyped(self) -> Order {
        self.order
    }
}

impl<T> From<Order> for TypedOrder<T> {
    fn from(order: Order) -> Self {
        Self { order, document: PhantomData }
    }
}

impl<T> From<TypedOrder<T>> for Order {
    fn from(order: TypedOrder<T>) -> Self {
        order.order
    }
}

impl<T, V> From<Column<T, V>> for TypedOrder<T> {
    fn from(column: Column<T, V>) -> Self {
        column.asc()
    }
}

impl<T> Clone for TypedOrder<T> {
    fn clone(&self) -> Self {
        self.order.clone().into()
    }
}

impl<T> PartialEq for TypedOrder<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<T> fmt::Debug for TypedOrder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.order, formatter)
    }
}

impl<T> fmt::Display for TypedOrder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.order, formatter)
    }
}
