use super::*;
use crate::SchemaBuilder;

fn users(version: u32) -> SchemaBuilder {
    Schema::builder("users").version(version).field::<String>("id").key(&["id"])
}

/// Takes in schemas, one after the other; gives the indexes that the last of them made.
fn registered(schemas: &[Schema]) -> (Catalogue, Vec<String>) {
    let (mut catalogue, mut added) = (Catalogue::default(), Vec::new());
    for schema in schemas {
        let payload = catalogue.register(schema).unwrap();
        added = catalogue.apply(payload).unwrap();
    }
    (catalogue, added.into_iter().map(|(_, index)| index.order.to_string()).collect())
}

fn indexes(catalogue: &Catalogue) -> Vec<(u32, String)> {
    catalogue.indexes().map(|(_, index)| (index.id.0, index.order.to_string())).collect()
}

#[test]
fn an_index_follows_its_field_to_a_new_name() {
    let first = users(1).field::<String>("mail").unique("mail").index("mail, id desc").ttl("mail.ends").finish();
    let second = users(2).field::<String>("email").renamed_from("mail").unique("email").finish();
    let (catalogue, added) = registered(&[first.clone(), second.clone()]);
    assert_eq!(added, [""; 0], "what is asked for by the new name is there");
    let expected = vec![(1, "email".to_owned()), (2, "email, id desc".to_owned())];
    assert_eq!(indexes(&catalogue), expected);
    let entry = catalogue.by_name("users").unwrap();
    assert_eq!(entry.index("mail"), entry.index("email"));
    assert!(entry.has(&first) && entry.has(&second), "programs of both versions ask for what is there");
    assert_eq!(entry.ttl().unwrap().field(), "email.ends");
    let id = entry.id;
    assert_eq!(catalogue.change_ttl("users", Some("mail.ends")), Err(Refusal::AlreadyRegistered(id)));
    let mut catalogue = catalogue;
    let payload = catalogue.migrate(id, Migrated { accepts: 2, has: 0 }).unwrap();
    catalogue.apply(payload).unwrap();
    let again = catalogue.decode(catalogue.encode()).unwrap();
    assert_eq!((indexes(&again), again.encode()), (expected, catalogue.encode()));
    assert_eq!(again.by_name("users").unwrap().ttl().unwrap().field(), "email.ends");
}

#[test]
fn an_index_over_what_reads_otherwise_begins_anew() {
    let first = users(1).field::<u8>("width").index("age").index("name").index("size").index("id").finish();
    let second = users(2)
        .field::<u8>("age")
        .default_value(&18)
        .field::<String>("name")
        .field::<u8>("size")
        .renamed_from("width")
        .finish();
    let (catalogue, added) = registered(&[first, second]);
    assert_eq!(added, ["age", "size"], "documents that lack an age are 18 from now on, and a size was a width");
    let expected = [(2, "name"), (4, "id"), (5, "age"), (6, "size")].map(|(id, fields)| (id, fields.to_owned()));
    assert_eq!(indexes(&catalogue), expected);
}

#[test]
fn what_was_migrated_is_kept_and_never_goes_back() {
    let schemas = [users(1).finish(), users(2).field::<u8>("age").finish()];
    let (mut catalogue, _) = registered(&schemas);
    let id = catalogue.by_name("users").unwrap().id;
    let migrated = |accepts, has| Migrated { accepts, has };
    let error = catalogue.migrate(id, migrated(3, 0)).unwrap_err();
    assert!(matches!(error, Refusal::Schema(invalid) if invalid.reason.contains("version 3 is not registered")));
    assert!(catalogue.migrate(id, migrated(0, 2)).is_err(), "who still accepts cannot know what there is");
    assert_eq!(catalogue.migrate(TableId(9), migrated(2, 0)), Err(Refusal::UnknownTable(TableId(9))));
    for step in [migrated(2, 0), migrated(2, 2)] {
        let payload = catalogue.migrate(id, step).unwrap();
        catalogue.apply(payload).unwrap();
        assert_eq!(catalogue.migrate(id, migrated(1, 0)), Err(Refusal::AlreadyRegistered(id)));
        assert_eq!(catalogue.migrate(id, step), Err(Refusal::AlreadyRegistered(id)));
        let again = catalogue.decode(catalogue.encode()).unwrap();
        assert_eq!(again.by_name("users").unwrap().migrated(), step);
    }
    assert!(matches!(catalogue.register(&schemas[0]), Err(Refusal::OutdatedVersion { version: 1, accepts: 2, .. })));
    assert_eq!(catalogue.register(&schemas[1]), Err(Refusal::AlreadyRegistered(id)));
}
