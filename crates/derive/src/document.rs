//! A struct that is to be a document: what was written, checked.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, Ident, Path, Type, Visibility};

use crate::attributes::{
    ContainerAttributes, FieldAttributes, IndexAttribute, IndexField, NestedAttribute, RemovedField, check_table,
};
use crate::names::{column_path, snake_case};
use crate::serde_attributes::{SerdeContainer, SerdeField};

pub(crate) struct DocumentType<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) visibility: &'a Visibility,
    pub(crate) krate: Path,
    pub(crate) table: String,
    pub(crate) version: u32,
    /// What is stored, in order.
    pub(crate) fields: Vec<DocumentField<'a>>,
    /// What each index orders by, as text, and whether it is unique.
    pub(crate) indexes: Vec<(String, bool)>,
    /// Where values of a type are within the fields, as a path, and that type.
    pub(crate) nested: Vec<(String, Type)>,
    /// The field that says when a document ends.
    pub(crate) ttl: Option<String>,
    pub(crate) removed: Vec<RemovedField>,
    /// The type of the version before, and the function that makes documents of this version of its.
    pub(crate) step: Option<(Path, Option<TokenStream>)>,
}

pub(crate) struct DocumentField<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) ty: &'a Type,
    /// The constant of the column.
    pub(crate) column: Ident,
    /// Whether a value of the type is stored as that type stores itself.
    pub(crate) has_column: bool,
    /// The name under which serde stores the field.
    pub(crate) name: String,
    pub(crate) is_key: bool,
    /// Whether there is an index over it alone, and whether that is unique.
    pub(crate) index: Option<bool>,
    /// Where it says that it holds when the document ends.
    pub(crate) ttl: Option<Span>,
    /// Whether a document without it reads as the type.
    pub(crate) is_optional: bool,
    /// What documents of earlier versions have that lack it; the default of its type if that is not said.
    pub(crate) default: Option<Option<TokenStream>>,
    pub(crate) renamed_from: Option<String>,
}

impl<'a> DocumentType<'a> {
    /// Checks everything and reports all mistakes together.
    pub(crate) fn read(input: &'a DeriveInput) -> syn::Result<Self> {
        let fields = named_fields(input)?;
        let mut mistakes = Mistakes::default();
        mistakes.note(not_generic(input));
        let attributes = mistakes.note(ContainerAttributes::read(&input.attrs)).unwrap_or_default();
        let table = match &attributes.table {
            Some(table) => table.value(),
            None => {
                let table = snake_case(&input.ident.unraw().to_string());
                let named = check_table(&table, input.ident.span());
                mistakes.note(named.map_err(|error| with_advice(&error, "give it with #[document(table = \"...\")]")));
                table
            }
        };
        let serde = mistakes.note(SerdeContainer::read(&input.attrs));
        let mut has_key = false;
        let mut stored: Vec<DocumentField<'a>> = Vec::new();
        for field in fields {
            let Some(field) = mistakes.note(read_field(field, serde.as_ref())) else {
                has_key = true;
                continue;
            };
            let Some(field) = field else { continue };
            has_key |= field.is_key;
            if let Some(twin) = stored.iter().find(|twin| twin.column == field.column) {
                let message = format!("the columns of `{}` and `{}` have the same name", twin.ident, field.ident);
                mistakes.note(Err::<(), _>(syn::Error::new(field.ident.span(), message)));
            }
            stored.push(field);
        }
        if !has_key {
            let message = "a document needs a primary key: put #[document(key)] on a field";
            mistakes.note(Err::<(), _>(syn::Error::new(input.ident.span(), message)));
        }
        let mut indexes: Vec<(String, bool)> =
            stored.iter().filter_map(|field| Some((column_path(&field.name), field.index?))).collect();
        for index in &attributes.indexes {
            indexes.extend(mistakes.note(index_over(index, &stored)));
        }
        let mut nested = Vec::new();
        for NestedAttribute { place, ty } in attributes.nested {
            let place = place_in(&place, &stored, "`nested`", place.field.span());
            nested.extend(mistakes.note(place).map(|place| (place, ty)));
        }
        let mut ends = stored.iter().filter(|field| field.ttl.is_some());
        let ttl = ends.next().map(|field| column_path(&field.name));
        for second in ends.filter_map(|field| field.ttl) {
            mistakes.note(Err::<(), _>(syn::Error::new(second, "only one field can say when a document ends")));
        }
        mistakes.finish()?;
        Ok(Self {
            ident: &input.ident,
            visibility: &input.vis,
            krate: attributes.krate.unwrap_or_else(|| syn::parse_quote!(::bucketdb)),
            table,
            version: attributes.version.unwrap_or(1),
            fields: stored,
            indexes,
            nested,
            ttl,
            removed: attributes.removed,
            step: attributes.migrate_from.map(|from| (from, attributes.with.map(|(with, _)| with))),
        })
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &DocumentField<'a>> {
        self.fields.iter().filter(|field| field.is_key)
    }
}

fn named_fields(input: &DeriveInput) -> syn::Result<impl Iterator<Item = &Field>> {
    let what = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Ok(fields.named.iter()),
            Fields::Unnamed(_) => "this struct is a tuple",
            Fields::Unit => "this struct has no fields",
        },
        Data::Enum(_) => "this is an enum",
        Data::Union(_) => "this is a union",
    };
    let message = format!("a document is a struct with named fields, and {what}");
    Err(syn::Error::new(input.ident.span(), message))
}

