use super::*;
use crate::SchemaBuilder;

fn users(version: u32) -> SchemaBuilder {
    Schema::builder("users").version(version).field::<String>("id").required().key(&["id"])
}

fn with_age(version: u32) -> SchemaBuilder {
    users(version).field::<u8>("age").required()
}

/// Why the last of some versions may not follow the others.
fn refused(versions: &[SchemaBuilder]) -> String {
    let schemas: Vec<Schema> = versions.iter().map(|builder| builder.clone().finish()).collect();
    let (newer, earlier) = schemas.split_last().unwrap();
    let outcome = check_succession(earlier.last().unwrap(), &Evolution::of(earlier), newer);
    outcome.err().map(|error| error.reason).unwrap_or_default()
}

#[test]
fn what_reads_as_before_is_accepted() {
    for newer in [
        with_age(2),
        with_age(2).field::<String>("name").required().default_value("nobody"),
        with_age(2).field::<Option<String>>("name").optional(),
        users(2).field::<u32>("age").required(),
        users(2).field::<Option<i16>>("age").optional(),
        users(2).field::<f64>("age").required(),
        users(2).field::<u8>("years").required().renamed_from("age"),
        users(2).field::<u16>("years").required().renamed_from("age"),
        users(2).removed("age"),
        users(2).removed_with("age", &0),
        users(2).field::<String>("age").required().with_step(),
        users(2).field::<String>("name").required().with_step(),
    ] {
        assert_eq!(refused(&[with_age(1), newer]), "");
    }
    // What is said of the version before may stay in the program.
    let renamed = |version| users(version).field::<u8>("years").required().renamed_from("age");
    assert_eq!(refused(&[with_age(1), renamed(2), renamed(3)]), "");
    let back = users(3).field::<u8>("age").required().renamed_from("years");
    assert_eq!(refused(&[with_age(1), renamed(2), back]), "");
    // Rows without declared fields may hold anything.
    let open = Schema::open("users", "id", crate::KeyType::Text);
    assert_eq!(check_succession(&open, &Evolution::of(std::slice::from_ref(&open)), &with_age(1).finish()), Ok(()));
}

#[test]
fn what_does_not_is_refused_with_the_name_of_the_field() {
    let cases = [
        (with_age(2).field::<String>("name").required(), r#"field "name" is new, and documents of version 1 do not"#),
        (users(2).field::<i8>("age").required(), r#"field "age" is u8 in version 1 and i8 in version 2"#),
        (users(2).field::<String>("age").required(), r#"field "age" is u8 in version 1 and text in version 2"#),
        (users(2), r#"field "age" is gone, and programs of version 1 need it"#),
        (with_age(2).field::<u8>("years").optional().renamed_from("age"), r#"was "age", which is declared beside it"#),
        (users(2).removed("age").field::<u8>("years").renamed_from("agee"), r#"has no field of that name"#),
        (users(2).field::<String>("years").required().renamed_from("age"), r#"field "years" is u8 in version 1"#),
    ];
    for (newer, expected) in cases {
        let reason = refused(&[with_age(1), newer]);
        assert!(reason.contains(expected), "{reason}");
    }
    let optional = users(1).field::<Option<u8>>("age").optional();
    let reason = refused(&[optional.clone(), with_age(2)]);
    assert!(reason.contains(r#"field "age" may be missing in documents of version 1"#), "{reason}");
    assert_eq!(refused(&[optional, users(2).field::<u8>("age").required().default_value(&0)]), "");
}

#[test]
fn a_name_is_that_of_one_field_for_ever() {
    let renamed = users(2).field::<u8>("years").required().renamed_from("age");
    let again = users(3).field::<u8>("years").required().field::<u8>("age").optional();
    let reason = refused(&[with_age(1), renamed, again]);
    assert!(reason.contains(r#"field "age" was the name of "years" once"#), "{reason}");
    let both = with_age(1).field::<u8>("size").optional();
    let swapped = users(2).field::<u8>("size").optional().renamed_from("age");
    assert!(refused(&[both.clone(), swapped]).contains("is gone"));
    let gone = with_age(2);
    let reused = users(3).field::<u8>("size").required().renamed_from("age");
    let reason = refused(&[both, gone, reused]);
    assert!(reason.contains("was another field before"), "{reason}");
}

#[test]
fn the_same_version_says_the_same_for_ever() {
    let known = users(1).field::<u8>("age").required().default_value(&1);
    assert_eq!(refused(&[known.clone(), with_age(1)]), "", "a program need not say again what is known");
    let reason = refused(&[known, users(1).field::<u8>("age").required().default_value(&2)]);
    assert!(reason.contains(r#"gives field "age" the default 2 under version 1"#), "{reason}");
    let reason = refused(&[with_age(1), with_age(1).with_step()]);
    assert!(reason.contains("step"), "{reason}");
}

#[test]
fn what_texts_stand_for_changes_by_a_step_only() {
    use crate::FieldType::{self, Any, Date, Decimal, F64, I64, Text, Timestamp, Uuid};
    let of = |version, field_type: FieldType| users(version).field_of_type("at", field_type).required();
    for earlier in [Uuid, Timestamp, Date, Decimal] {
        for newer in [Uuid, Timestamp, Date, Decimal, Text, Any, I64, F64] {
            for (earlier, newer) in [(earlier, newer), (newer, earlier)] {
                let reason = refused(&[of(1, earlier), of(2, newer)]);
                let expected = format!(r#"field "at" is {earlier} in version 1 and {newer} in version 2"#);
                assert_eq!(reason.contains(&expected), earlier != newer, "{earlier} to {newer}: {reason}");
                assert_eq!(refused(&[of(1, earlier), of(2, newer).with_step()]), "");
            }
        }
        let optional = users(2).field_of_type("at", earlier).optional();
        assert_eq!(refused(&[of(1, earlier), optional]), "");
    }
}
