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
        const HAS_STEP: bool = false;
        fn from_earlier(earlier: &EarlierDocument<'_>) -> Result<Self, RowError> {
            earlier.read()
        }
    }

    pub(crate) type RowError = serde_json::Error;

    pub(crate) struct EarlierDocument<'a>(pub(crate) &'a serde_json::Value);

    impl EarlierDocument<'_> {
        pub(crate) fn read<T: Document>(&self) -> Result<T, RowError> {
            serde_json::from_value(self.0.clone())
        }
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
        /// What is said of earlier versions.
        pub(crate) said: Vec<String>,
    }

    fn json<T: ?Sized + serde::Serialize>(value: &T) -> serde_json::Value {
        serde_json::to_value(value).unwrap_or_default()
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

        pub(crate) fn required(self) -> Self {
            self
        }

        pub(crate) fn optional(self) -> Self {
            let name = self.last();
            self.say(format!("{name} is optional"))
        }

        pub(crate) fn default_value<T: ?Sized + serde::Serialize>(self, value: &T) -> Self {
            let name = self.last();
            self.say(format!("{name} is {}", json(value)))
        }

        pub(crate) fn renamed_from(self, from: &str) -> Self {
            let name = self.last();
            self.say(format!("{name} was {from}"))
        }

        pub(crate) fn removed(self, name: &str) -> Self {
            self.say(format!("{name} is gone"))
        }

        pub(crate) fn removed_with<T: ?Sized + serde::Serialize>(self, name: &str, value: &T) -> Self {
            self.say(format!("{name} is gone, was {}", json(value)))
        }

        fn last(&self) -> String {
            self.fields.last().map(|(name, _)| name.clone()).unwrap_or_default()
        }

        fn say(mut self, what: String) -> Self {
            self.said.push(what);
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
            said: vec!["address is optional".to_owned()],
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
    #[document(rename = "x")]
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

#[derive(Serialize, Deserialize, Document)]
#[document(table = "people", version = 2, crate = "facade", removed(nick, "old name" = "", size = 1 + 1))]
struct Person {
    #[document(key)]
    id: u8,
    #[document(default)]
    age: u8,
    #[document(default = "nobody", renamed_from = "called")]
    name: String,
    #[document(default = Some(vec![1, 2]))]
    scores: Option<Vec<u16>>,
    #[serde(default)]
    tags: Vec<String>,
}

#[test]
fn what_was_in_earlier_versions_is_said() {
    let said = [
        "age is 0",
        r#"name is "nobody""#,
        "name was called",
        "scores is optional",
        "scores is [1,2]",
        "tags is optional",
        "nick is gone",
        r#"old name is gone, was """#,
        "size is gone, was 2",
    ];
    assert_eq!(Person::schema().said, said);
    const { assert!(!Person::HAS_STEP) };
}

#[derive(Serialize, Deserialize, Document)]
#[document(table = "people", version = 3, crate = "facade", migrate_from = Person)]
struct Renamed {
    #[document(key)]
    id: u8,
    called: String,
}

impl From<Person> for Renamed {
    fn from(person: Person) -> Self {
        Self { id: person.id, called: person.name }
    }
}

#[derive(Serialize, Deserialize, Document)]
#[document(table = "people", version = 4, crate = "facade", migrate_from = Renamed, with = |old| shorter(&old))]
struct Short {
    #[document(key)]
    id: u8,
    letters: usize,
}

fn shorter(renamed: &Renamed) -> Short {
    Short { id: renamed.id, letters: renamed.called.len() }
}

#[test]
fn a_step_makes_a_document_of_an_earlier_one() {
    const { assert!(Renamed::HAS_STEP && Short::HAS_STEP) };
    let person = serde_json::json!({"id": 1, "age": 2, "name": "Ada", "scores": null});
    let renamed = Renamed::from_earlier(&facade::EarlierDocument(&person)).unwrap();
    assert_eq!((renamed.id, renamed.called.as_str()), (1, "Ada"));
    let renamed = serde_json::to_value(renamed).unwrap();
    assert_eq!(Short::from_earlier(&facade::EarlierDocument(&renamed)).unwrap().letters, 3);
}
