//! The attributes `#[document(...)]`, as written.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Ident, LitInt, LitStr, Path, Token, Type};

const STRUCT_HAS: &str = "a struct can have `table`, `version`, `crate`, `index(...)`, `unique(...)`, `nested(...)`, \
                          `removed(...)`, `migrate_from` and `with`";

/// `#[document(...)]` on a struct.
#[derive(Default)]
pub(crate) struct ContainerAttributes {
    pub(crate) table: Option<LitStr>,
    pub(crate) version: Option<u32>,
    pub(crate) krate: Option<Path>,
    pub(crate) indexes: Vec<IndexAttribute>,
    pub(crate) nested: Vec<NestedAttribute>,
    pub(crate) removed: Vec<RemovedField>,
    /// The type of the version before, of whose documents a step makes ones of this version.
    pub(crate) migrate_from: Option<Path>,
    /// The function that is the step, if it is not `From`.
    pub(crate) with: Option<(TokenStream, Span)>,
}

/// `age = 0` in `removed(...)`: a field that the version before has, and what its programs read instead.
pub(crate) struct RemovedField {
    pub(crate) name: String,
    pub(crate) value: Option<TokenStream>,
}

impl Parse for RemovedField {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = match input.peek(LitStr) {
            true => input.parse::<LitStr>()?.value(),
            false => Ident::parse_any(input)?.unraw().to_string(),
        };
        let value = match input.peek(Token![=]) {
            true => {
                input.parse::<Token![=]>()?;
                Some(expression(input)?)
            }
            false => None,
        };
        Ok(Self { name, value })
    }
}

/// `index(...)` or `unique(...)` on a struct; `index` or `unique` on a field.
pub(crate) struct IndexAttribute {
    pub(crate) is_unique: bool,
    /// What is in the parentheses: fields as an order has them.
    pub(crate) fields: Vec<IndexField>,
    pub(crate) span: Span,
}

/// One field of an index: `address.city desc`.
pub(crate) struct IndexField {
    /// The field of the struct.
    pub(crate) field: Ident,
    /// What follows it, as an order has it: `.city desc`.
    pub(crate) rest: String,
}

impl Parse for IndexField {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let field = Ident::parse_any(input)?;
        let mut rest = String::new();
        loop {
            if input.peek(Token![.]) {
                input.parse::<Token![.]>()?;
                rest.push('.');
                rest.push_str(&Ident::parse_any(input)?.unraw().to_string());
            } else if input.peek(syn::token::Bracket) {
                let inside;
                syn::bracketed!(inside in input);
                if inside.peek(Token![*]) {
                    inside.parse::<Token![*]>()?;
                    rest.push_str("[*]");
                } else {
                    rest.push_str(&format!("[{}]", inside.parse::<LitInt>()?.base10_parse::<u32>()?));
                }
            } else {
                break;
            }
        }
        if input.peek(Ident) {
            let direction: Ident = input.parse()?;
            match direction.to_string().as_str() {
                "asc" => {}
                "desc" => rest.push_str(" desc"),
                _ => return Err(syn::Error::new(direction.span(), "the direction of a field is `asc` or `desc`")),
            }
        }
        Ok(Self { field, rest })
    }
}

/// `lines[*].price = Decimal` in `nested(...)`: the type of what is in a field.
pub(crate) struct NestedAttribute {
    pub(crate) place: IndexField,
    pub(crate) ty: Type,
}

impl Parse for NestedAttribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let place: IndexField = input.parse()?;
        if place.rest.is_empty() || place.rest.ends_with(" desc") {
            let message = "`nested` says of what type a value within a field is: `nested(lines[*].price = Decimal)`";
            return Err(syn::Error::new(place.field.span(), message));
        }
        input.parse::<Token![=]>()?;
        Ok(Self { place, ty: input.parse()? })
    }
}

