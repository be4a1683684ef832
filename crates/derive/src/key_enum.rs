//! An enum without data as a key, or a part of one.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields};

use crate::attributes::ContainerAttributes;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        let message = "only an enum can derive this: other keys are made of the types that implement it";
        return Err(syn::Error::new(input.ident.span(), message));
    };
    if !input.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&input.generics, "a key cannot be generic"));
    }
    if let Some(variant) = data.variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit)) {
        let message = format!("`{}` has data: a key is stored as the name of its variant", variant.ident);
        return Err(syn::Error::new(variant.fields.span(), message));
    }
    let krate = ContainerAttributes::read_crate(&input.attrs)?;
    let ident = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #krate::DocumentKey for #ident {
            fn types() -> ::std::vec::Vec<#krate::KeyType> {
                ::std::vec![#krate::KeyType::Text]
            }

            fn parts(&self) -> ::std::vec::Vec<#krate::KeyPart> {
                ::std::vec![#krate::KeyPart::of_variant(self)]
            }
        }

        #[automatically_derived]
        impl #krate::AsKey<#ident> for #ident {
            fn key_parts(&self) -> ::std::vec::Vec<#krate::KeyPart> {
                #krate::DocumentKey::parts(self)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(code: &str) -> String {
        match expand(&syn::parse_str(code).unwrap()) {
            Ok(code) => code.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_an_enum_without_data_is_a_key() {
        assert!(mistake("enum Kind { A, B }").contains("impl :: bucketdb :: DocumentKey for Kind"));
        assert!(
            mistake("#[document(crate = \"a::b\")] enum Kind { A }").contains("impl a :: b :: DocumentKey for Kind")
        );
        assert!(mistake("enum Kind { A, B(u8) }").contains("`B` has data"));
        assert!(mistake("enum Kind { A {} }").contains("`A` has data"));
        assert!(mistake("struct Kind(u8);").contains("only an enum"));
        assert!(mistake("enum Kind<T> { A }").contains("cannot be generic"));
        assert!(mistake("#[document(table = \"a\")] enum Kind { A }").contains("only `crate`"));
    }
}
