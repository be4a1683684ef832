use super::*;

fn mistakes(code: &str) -> Vec<String> {
    let input = syn::parse_str(code).unwrap();
    let error = expand(&input).map(|code| panic!("must be refused, but gives {code}")).unwrap_err();
    error.into_iter().map(|error| error.to_string()).collect()
}

/// The only mistake of a struct with such attributes of its own.
fn mistake_of_struct(attributes: &str) -> String {
    let [mistake] =
        <[_; 1]>::try_from(mistakes(&format!("{attributes} struct A {{ #[document(key)] a: u8 }}"))).unwrap();
    mistake
}

/// The only mistake of a struct with such a field beside its key.
fn mistake_of_field(field: &str) -> String {
    let [mistake] = <[_; 1]>::try_from(mistakes(&format!("struct A {{ #[document(key)] id: u8, {field} }}"))).unwrap();
    mistake
}

/// The only mistake of a struct with these fields.
fn mistake_of_fields(fields: &str) -> String {
    let [mistake] = <[_; 1]>::try_from(mistakes(&format!("struct A {{ {fields} }}"))).unwrap();
    mistake
}

#[test]
fn refuses_what_is_no_struct_with_named_fields() {
    for (code, what) in [
        ("struct A(u8);", "this struct is a tuple"),
        ("struct A;", "this struct has no fields"),
        ("enum A { B }", "this is an enum"),
        ("union A { a: u8 }", "this is a union"),
    ] {
        assert_eq!(mistakes(code), [format!("a document is a struct with named fields, and {what}")]);
    }
}

#[test]
fn refuses_generics() {
    for generics in ["<T>", "<'a>", "<const N: usize>"] {
        let code = format!("struct A{generics} {{ #[document(key)] a: u8 }}");
        assert_eq!(mistakes(&code), ["a document cannot be generic: every table holds documents of one type"]);
    }
}

#[test]
fn refuses_a_document_without_a_proper_key() {
    let no_key = "a document needs a primary key: put #[document(key)] on a field";
    assert_eq!(mistake_of_fields("a: u8"), no_key);
    assert_eq!(mistakes("struct A {}"), [no_key]);
    let optional = "a primary key always has a value: it cannot be an Option";
    assert_eq!(mistake_of_fields("#[document(key)] a: Option<u8>"), optional);
    assert_eq!(mistake_of_fields("#[document(key)] a: std::option::Option<u8>"), optional);
    for (attribute, reason) in [
        ("skip", "serde skips it"),
        ("flatten", "serde flattens it"),
        ("with = \"x\"", "serde stores it in another form than that of its type"),
    ] {
        assert_eq!(
            mistake_of_fields(&format!("#[document(key)] #[serde({attribute})] a: u8")),
            format!("this field cannot be the primary key: {reason}")
        );
    }
}

#[test]
fn refuses_what_says_nothing_of_earlier_versions() {
    assert!(mistake_of_field("#[document(rename = \"x\")] b: u8").contains("write `#[serde(rename = \"x\")]`"));
    assert!(mistake_of_field("#[document(rename = \"x\")] #[serde(flatten)] b: u8").contains("cannot be renamed"));
    assert!(mistake_of_struct("#[document(with = f)]").contains("name that with `migrate_from`"));
    assert_eq!(mistake_of_struct("#[document(default = 1)]"), "`default` belongs on a field of the struct");
    assert_eq!(mistake_of_field("#[document(removed(a))] b: u8"), "`removed` belongs on the struct, not on a field");
    let no_default =
        "serde stores this field in another form than that of its type, or not at all: it can have no default";
    for attribute in ["skip", "flatten", "with = \"x\""] {
        assert_eq!(mistake_of_field(&format!("#[document(default)] #[serde({attribute})] b: u8")), no_default);
    }
}

