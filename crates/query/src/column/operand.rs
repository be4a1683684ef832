use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// A value that a [`Column`](crate::Column) of the type `V` can be compared with.
///
/// That is `V` itself, whatever type that is, and `&V`; `&str` where `V` is a string; and the same where `V` is an
/// `Option` of those.
///
/// ```compile_fail,E0277
/// use bucketdb_query::Column;
/// struct User;
/// const AGE: Column<User, u8> = Column::new("age");
/// AGE.eq("x"); // a number is not compared with a text
/// ```
#[diagnostic::on_unimplemented(
    message = "a column of the type `{V}` cannot be compared with a value of the type `{Self}`",
    label = "not a `{V}`"
)]
pub trait Operand<V: ?Sized>: Serialize {}

impl<V: Serialize> Operand<V> for V {}
impl<V: Serialize> Operand<Option<V>> for V {}
impl<V: Serialize> Operand<V> for &V {}
impl<V: Serialize> Operand<Option<V>> for &V {}

/// The types of a column whose values are strings.
#[diagnostic::on_unimplemented(message = "a column of the type `{Self}` does not hold strings")]
pub trait Text {}

macro_rules! text {
    ($($text:ty),*) => {$(
        impl Text for $text {}
        impl Operand<$text> for &str {}
        impl Operand<Option<$text>> for &str {}
        impl Container for $text {
            type Item = String;
        }
    )*};
}

text!(String, Box<str>, Rc<str>, Arc<str>, Cow<'static, str>);

impl<V: Text> Text for Option<V> {}

macro_rules! json {
    ($($scalar:ty),*) => {$(
        impl Operand<Value> for $scalar {}
    )*};
}

json!(&str, String, bool, u8, u16, u32, u64, i8, i16, i32, i64, f64);

/// JSON may be anything.
impl Text for Value {}
impl Container for Value {
    type Item = Value;
}
impl List for Value {}

/// The types of a column whose values contain others: lists, and strings, which contain strings.
#[diagnostic::on_unimplemented(message = "a column of the type `{Self}` holds neither lists nor strings")]
pub trait Container {
    /// What a value may contain.
    type Item;
}

/// The types of a column whose values are lists.
#[diagnostic::on_unimplemented(message = "a column of the type `{Self}` does not hold lists")]
pub trait List: Container {}

macro_rules! list {
    ($($list:ident),*) => {$(
        impl<V> Container for $list<V> {
            type Item = V;
        }
        impl<V> List for $list<V> {}
    )*};
}

list!(Vec, VecDeque, BTreeSet);

impl<V, S> Container for HashSet<V, S> {
    type Item = V;
}
impl<V, S> List for HashSet<V, S> {}

impl<V, const LEN: usize> Container for [V; LEN] {
    type Item = V;
}
impl<V, const LEN: usize> List for [V; LEN] {}

impl<V: Container> Container for Option<V> {
    type Item = V::Item;
}
impl<V: List> List for Option<V> {}

/// The types of a column that holds a nested document of the type `N`: `N` itself or an `Option` of it.
#[diagnostic::on_unimplemented(message = "a column of the type `{Self}` does not hold a nested `{N}`")]
pub trait Nests<N> {}

impl<N> Nests<N> for N {}
impl<N> Nests<N> for Option<N> {}
