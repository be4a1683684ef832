//! The code that a document type gets.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, LitStr, Path};

use crate::attributes::RemovedField;
use crate::document::{DocumentField, DocumentType};
use crate::names::column_path;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let document = DocumentType::read(input)?;
    let columns = columns(&document);
    let implementation = implementation(&document);
    Ok(quote! {
        #columns
        #implementation
    })
}

fn columns(document: &DocumentType<'_>) -> TokenStream {
    let DocumentType { ident, visibility, krate, .. } = document;
    let columns = document.fields.iter().filter(|field| field.has_column).map(|field| {
        let DocumentField { column, ty, name, .. } = field;
        let doc = format!("The column `{name}` of [`{ident}`].");
        let path = column_path(name);
        quote! {
            #[doc = #doc]
            #visibility const #column: #krate::Column<#ident, #ty> = #krate::Column::new(#path);
        }
    });
    // Hardly any program uses every column, and a column may be more visible than the type of its field.
    quote! {
        #[automatically_derived]
        #[allow(dead_code, private_interfaces)]
        impl #ident {
            #(#columns)*
        }
    }
}

fn implementation(document: &DocumentType<'_>) -> TokenStream {
    let DocumentType { ident, krate, table, version, .. } = document;
    let fields = document.fields.iter().map(|field| declaration(field, krate));
    let removed = document.removed.iter().map(|RemovedField { name, value }| match value {
        Some(value) => quote!(.removed_with(#name, &(#value))),
        None => quote!(.removed(#name)),
    });
    let step = document.step.as_ref().map(|(from, with)| step(from, with.as_ref(), krate));
    let indexes = document.indexes.iter().map(|(fields, is_unique)| match is_unique {
        true => quote!(.unique(#fields)),
        false => quote!(.index(#fields)),
    });
    let nested = document.nested.iter().map(|(path, ty)| quote!(.nested::<#ty>(#path)));
    let ttl = document.ttl.iter().map(|field| quote!(.ttl(#field)));
    let key_names = document.keys().map(|key| &key.name);
    let key_types: Vec<_> = document.keys().map(|key| key.ty).collect();
    let key_values: Vec<_> =
        document.keys().map(|DocumentField { ident, .. }| quote!(::core::clone::Clone::clone(&self.#ident))).collect();
    let (key_type, key_value) = match (key_types.as_slice(), key_values.as_slice()) {
        ([key_type], [key_value]) => (quote!(#key_type), quote!(#key_value)),
        _ => (quote!((#(#key_types,)*)), quote!((#(#key_values,)*))),
    };
    quote! {
        #[automatically_derived]
        impl #krate::Document for #ident {
            type Key = #key_type;

            fn schema() -> #krate::Schema {
                #krate::Schema::builder(#table)
                    .version(#version)
                    #(#fields)*
                    #(#nested)*
                    #(#removed)*
                    .key(&[#(#key_names),*])
                    #(#indexes)*
                    #(#ttl)*
                    .finish()
            }

            fn key(&self) -> Self::Key {
                #key_value
            }

            #step
        }
    }
}

/// What a field adds to the schema.
fn declaration(field: &DocumentField<'_>, krate: &Path) -> TokenStream {
    let DocumentField { ty, name, .. } = field;
    let declared = match field.has_column {
        true => quote!(.field::<#ty>(#name)),
        // Its type says nothing about what is stored.
        false => quote!(.field_of_type(#name, #krate::FieldType::Any)),
    };
    let presence = if field.is_optional { quote!(.optional()) } else { quote!(.required()) };
    let default = field.default.as_ref().map(|value| {
        let value = match value {
            None => quote!(::core::default::Default::default()),
            // So that a text may be given as it is.
            Some(value) => match syn::parse2::<LitStr>(value.clone()) {
                Ok(text) => quote!(::core::convert::From::from(#text)),
                Err(_) => quote!((#value)),
            },
        };
        quote! {
            .default_value::<#ty>(&#value)
        }
    });
    let renamed = field.renamed_from.as_ref().map(|from| quote!(.renamed_from(#from)));
    quote!(#declared #presence #default #renamed)
}

/// The step from the type of the version before.
fn step(from: &Path, with: Option<&TokenStream>, krate: &Path) -> TokenStream {
    let with = match with {
        Some(with) => quote!(#with),
        None => quote!(<Self as ::core::convert::From<#from>>::from),
    };
    quote! {
        const HAS_STEP: bool = true;

        fn from_earlier(
            earlier: &#krate::EarlierDocument<'_>,
        ) -> ::core::result::Result<Self, #krate::RowError> {
            ::core::result::Result::map(earlier.read::<#from>(), #with)
        }
    }
}

#[cfg(test)]
mod tests;