#[test]
fn refuses_unknown_misplaced_and_repeated_attributes() {
    for (attributes, message) in [
        (
            "#[document(tabel = \"a\")]",
            "unknown attribute `tabel`; a struct can have `table`, `version`, `crate`, `index(...)`, `unique(...)`, \
             `nested(...)`, `removed(...)`, `migrate_from` and `with`",
        ),
        (
            "#[document(a::b)]",
            "unknown attribute `a::b`; a struct can have `table`, `version`, `crate`, `index(...)`, `unique(...)`, \
             `nested(...)`, `removed(...)`, `migrate_from` and `with`",
        ),
        ("#[document(key)]", "`key` belongs on a field of the struct"),
        ("#[document(ttl)]", "`ttl` belongs on a field of the struct"),
        ("#[document(nested(b.c = u8))]", "there is no stored field `b` for `nested`"),
        (
            "#[document(nested(a = u8))]",
            "`nested` says of what type a value within a field is: `nested(lines[*].price = Decimal)`",
        ),
        ("#[document(table = \"a\", table = \"a\")]", "`table` is given twice"),
        ("#[document(version = 1)] #[document(version = 2)]", "`version` is given twice"),
        ("#[document(crate = \"a\", crate = \"a\")]", "`crate` is given twice"),
    ] {
        assert_eq!(mistake_of_struct(attributes), message);
    }
    for (field, message) in [
        (
            "#[document(primary)] b: u8",
            "unknown attribute `primary`; a field can have `key`, `index`, `unique`, `ttl`, `default`, \
             `renamed_from` and `rename`",
        ),
        ("#[document(table = \"b\")] b: u8", "`table` belongs on the struct, not on a field"),
        ("#[document(version = 1)] b: u8", "`version` belongs on the struct, not on a field"),
        ("#[document(key, key)] b: u8", "`key` is given twice"),
        ("#[document(ttl)] b: u64, #[document(ttl)] c: u64", "only one field can say when a document ends"),
        (
            "#[document(ttl = \"1d\")] b: u64",
            "`ttl` takes no value: the field holds when the document ends, in seconds since 1970",
        ),
        (
            "#[document(ttl)] #[serde(skip)] b: u64",
            "this field is not stored under a name of its own: it cannot say when the document ends",
        ),
        ("#[document(key)] #[document(key)] b: u8", "`key` is given twice"),
    ] {
        assert_eq!(mistake_of_field(field), message);
    }
    for attributes in ["#[document]", "#[document = \"a\"]", "#[document(table)]", "#[document(table = 3)]"] {
        assert!(mistake_of_struct(attributes).contains("expected"), "{attributes}");
    }
    assert!(mistake_of_field("#[document(key = true)] b: u8").contains("expected"));
}

#[test]
fn refuses_names_of_tables_that_cannot_be_stored() {
    let table = |name: &str| format!("#[document(table = \"{name}\")]");
    assert_eq!(mistake_of_struct(&table("")), "the name of a table cannot be empty");
    for (name, odd) in [("a b", ' '), ("a/b", '/'), ("ä", 'ä'), ("a.b", '.')] {
        assert_eq!(
            mistake_of_struct(&table(name)),
            format!("the name of a table has letters, digits, `_` and `-` of ASCII, but {name:?} has {odd:?}")
        );
    }
    assert_eq!(
        mistake_of_struct(&table(&"a".repeat(101))),
        "the name of a table has at most 100 bytes, and this one has 101"
    );
    assert_eq!(
        mistakes("struct Übung { #[document(key)] a: u8 }"),
        ["the name of a table has letters, digits, `_` and `-` of ASCII, but \"übung\" has 'ü'; give it with \
          #[document(table = \"...\")]"]
    );
    let longest = format!("{} struct A {{ #[document(key)] a: u8 }}", table(&"a".repeat(100)));
    assert!(expand(&syn::parse_str(&longest).unwrap()).is_ok());
}

#[test]
fn refuses_versions_that_are_no_version() {
    for version in ["0", "4294967296", "-1", "1.5", "\"1\""] {
        let mistake = mistake_of_struct(&format!("#[document(version = {version})]"));
        let says_why = mistake.starts_with("the version of a schema is a whole number from 1 to");
        assert!(says_why || mistake == "expected integer literal", "{mistake}");
    }
}

#[test]
fn refuses_what_serde_would_store_differently() {
    for name in ["transparent", "into = \"B\"", "from = \"B\"", "try_from = \"B\"", "remote = \"B\"", "untagged"] {
        assert!(mistake_of_struct(&format!("#[serde({name})]")).contains("makes serde store something else"), "{name}");
    }
    let one_name = "a document is written and read under the same names: give serialize and deserialize one name";
    assert_eq!(mistake_of_struct("#[serde(rename_all(serialize = \"UPPERCASE\"))]"), one_name);
    assert_eq!(mistake_of_field("#[serde(rename(serialize = \"x\", deserialize = \"y\"))] b: u8"), one_name);
    assert_eq!(mistake_of_struct("#[serde(rename_all = \"x\")]"), "unknown rule \"x\" for renaming fields");
    let twins = "the columns of `b` and `B` have the same name";
    assert_eq!(mistake_of_field("b: u8, B: u8"), twins);
}

#[test]
fn reports_all_mistakes_together() {
    let code = "#[document(version = 0)] struct A<T> { #[document(rename)] a: T, #[document(rename)] b: u8 }";
    assert_eq!(mistakes(code).len(), 4);
}