fn not_generic(input: &DeriveInput) -> syn::Result<()> {
    if input.generics.params.is_empty() {
        return Ok(());
    }
    let message = "a document cannot be generic: every table holds documents of one type";
    Err(syn::Error::new_spanned(&input.generics, message))
}

/// None if the field is not stored under a name of its own.
fn read_field<'a>(field: &'a Field, serde: Option<&SerdeContainer>) -> syn::Result<Option<DocumentField<'a>>> {
    let Some(ident) = &field.ident else { return Ok(None) };
    let FieldAttributes { key, index, ttl, default, renamed_from, rename } = FieldAttributes::read(&field.attrs)?;
    let serde_field = SerdeField::read(field)?;
    if let Some(key) = key {
        check_key(field, &serde_field, key)?;
    }
    if let Some((_, span)) = &default
        && (serde_field.skipped || serde_field.flattened || serde_field.converted)
    {
        let message =
            "serde stores this field in another form than that of its type, or not at all: it can have no default";
        return Err(syn::Error::new(*span, message));
    }
    if serde_field.skipped || serde_field.flattened {
        if let Some(wanted) = rename {
            let message = "this field is not stored under a name of its own: it cannot be renamed";
            return Err(syn::Error::new(wanted.span(), message));
        }
        if let Some((_, span)) = index {
            return Err(syn::Error::new(
                span,
                "this field is not stored under a name of its own: it can have no index",
            ));
        }
        if let Some(span) = ttl {
            let message = "this field is not stored under a name of its own: it cannot say when the document ends";
            return Err(syn::Error::new(span, message));
        }
        return Ok(None);
    }
    let rust_name = ident.unraw().to_string();
    let name = match (serde_field.renamed, serde) {
        (Some(name), _) => name,
        (None, Some(serde)) => serde.rename_all.apply(&rust_name),
        (None, None) => rust_name.clone(),
    };
    if let Some(wanted) = rename.filter(|wanted| wanted.value() != name) {
        let text = wanted.value();
        let message = format!(
            "serde stores this field, and as {name:?}: write `#[serde(rename = {text:?})]`, in the place of this attribute or \
             beside it"
        );
        return Err(syn::Error::new(wanted.span(), message));
    }
    Ok(Some(DocumentField {
        ident,
        ty: &field.ty,
        column: Ident::new(&rust_name.to_uppercase(), ident.span()),
        has_column: !serde_field.converted,
        name,
        is_key: key.is_some(),
        index: index.map(|(is_unique, _)| is_unique),
        ttl,
        is_optional: is_option(&field.ty) || serde_field.has_default || serde.is_some_and(|serde| serde.has_default),
        default: default.map(|(value, _)| value),
        renamed_from: renamed_from.map(|name| name.value()),
    }))
}

/// The text of an index over several fields, under the names by which they are stored.
fn index_over(index: &IndexAttribute, stored: &[DocumentField<'_>]) -> syn::Result<(String, bool)> {
    let place = |wanted: &IndexField| place_in(wanted, stored, "this index", index.span);
    let fields: Vec<String> = index.fields.iter().map(place).collect::<syn::Result<_>>()?;
    Ok((fields.join(", "), index.is_unique))
}

/// The text of a place in a document, under the name by which the field is stored.
fn place_in(wanted: &IndexField, stored: &[DocumentField<'_>], whose: &str, span: Span) -> syn::Result<String> {
    match stored.iter().find(|field| *field.ident == wanted.field) {
        Some(field) => Ok(format!("{}{}", column_path(&field.name), wanted.rest)),
        None => Err(syn::Error::new(span, format!("there is no stored field `{}` for {whose}", wanted.field))),
    }
}

fn check_key(field: &Field, serde: &SerdeField, key: Span) -> syn::Result<()> {
    let reason = if is_option(&field.ty) {
        return Err(syn::Error::new_spanned(&field.ty, "a primary key always has a value: it cannot be an Option"));
    } else if serde.skipped {
        "serde skips it"
    } else if serde.flattened {
        "serde flattens it"
    } else if serde.converted {
        "serde stores it in another form than that of its type"
    } else {
        return Ok(());
    };
    Err(syn::Error::new(key, format!("this field cannot be the primary key: {reason}")))
}

fn is_option(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| segment.ident == "Option"),
        Type::Group(group) => is_option(&group.elem),
        Type::Paren(paren) => is_option(&paren.elem),
        _ => false,
    }
}

fn with_advice(error: &syn::Error, advice: &str) -> syn::Error {
    syn::Error::new(error.span(), format!("{error}; {advice}"))
}

/// All mistakes of an input, so that one compilation shows them together.
#[derive(Default)]
struct Mistakes {
    all: Option<syn::Error>,
}

impl Mistakes {
    fn note<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result
            .map_err(|error| match &mut self.all {
                Some(all) => all.combine(error),
                None => self.all = Some(error),
            })
            .ok()
    }

    fn finish(self) -> syn::Result<()> {
        self.all.map_or(Ok(()), Err)
    }
}
