//! What serde's attributes say about the names under which fields are stored.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Field, LitStr, Token};

use crate::names::RenameRule;

/// What they say about the struct.
#[derive(Debug)]
pub(crate) struct SerdeContainer {
    pub(crate) rename_all: RenameRule,
    /// Whether fields that are missing are filled in.
    pub(crate) has_default: bool,
}

/// What they say about a field.
#[derive(Debug, Default)]
pub(crate) struct SerdeField {
    pub(crate) renamed: Option<String>,
    /// Not stored.
    pub(crate) skipped: bool,
    /// Its fields are stored in its stead.
    pub(crate) flattened: bool,
    /// Stored in another form than that of its type.
    pub(crate) converted: bool,
    /// Filled in where it is missing.
    pub(crate) has_default: bool,
}

impl SerdeContainer {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut rename_all = RenameRule::Unchanged;
        let mut has_default = false;
        each_serde_attribute(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                if let Some(rule) = stored_name(&meta)? {
                    rename_all = RenameRule::read(&rule)?;
                }
                return Ok(());
            }
            for name in ["transparent", "into", "from", "try_from", "remote", "untagged"] {
                if meta.path.is_ident(name) {
                    return Err(meta.error(format!(
                        "#[serde({name})] makes serde store something else than the fields of this struct, which a \
                         document cannot be"
                    )));
                }
            }
            has_default |= meta.path.is_ident("default");
            skip_value(&meta)
        })?;
        Ok(Self { rename_all, has_default })
    }
}

impl SerdeField {
    pub(crate) fn read(field: &Field) -> syn::Result<Self> {
        let mut read = Self::default();
        each_serde_attribute(&field.attrs, |meta| {
            if meta.path.is_ident("rename") {
                if let Some(name) = stored_name(&meta)? {
                    read.renamed = Some(name.value());
                }
                return Ok(());
            }
            read.skipped |= meta.path.is_ident("skip") || meta.path.is_ident("skip_serializing");
            read.flattened |= meta.path.is_ident("flatten");
            read.has_default |= meta.path.is_ident("default") || meta.path.is_ident("skip_deserializing");
            read.converted |= meta.path.is_ident("with") || meta.path.is_ident("serialize_with");
            skip_value(&meta)
        })?;
        Ok(read)
    }
}

fn each_serde_attribute(
    attributes: &[Attribute],
    mut logic: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut logic))
}

/// The name in `rename = "x"` or `rename(serialize = "x", deserialize = "x")`. Two different names would make a
/// document that cannot be read back.
fn stored_name(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<LitStr>> {
    if meta.input.peek(Token![=]) {
        return meta.value()?.parse().map(Some);
    }
    let (mut serialized, mut deserialized) = (None, None);
    meta.parse_nested_meta(|direction| {
        let name: LitStr = direction.value()?.parse()?;
        if direction.path.is_ident("serialize") {
            serialized = Some(name);
        } else if direction.path.is_ident("deserialize") {
            deserialized = Some(name);
        }
        Ok(())
    })?;
    let text = |name: &Option<LitStr>| name.as_ref().map(LitStr::value);
    if text(&serialized) == text(&deserialized) {
        Ok(serialized)
    } else {
        Err(meta.error("a document is written and read under the same names: give serialize and deserialize one name"))
    }
}

/// Passes over the value of an attribute that does not concern names.
fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        meta.parse_nested_meta(|inner| skip_value(&inner))?;
    }
    Ok(())
}
