//! How one name is made from another.

use syn::LitStr;

/// `OrderLine` and `HTTPRoute` become `order_line` and `http_route`.
pub(crate) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (position, letter) in letters.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(position + 1);
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                *before != '_' && (!before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()))
            });
        if begins_word {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// The path of a column that is one field: the name, in quotes unless it is plainly a name.
pub(crate) fn column_path(name: &str) -> String {
    let is_letter = |character: char| character.is_ascii_alphabetic() || matches!(character, '_' | '$');
    let plain = name.starts_with(is_letter)
        && name.chars().all(|character| is_letter(character) || character.is_ascii_digit() || character == '-');
    if plain {
        return name.to_owned();
    }
    let mut path = String::from("\"");
    for character in name.chars() {
        if matches!(character, '"' | '\\') {
            path.push('\\');
        }
        path.push(character);
    }
    path.push('"');
    path
}

/// The rules by which serde's `rename_all` renames fields.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RenameRule {
    Unchanged,
    Upper,
    Pascal,
    Camel,
    Kebab,
    UpperKebab,
}

impl RenameRule {
    pub(crate) fn read(text: &LitStr) -> syn::Result<Self> {
        match text.value().as_str() {
            "lowercase" | "snake_case" => Ok(Self::Unchanged),
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Ok(Self::Upper),
            "PascalCase" => Ok(Self::Pascal),
            "camelCase" => Ok(Self::Camel),
            "kebab-case" => Ok(Self::Kebab),
            "SCREAMING-KEBAB-CASE" => Ok(Self::UpperKebab),
            other => Err(syn::Error::new(text.span(), format!("unknown rule {other:?} for renaming fields"))),
        }
    }

    /// The name that serde gives to a field, which is in snake case.
    pub(crate) fn apply(self, field: &str) -> String {
        match self {
            Self::Unchanged => field.to_owned(),
            Self::Upper => field.to_ascii_uppercase(),
            Self::Pascal => pascal_case(field),
            Self::Camel => {
                let pascal = pascal_case(field);
                let mut letters = pascal.chars();
                letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
            }
            Self::Kebab => field.replace('_', "-"),
            Self::UpperKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal_case(field: &str) -> String {
    let mut pascal = String::new();
    let mut begins_word = true;
    for letter in field.chars() {
        if letter == '_' {
            begins_word = true;
        } else if begins_word {
            pascal.push(letter.to_ascii_uppercase());
            begins_word = false;
        } else {
            pascal.push(letter);
        }
    }
    pascal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_in_snake_case() {
        for (name, table) in [
            ("User", "user"),
            ("OrderLine", "order_line"),
            ("HTTPRoute", "http_route"),
            ("RouteHTTP", "route_http"),
            ("V2Report", "v2_report"),
            ("A", "a"),
            ("Already_Snake", "already_snake"),
        ] {
            assert_eq!(snake_case(name), table);
        }
    }

    #[test]
    fn odd_names_are_quoted_so_that_the_path_is_that_one_field() {
        for name in ["age", "a-b", "$x", "_", "a.b", "", "1st", "a b", "ü", "\"", "\\", "[0]", "a\u{a0}"] {
            let path: bucketdb_query::Path = column_path(name).parse().unwrap();
            assert_eq!(path, bucketdb_query::Path::field(name));
        }
    }
}
