//! What the derived code does, against stand-ins for the parts of the facade that it names.

use bucketdb_derive::Document;
use bucketdb_query::{Column, TypedFilter};
use serde::{Deserialize, Serialize};

/// The names that the derived code uses, recording what it says.
mod facade {
    pub(crate) use bucketdb_query::Column;

    pub(crate) trait Document: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static {
        type Key;
        fn schema() -> Schema;
        fn key(&self) -> Self::Key;
    }

    pub(crate) enum FieldType {
        Any,
    }

    #[derive(Debug, Default, PartialEq)]
    pub(crate) struct Schema {
        pub(crate) table: String,
        pub(crate) version: u32,
        pub(crate) fields: Vec<(String, &'static str)>,
        pub(crate) key: Vec<String>,
    }

    impl Schema {
        pub(crate) fn builder(table: &str) -> Self {
            Self { table: table.to_owned(), ..Self::default() }
        }

        pub(crate) fn version(mut self, version: u32) -> Self {
            self.version = version;
            self
        }

        pub(crate) fn field<T: ?Sized + 'static>(mut self, name: &str) -> Self {
            self.fields.push((name.to_owned(), std::any::type_name::<T>()));
            self
        }

        pub(crate) fn field_of_type(mut self, name: &str, field_type: FieldType) -> Self {
            let FieldType::Any = field_type;
            self.fields.push((name.to_owned(), "anything"));
            self
        }

        pub(crate) fn key(mut self, names: &[&str]) -> Self {
            self.key = names.iter().map(|name| (*name).to_owned()).collect();
            self
        }

        pub(crate) fn finish(self) -> Self {
            self
        }
    }
}

use facade::Document as _;

fn names<D: facade::Document>() -> Vec<String> {
    D::schema().fields.into_iter().map(|(name, _)| name).collect()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Address {
    city: String,
}

impl Address {
    const CITY: Column<Self, String> = Column::new("city");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 7, crate = "facade")]
struct User {
    #[document(key)]
    id: String,
    age: u8,
    address: Option<Address>,
    tags: Vec<String>,
}

#[test]
fn the_schema_has_every_field_in_order() {
    assert_eq!(
        User::schema(),
        facade::Schema {
            table: "users".to_owned(),
            version: 7,
            fields: vec![
                ("id".to_owned(), std::any::type_name::<String>()),
                ("age".to_owned(), "u8"),
                ("address".to_owned(), std::any::type_name::<Option<Address>>()),
                ("tags".to_owned(), std::any::type_name::<Vec<String>>()),
            ],
            key: vec!["id".to_owned()],
        }
    );
}

#[test]
fn the_key_and_the_columns_find_the_document() {
    let user =
        User { id: "u_1".into(), age: 30, address: Some(Address { city: "Bern".into() }), tags: vec!["a".into()] };
    let key: String = user.key();
    assert_eq!(key, "u_1");
    let filter: TypedFilter<User> = User::ID
        .eq("u_1")
        .and(User::AGE.ge(18))
        .and(User::ADDRESS.then(Address::CITY).eq("Bern"))
        .and(User::TAGS.contains("a"));
    assert!(filter.into_untyped().matches(&serde_json::to_value(&user).unwrap()));
}

#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(crate = "crate::facade")]
pub(crate) struct OrderLine {
    text: String,
    #[document(key)]
    order: u64,
    #[document(key)]
    line: u32,
}

#[test]
fn several_keys_make_a_tuple_and_defaults_need_no_words() {
    let schema = OrderLine::schema();
    assert_eq!((schema.table.as_str(), schema.version), ("order_line", 1));
    assert_eq!(schema.key, ["order", "line"]);
    let key: (u64, u32) = OrderLine { text: String::new(), order: 3, line: 9 }.key();
    assert_eq!(key, (3, 9));
}

/// Every rule of serde's, held against what serde stores.
macro_rules! renamed {
    ($($rule:literal $name:ident),*) => {$(
        #[derive(Default, Serialize, Deserialize, Document)]
        #[serde(rename_all = $rule)]
        #[document(crate = "facade")]
        struct $name {
            #[document(key)]
            plain: u8,
            two_words: u8,
            r#type: u8,
            _odd_name2: u8,
        }
    )*

    #[test]
    fn names_are_those_that_serde_stores() {
        $(
            let stored = serde_json::to_value($name::default()).unwrap();
            let stored: Vec<_> = stored.as_object().unwrap().keys().cloned().collect();
            assert_eq!(names::<$name>(), stored, $rule);
            for (column, name) in [$name::PLAIN, $name::TWO_WORDS, $name::TYPE, $name::_ODD_NAME2].iter().zip(stored) {
                assert_eq!(column.path(), bucketdb_query::Path::field(name), $rule);
            }
            assert_eq!($name::default().key(), 0);
        )*
    }};
}

renamed!(
    "lowercase" Lower,
    "UPPERCASE" Upper,
    "PascalCase" Pascal,
    "camelCase" Camel,
    "snake_case" Snake,
    "SCREAMING_SNAKE_CASE" UpperSnake,
    "kebab-case" Kebab,
    "SCREAMING-KEBAB-CASE" UpperKebab
);

#[derive(Default, Serialize, Deserialize)]
struct More {
    extra: u8,
}

mod shouting {
    pub(super) fn serialize<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text.to_uppercase())
    }
}

#[derive(Default, Serialize, Deserialize, Document)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[document(crate = "facade")]
struct Mixed {
    #[document(key)]
    #[serde(rename = "the id.")]
    id: u8,
    #[serde(rename(serialize = "x", deserialize = "x"), alias = "y", default = "Default::default")]
    both_ways: u8,
    #[serde(skip)]
    _cache: u8,
    #[serde(flatten)]
    more: More,
    #[serde(serialize_with = "shouting::serialize")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none", bound(serialize = "u8: Copy"))]
    nick_name: Option<String>,
}

#[test]
fn attributes_of_serde_are_honoured() {
    assert_eq!(names::<Mixed>(), ["the id.", "x", "name", "nickName"]);
    assert_eq!(Mixed::schema().key, ["the id."]);
    let types: Vec<_> = Mixed::schema().fields.into_iter().map(|(_, field_type)| field_type).collect();
    assert_eq!(types, ["u8", "u8", "anything", std::any::type_name::<Option<String>>()]);
    assert_eq!(Mixed::ID.eq(1).to_string(), r#""the id." = 1"#);
    assert_eq!(Mixed::BOTH_WAYS.eq(1).to_string(), "x = 1");
    assert_eq!(Mixed::NICK_NAME.eq("n").to_string(), r#"nickName = "n""#);
    let stored = serde_json::to_value(Mixed { nick_name: Some("n".into()), ..Mixed::default() }).unwrap();
    let mut expected = names::<Mixed>();
    expected.insert(2, "extra".to_owned());
    assert_eq!(stored.as_object().unwrap().keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
}

mod inner {
    //! The columns are as visible as the struct.
    use super::facade;

    #[derive(Clone, serde::Serialize, serde::Deserialize, bucketdb_derive::Document)]
    #[document(crate = "facade")]
    pub(super) struct Visible {
        #[document(key)]
        key: [u8; 16],
    }
}

#[test]
fn columns_are_as_visible_as_their_struct() {
    assert_eq!(inner::Visible::KEY.path().to_string(), "key");
}
