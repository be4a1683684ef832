//! The derive macro behind `bucketdb::Document`.

mod attributes;
mod document;
mod expand;
mod key_enum;
mod names;
mod serde_attributes;

use proc_macro::TokenStream;

/// Makes a struct a document of a table: its schema, its primary key, and a typed column for every field.
///
/// ```ignore
/// #[derive(serde::Serialize, serde::Deserialize, bucketdb::Document)]
/// #[document(table = "users", version = 1)]
/// struct User {
///     #[document(key)]
///     id: String,
///     age: u8,
/// }
///
/// User::AGE.ge(18)
/// ```
///
/// # On the struct
///
/// - `#[document(table = "users")]`: the name of the table, 1 to 100 letters, digits, `_` and `-` of ASCII. Without
///   it, the name of the struct in snake case: `OrderLine` is stored in `order_line`.
/// - `#[document(version = 2)]`: the version of the schema, 1 or more; 1 without it.
/// - `#[document(index(city, age desc))]`, `#[document(unique(a, b))]`: an index over several fields, nested ones
///   (`address.postalCode`) or the elements of a list (`tags[*]`). The first name of each is that of a field of the struct;
///   those behind it are names as they are stored, so as serde gives them where it renames. `Database::table` refuses one
///   that the nested type has not.
/// - `#[document(nested(lines[*].price = Decimal))]`: the type of a value in a nested document or in the elements of a list, if
///   it is one that is stored as a text: a UUID, a moment, a day or a decimal number. Without it such values compare as texts,
///   with it as what they are, in filters, orders, indexes, groups and sums. Of a list of them, `prices: Vec<Decimal>`, it
///   goes without saying.
/// - `#[document(removed(age = 0, nick))]`: fields that the version before has and this one has not, with what programs of
///   earlier versions read in their place; without a value, these cannot read documents of this version if they need the
///   field.
/// - `#[document(migrate_from = OldUser)]`: documents of earlier versions are read as `OldUser`, the type of one of them, and
///   turned into this one by `From<OldUser>`, or by a function: `with = path`. Steps can follow one another.
/// - `#[document(crate = "path")]`: where the crate `bucketdb` is found, if it is not `::bucketdb`.
///
/// # On a field
///
/// - `#[document(key)]`: the field is the primary key. On several fields, the key is the tuple of them in order.
/// - `#[document(ttl)]`: the field holds when the document ends, in seconds since 1970: a number, or an option of one; or a
///   moment, such as a `jiff::Timestamp`.
/// - `#[document(default)]`, `#[document(default = expression)]`: what documents of earlier versions have that lack the field:
///   the default of its type, or that value. It is evaluated when the schema is registered, and must be the same every time.
/// - `#[document(renamed_from = "mail")]`: the name that the field has in the version before, as it is stored.
/// - `#[document(rename = "mail")]`: a check that the field is stored under that name. It is serde that stores fields, so
///   `#[serde(rename = "mail")]` is what gives a field another name; without that, it does not compile and says so.
///
/// An `Option`, or a field with serde's `default`, may be missing; any other new field needs a default.
///
/// # Columns
///
/// Every field has a constant of its name in upper case, `User::AGE`, as visible as the struct. Names are those under
/// which serde stores the fields: `rename` and `rename_all` are honoured; a field that serde skips is in neither the
/// schema nor the columns, and one that it flattens or writes `with` a function of its own has no column.
///
/// # Errors
///
/// What is no struct with named fields, is generic, has no key, or has an attribute that is unknown, given twice or not
/// supported yet does not compile, and the error says why.
#[proc_macro_derive(Document, attributes(document))]
pub fn derive_document(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes an enum without data the primary key of documents, or a part of one. It is stored as the text that serde makes of
/// its variant, and orders as that.
///
/// ```ignore
/// #[derive(Clone, serde::Serialize, serde::Deserialize, bucketdb::DocumentKey)]
/// #[serde(rename_all = "lowercase")]
/// enum Country {
///     Ch,
///     De,
/// }
/// ```
///
/// `#[document(crate = "path")]` says where the crate `bucketdb` is found, if it is not `::bucketdb`.
///
/// # Errors
///
/// What is no enum, has data or is generic does not compile, and the error says why.
#[proc_macro_derive(DocumentKey, attributes(document))]
pub fn derive_document_key(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    key_enum::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
