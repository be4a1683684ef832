//! The attributes `#[document(...)]`, as written.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, LitInt, LitStr, Path};

/// What is planned for a later version. Accepting it now would promise something that does not happen.
const LATER: &[&str] = &["index", "unique", "default", "rename", "ttl"];

/// `#[document(...)]` on a struct.
#[derive(Default)]
pub(crate) struct ContainerAttributes {
    pub(crate) table: Option<LitStr>,
    pub(crate) version: Option<u32>,
    pub(crate) krate: Option<Path>,
}

impl ContainerAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut read = Self::default();
        each_document_attribute(attributes, |meta| {
            if meta.path.is_ident("table") {
                set_once(&mut read.table, &meta, |meta| {
                    let table: LitStr = meta.value()?.parse()?;
                    check_table(&table.value(), table.span())?;
                    Ok(table)
                })
            } else if meta.path.is_ident("version") {
                set_once(&mut read.version, &meta, version)
            } else if meta.path.is_ident("crate") {
                set_once(&mut read.krate, &meta, |meta| {
                    meta.value()?.parse::<LitStr>()?.parse_with(Path::parse_mod_style)
                })
            } else if meta.path.is_ident("key") {
                Err(meta.error("`key` belongs on a field of the struct"))
            } else {
                Err(unsupported(&meta, "a struct can have `table`, `version` and `crate`"))
            }
        })?;
        Ok(read)
    }
}

/// Whether `#[document(key)]` stands on a field.
pub(crate) fn read_key(attributes: &[Attribute]) -> syn::Result<Option<Span>> {
    let mut key = None;
    each_document_attribute(attributes, |meta| {
        if meta.path.is_ident("key") {
            set_once(&mut key, &meta, |meta| Ok(meta.path.span()))
        } else if ["table", "version", "crate"].iter().any(|name| meta.path.is_ident(name)) {
            let name = name_of(&meta.path);
            Err(meta.error(format!("`{name}` belongs on the struct, not on a field")))
        } else {
            Err(unsupported(&meta, "a field can have `key`"))
        }
    })?;
    Ok(key)
}

fn each_document_attribute(
    attributes: &[Attribute],
    mut logic: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("document"))
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut logic))
}

fn set_once<T>(
    place: &mut Option<T>,
    meta: &ParseNestedMeta<'_>,
    value: impl FnOnce(&ParseNestedMeta<'_>) -> syn::Result<T>,
) -> syn::Result<()> {
    if place.is_some() {
        return Err(meta.error(format!("`{}` is given twice", name_of(&meta.path))));
    }
    *place = Some(value(meta)?);
    Ok(())
}

fn version(meta: &ParseNestedMeta<'_>) -> syn::Result<u32> {
    let literal: LitInt = meta.value()?.parse()?;
    literal.base10_parse::<u32>().ok().filter(|version| *version >= 1).ok_or_else(|| {
        syn::Error::new(literal.span(), "the version of a schema is a whole number from 1 to 4294967295")
    })
}

fn unsupported(meta: &ParseNestedMeta<'_>, known: &str) -> syn::Error {
    let name = name_of(&meta.path);
    if LATER.contains(&name.as_str()) {
        meta.error(format!("the attribute `{name}` is not supported by this version yet"))
    } else {
        meta.error(format!("unknown attribute `{name}`; {known}"))
    }
}

fn name_of(path: &Path) -> String {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::")
}

/// Refuses what cannot be the name of a table.
pub(crate) fn check_table(table: &str, span: Span) -> syn::Result<()> {
    const MAX_BYTES: usize = 100;
    if table.is_empty() {
        return Err(syn::Error::new(span, "the name of a table cannot be empty"));
    }
    if let Some(odd) = table.chars().find(|letter| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '-')) {
        let message =
            format!("the name of a table has letters, digits, `_` and `-` of ASCII, but {table:?} has {odd:?}");
        return Err(syn::Error::new(span, message));
    }
    if table.len() > MAX_BYTES {
        let message = format!("the name of a table has at most {MAX_BYTES} bytes, and this one has {}", table.len());
        return Err(syn::Error::new(span, message));
    }
    Ok(())
}