/// What stands on a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) key: Option<Span>,
    /// Whether each index over this field alone is unique, and where it stands.
    pub(crate) index: Option<(bool, Span)>,
    /// Where `ttl` stands: the field says when the document ends.
    pub(crate) ttl: Option<Span>,
    /// What documents of earlier versions have that lack it: the default of its type, or a value.
    pub(crate) default: Option<(Option<TokenStream>, Span)>,
    /// Under which name the version before has it.
    pub(crate) renamed_from: Option<LitStr>,
    /// The name under which it is to be stored, which is serde's to decide.
    pub(crate) rename: Option<LitStr>,
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
            } else if meta.path.is_ident("index") || meta.path.is_ident("unique") {
                let is_unique = meta.path.is_ident("unique");
                if !meta.input.peek(syn::token::Paren) {
                    let name = name_of(&meta.path);
                    return Err(meta.error(format!("on a struct, `{name}` names its fields: `{name}(city, age desc)`")));
                }
                let inside;
                syn::parenthesized!(inside in meta.input);
                let fields = inside.parse_terminated(IndexField::parse, Token![,])?;
                if fields.is_empty() {
                    return Err(meta.error("an index has at least one field"));
                }
                let fields = fields.into_iter().collect();
                read.indexes.push(IndexAttribute { is_unique, fields, span: meta.path.span() });
                Ok(())
            } else if meta.path.is_ident("nested") {
                let inside;
                syn::parenthesized!(inside in meta.input);
                read.nested.extend(inside.parse_terminated(NestedAttribute::parse, Token![,])?);
                Ok(())
            } else if meta.path.is_ident("removed") {
                let inside;
                syn::parenthesized!(inside in meta.input);
                read.removed.extend(inside.parse_terminated(RemovedField::parse, Token![,])?);
                Ok(())
            } else if meta.path.is_ident("migrate_from") {
                set_once(&mut read.migrate_from, &meta, |meta| meta.value()?.parse())
            } else if meta.path.is_ident("with") {
                set_once(&mut read.with, &meta, |meta| Ok((expression(meta.value()?)?, meta.path.span())))
            } else if ["key", "ttl", "default", "renamed_from", "rename"].iter().any(|name| meta.path.is_ident(name)) {
                let name = name_of(&meta.path);
                Err(meta.error(format!("`{name}` belongs on a field of the struct")))
            } else {
                Err(unsupported(&meta, STRUCT_HAS))
            }
        })?;
        if let (Some((_, span)), None) = (&read.with, &read.migrate_from) {
            let message =
                "`with` says how documents of an earlier type become ones of this: name that with `migrate_from`";
            return Err(syn::Error::new(*span, message));
        }
        Ok(read)
    }
}

impl ContainerAttributes {
    /// Where the crate is, for what has no other attribute.
    pub(crate) fn read_crate(attributes: &[Attribute]) -> syn::Result<Path> {
        let mut krate = None;
        each_document_attribute(attributes, |meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("a key can have only `crate`"));
            }
            set_once(&mut krate, &meta, |meta| meta.value()?.parse::<LitStr>()?.parse_with(Path::parse_mod_style))
        })?;
        Ok(krate.unwrap_or_else(|| syn::parse_quote!(::bucketdb)))
    }
}

impl FieldAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut read = Self::default();
        each_document_attribute(attributes, |meta| {
            if meta.path.is_ident("key") {
                set_once(&mut read.key, &meta, |meta| Ok(meta.path.span()))
            } else if meta.path.is_ident("index") || meta.path.is_ident("unique") {
                let is_unique = meta.path.is_ident("unique");
                if read.index.is_some() {
                    return Err(meta.error("one of `index` and `unique` is enough: both are an index over this field"));
                }
                read.index = Some((is_unique, meta.path.span()));
                Ok(())
            } else if meta.path.is_ident("ttl") {
                if meta.input.peek(Token![=]) {
                    return Err(meta
                        .error("`ttl` takes no value: the field holds when the document ends, in seconds since 1970"));
                }
                set_once(&mut read.ttl, &meta, |meta| Ok(meta.path.span()))
            } else if meta.path.is_ident("default") {
                set_once(&mut read.default, &meta, |meta| {
                    let value = if meta.input.peek(Token![=]) { Some(expression(meta.value()?)?) } else { None };
                    Ok((value, meta.path.span()))
                })
            } else if meta.path.is_ident("renamed_from") {
                set_once(&mut read.renamed_from, &meta, |meta| meta.value()?.parse())
            } else if meta.path.is_ident("rename") {
                set_once(&mut read.rename, &meta, |meta| meta.value()?.parse())
            } else if ["table", "version", "crate", "nested", "removed", "migrate_from", "with"]
                .iter()
                .any(|name| meta.path.is_ident(name))
            {
                let name = name_of(&meta.path);
                Err(meta.error(format!("`{name}` belongs on the struct, not on a field")))
            } else {
                Err(unsupported(
                    &meta,
                    "a field can have `key`, `index`, `unique`, `ttl`, `default`, `renamed_from` and `rename`",
                ))
            }
        })?;
        Ok(read)
    }
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

/// Any expression up to the next comma that is in no parentheses.
fn expression(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    if tokens.is_empty() { Err(input.error("expected an expression")) } else { Ok(tokens) }
}

fn version(meta: &ParseNestedMeta<'_>) -> syn::Result<u32> {
    let literal: LitInt = meta.value()?.parse()?;
    literal.base10_parse::<u32>().ok().filter(|version| *version >= 1).ok_or_else(|| {
        syn::Error::new(literal.span(), "the version of a schema is a whole number from 1 to 4294967295")
    })
}

fn unsupported(meta: &ParseNestedMeta<'_>, known: &str) -> syn::Error {
    let name = name_of(&meta.path);
    if name == "rename_all" {
        meta.error("fields have the names that serde gives them: write `#[serde(rename_all = \"...\")]`")
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
