//! Programs of several versions of a schema, side by side.

use std::collections::BTreeMap;

use bucketdb::{Database, Document, Duplicates, Error, Freshness, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{in_memory, on, open};
use bucketdb::MemoryDriver;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 1)]
struct First {
    #[document(key)]
    id: u32,
    #[document(index)]
    name: String,
    age: u8,
    nick: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 2, removed(nick = "none"))]
#[serde(deny_unknown_fields)]
struct Second {
    #[document(key)]
    id: u32,
    #[document(index, renamed_from = "name")]
    full_name: String,
    age: u32,
    #[document(index, default = "unknown")]
    email: String,
    address: Option<String>,
}

fn first(id: u32, name: &str) -> First {
    First { id, name: name.to_owned(), age: (id % 100) as u8, nick: format!("n{id}") }
}

fn second(id: u32, name: &str) -> Second {
    let email = format!("{name}@example.org");
    Second { id, full_name: name.to_owned(), age: id % 100, email, address: Some(format!("{id} Main St")) }
}

/// Two processes with one store: the first has the first version, the second the second.
struct Deploy {
    old_db: Database,
    old: Table<First>,
    new_db: Database,
    new: Table<Second>,
}

impl Deploy {
    async fn begin() -> Self {
        let driver = MemoryDriver::new();
        let strict = |driver| on(driver).staleness(std::time::Duration::ZERO).node_id(0);
        let old_db = strict(driver.clone()).open().await.unwrap();
        let old = old_db.table::<First>().await.unwrap();
        for id in 0..10 {
            old.insert(&first(id, &format!("a{id}"))).await.unwrap();
        }
        let new_db = strict(driver).open().await.unwrap();
        let new = new_db.table::<Second>().await.unwrap();
        Self { old_db, old, new_db, new }
    }
}

/// What is known of a user: fields that no program wrote are not.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    name: String,
    age: u32,
    nick: Option<String>,
    email: Option<String>,
    address: Option<String>,
}

impl Known {
    fn of_first(document: &First) -> Self {
        let (name, nick) = (document.name.clone(), Some(document.nick.clone()));
        Self { name, age: document.age.into(), nick, email: None, address: None }
    }

    fn of_second(document: &Second) -> Self {
        let Second { full_name, age, email, address, .. } = document.clone();
        Self { name: full_name, age, nick: None, email: Some(email), address }
    }

    fn first(&self, id: u32) -> First {
        let nick = self.nick.clone().unwrap_or_else(|| "none".to_owned());
        First { id, name: self.name.clone(), age: self.age as u8, nick }
    }

    fn second(&self, id: u32) -> Second {
        let email = self.email.clone().unwrap_or_else(|| "unknown".to_owned());
        Second { id, full_name: self.name.clone(), age: self.age, email, address: self.address.clone() }
    }
}

async fn check(deploy: &Deploy, model: &BTreeMap<u32, Known>) {
    let old: Vec<First> = deploy.old.query().fetch().await.unwrap();
    assert_eq!(old, model.iter().map(|(id, known)| known.first(*id)).collect::<Vec<_>>());
    let new: Vec<Second> = deploy.new.query().fetch().await.unwrap();
    assert_eq!(new, model.iter().map(|(id, known)| known.second(*id)).collect::<Vec<_>>());
    for name in model.values().map(|known| &known.name) {
        let ids: Vec<u32> = model.iter().filter(|(_, known)| known.name == *name).map(|(id, _)| *id).collect();
        let by_old = deploy.old.query().filter(First::NAME.eq(name.clone())).by_index("name").fetch().await.unwrap();
        assert_eq!(by_old.iter().map(|user| user.id).collect::<Vec<_>>(), ids, "{name}");
        let by_new = deploy.new.query().filter(Second::FULL_NAME.eq(name.clone())).by_index("full_name");
        assert_eq!(by_new.fetch().await.unwrap().iter().map(|user| user.id).collect::<Vec<_>>(), ids, "{name}");
        // From the index alone, where that has all of it under that name.
        let count = deploy.old.query().filter(First::NAME.eq(name.clone())).count().await.unwrap();
        assert_eq!(count, ids.len() as u64, "{name}");
        let count = deploy.new.query().filter(Second::FULL_NAME.eq(name.clone())).count().await.unwrap();
        assert_eq!(count, ids.len() as u64, "{name}");
    }
    for email in ["unknown", "b3@example.org", "c1@example.org"] {
        let has = |known: &Known| known.email.as_deref().unwrap_or("unknown") == email;
        let ids: Vec<u32> = model.iter().filter(|(_, known)| has(known)).map(|(id, _)| *id).collect();
        let query = || deploy.new.query().filter(Second::EMAIL.eq(email));
        for query in [query().without_index(), query().by_index("email")] {
            assert_eq!(query.fetch().await.unwrap().iter().map(|user| user.id).collect::<Vec<_>>(), ids, "{email}");
        }
    }
    let by_age = deploy.old.query().order_by(First::NAME.desc()).limit(3).fetch().await.unwrap();
    let mut names: Vec<String> = model.values().map(|known| known.name.clone()).collect();
    names.sort_unstable_by(|left, right| right.cmp(left));
    names.truncate(3);
    assert_eq!(by_age.into_iter().map(|user| user.name).collect::<Vec<_>>(), names);
}

/// One of what programs do, by the number of a round. Gives the users that it is about as they are afterwards.
async fn act(deploy: &Deploy, round: u32, model: &mut BTreeMap<u32, Known>) {
    let Deploy { old_db, old, new_db, new } = deploy;
    let id = round * 7 % 16;
    let name = format!("{}{}", if round.is_multiple_of(2) { "b" } else { "c" }, round % 5);
    let known = model.get(&id).cloned();
    match round % 15 {
        0 => {
            let written = first(id, &name);
            old.put(&written).await.unwrap();
            let Known { email, address, .. } = known.unwrap_or_else(|| Known::of_first(&written));
            model.insert(id, Known { email, address, ..Known::of_first(&written) });
        }
        1 => {
            let written = second(id, &name);
            new.put(&written).await.unwrap();
            model.insert(id, Known::of_second(&written));
        }
        2 => match old.update(id, |user| user.age = 77).await {
            Ok(_) => model.get_mut(&id).unwrap().age = 77,
            Err(error) => assert!(matches!(error, Error::NotFound { .. }) && known.is_none(), "{error}"),
        },
        3 => match new.update(id, |user| user.full_name.clone_from(&name)).await {
            Ok(written) => {
                // What only the default gave is written from now on.
                let known = model.get_mut(&id).unwrap();
                *known = Known { nick: known.nick.clone(), ..Known::of_second(&written) };
            }
            Err(error) => assert!(matches!(error, Error::NotFound { .. }) && known.is_none(), "{error}"),
        },
        4 => match old.replace(&first(id, &name)).await {
            Ok(_) => {
                let Known { email, address, .. } = known.unwrap();
                model.insert(id, Known { email, address, ..Known::of_first(&first(id, &name)) });
            }
            Err(error) => assert!(matches!(error, Error::NotFound { .. }) && known.is_none(), "{error}"),
        },
        5 => {
            let other = (id + 1) % 16;
            let mut batch = old_db.batch();
            batch.put(&first(id, "x")).unwrap();
            batch.put(&first(id, &name)).unwrap();
            batch.delete::<First>(other).unwrap();
            batch.put(&first(other, &name)).unwrap();
            batch.commit().await.unwrap();
            let Known { email, address, .. } = known.unwrap_or_else(|| Known::of_first(&first(id, "")));
            model.insert(id, Known { email, address, ..Known::of_first(&first(id, &name)) });
            model.insert(other, Known::of_first(&first(other, &name)));
        }
        6 => {
            let written = old_db
                .transact(async |tx| {
                    let Some(mut user) = tx.get::<First>(id).await? else { return Ok::<_, Error>(false) };
                    user.name.clone_from(&name);
                    tx.put(&user)?;
                    Ok(true)
                })
                .await
                .unwrap();
            assert_eq!(written, known.is_some());
            if let Some(known) = model.get_mut(&id) {
                let nick = known.first(id).nick;
                *known = Known { name, nick: Some(nick), ..known.clone() };
            }
        }
        7 => {
            let written = new_db
                .transact(async |tx| tx.update::<Second>(id, |user| user.email = "b3@example.org".to_owned()).await);
            match written.await {
                Ok(written) => {
                    let known = model.get_mut(&id).unwrap();
                    *known = Known { nick: known.nick.clone(), ..Known::of_second(&written) };
                }
                Err(error) => assert!(matches!(error, Error::NotFound { .. }) && known.is_none(), "{error}"),
            }
        }
        8 => {
            old.delete(id).await.unwrap();
            model.remove(&id);
        }
        9 => {
            if let Some(found) = old.get_versioned(id).await.unwrap() {
                let mut user = found.document;
                user.nick = "given".to_owned();
                old.put_if(&user, found.version).await.unwrap();
                let known = model.get_mut(&id).unwrap();
                *known = Known { nick: Some("given".to_owned()), age: user.age.into(), ..known.clone() };
            }
        }
        10 => {
            let names: Vec<u32> = model.iter().filter(|(_, known)| known.name == name).map(|(id, _)| *id).collect();
            let count = old.query().filter(First::NAME.eq(name)).update(|user| user.age = 5).await.unwrap();
            assert_eq!(count, names.len() as u64);
            for id in names {
                let known = model.get_mut(&id).unwrap();
                *known = Known { age: 5, nick: Some(known.first(id).nick), ..known.clone() };
            }
        }
        11 => {
            let query = new.query().filter(Second::EMAIL.eq("unknown"));
            query.patch(&json!({"address": "patched"})).await.unwrap();
            for known in model.values_mut().filter(|known| known.email.as_deref().unwrap_or("unknown") == "unknown") {
                known.email = Some("unknown".to_owned());
                known.address = Some("patched".to_owned());
            }
        }
        12 => {
            let written = old.upsert(id, |found| found.unwrap_or_else(|| first(id, &name))).await.unwrap();
            let Known { email, address, .. } = known.unwrap_or_else(|| Known::of_first(&written));
            model.insert(id, Known { email, address, ..Known::of_first(&written) });
        }
        13 => {
            old_db.checkpoint().await.unwrap();
        }
        _ => {
            new_db.compact().await.unwrap();
        }
    }
    // What a program of the first version updates, it writes whole.
    if matches!(round % 15, 2)
        && let Some(known) = model.get_mut(&id)
    {
        known.nick = Some(known.first(id).nick);
    }
}

#[tokio::test]
async fn a_rolling_deploy_loses_nothing_and_ends() {
    let deploy = Deploy::begin().await;
    let mut model: BTreeMap<u32, Known> =
        (0..10).map(|id| (id, Known::of_first(&first(id, &format!("a{id}"))))).collect();
    check(&deploy, &model).await;
    for round in 0..225 {
        act(&deploy, round, &mut model).await;
        if round % 6 == 5 {
            check(&deploy, &model).await;
        }
    }
    let Deploy { old_db, old, new_db, new } = deploy;
    let before = new.migration().await.unwrap();
    assert_eq!((before.accepts, before.has, before.is_finished()), (0, 0, false));
    assert_eq!(before.documents.values().sum::<u64>(), model.len() as u64);
    assert!(before.documents.contains_key(&1), "{before:?}");

    let mut last = 0;
    let done = new.finish_migration(|progress| last = progress.documents).await.unwrap();
    assert_eq!((done.documents, last), (model.len() as u64, model.len() as u64));
    assert!((before.documents[&1]..=model.len() as u64).contains(&done.rewritten), "{done:?}");
    let after = new.migration().await.unwrap();
    assert!(after.is_finished() && after.documents.keys().eq([&2]), "{after:?}");
    let expected: Vec<Second> = model.iter().map(|(id, known)| known.second(*id)).collect();
    assert_eq!(new.query().fetch().await.unwrap(), expected);
    assert_eq!(new_db.collection("users").query().filter_text("nick exists").unwrap().count().await.unwrap(), 0);

    // The old program, which is running still.
    let refused = |error: Error| {
        let text = error.to_string();
        assert!(matches!(error, Error::OutdatedSchema { version: 1, .. }), "{text}");
        assert!(text.contains("version 1") && text.contains("users") && text.contains("version 2"), "{text}");
    };
    refused(old.put(&first(3, "z")).await.unwrap_err());
    refused(old.insert(&first(1_000, "z")).await.unwrap_err());
    refused(old_db.table::<First>().await.unwrap_err());
    let mut batch = old_db.batch();
    refused(batch.put(&first(3, "z")).unwrap_err());
    refused(old_db.transact(async |tx| tx.put(&first(3, "z"))).await.unwrap_err());
    assert_eq!(new.query().fetch().await.unwrap(), expected);
    assert_eq!(new.finish_migration(|_| ()).await.unwrap().rewritten, 0, "nothing is left to be done");

    new_db.checkpoint().await.unwrap();
    let verified = new_db.verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

#[tokio::test]
async fn who_runs_already_is_refused_although_it_does_not_know_yet() {
    let driver = MemoryDriver::new();
    let (old_db, new_db) = (open(driver.clone()).await, open(driver).await);
    let old = old_db.table::<First>().await.unwrap().with_freshness(Freshness::Local);
    old.insert(&first(1, "a")).await.unwrap();
    let mut load = old.bulk_load(Duplicates::Skip).await.unwrap();
    load.add(&first(2, "b")).await.unwrap();
    new_db.refresh(Freshness::Strict).await.unwrap();
    let new = new_db.table::<Second>().await.unwrap();
    new.finish_migration(|_| ()).await.unwrap();
    let error = old.put(&first(1, "c")).await.unwrap_err();
    assert!(matches!(error, Error::OutdatedSchema { .. }), "{error}");
    let error = load.finish().await.unwrap_err();
    assert!(matches!(error, Error::OutdatedSchema { .. }), "{error}");
    assert_eq!(new.query().count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_load_of_an_old_program_replaces_nothing_that_it_does_not_know() {
    let Deploy { old, new, .. } = Deploy::begin().await;
    new.put(&second(1, "b")).await.unwrap();
    let mut load = old.bulk_load(Duplicates::Replace).await.unwrap();
    load.add(&first(1, "z")).await.unwrap();
    assert!(matches!(load.finish().await.unwrap_err(), Error::OutdatedSchema { .. }));
    let mut load = old.bulk_load(Duplicates::Skip).await.unwrap();
    for id in [1, 100] {
        load.add(&first(id, "z")).await.unwrap();
    }
    load.finish().await.unwrap();
    assert_eq!(new.get(1).await.unwrap(), Some(second(1, "b")));
    assert_eq!(new.get(100).await.unwrap().unwrap().email, "unknown");
}

#[tokio::test]
async fn programs_that_are_up_to_date_read_nothing_to_write() {
    let Deploy { old_db, old, new_db, new } = Deploy::begin().await;
    new_db.checkpoint().await.unwrap();
    let before = new_db.stats().unwrap().usage.total_requests();
    new.put(&second(3, "b")).await.unwrap();
    assert_eq!(new_db.stats().unwrap().usage.total_requests() - before, 1);
    let (again, before) = (old_db.table::<First>(), old_db.position());
    again.await.unwrap();
    assert_eq!(old_db.position(), before, "registering what is registered costs nothing");
    // The old one reads what it replaces, since it does not know all of it.
    old.put(&first(3, "c")).await.unwrap();
    assert_eq!(new.get(3).await.unwrap().unwrap().email, "b@example.org");
}

#[tokio::test]
async fn collections_see_the_newest_version_and_find_fields_by_all_their_names() {
    let Deploy { old, new_db, new, .. } = Deploy::begin().await;
    new.put(&second(20, "b")).await.unwrap();
    old.update(20, |user| user.age = 5).await.unwrap();
    let users = new_db.collection("users");
    let shown = users.get(&json!(20)).await.unwrap().unwrap();
    let expected = json!({
        "id": 20, "full_name": "b", "age": 5, "email": "b@example.org", "address": "20 Main St", "nick": "none",
    });
    assert_eq!(shown, expected);
    let shown = users.get(&json!(3)).await.unwrap().unwrap();
    assert_eq!(shown, json!({"id": 3, "full_name": "a3", "age": 3, "nick": "n3", "email": "unknown"}));
    for filter in ["name = 'a3'", "full_name = 'a3'", "id = 3 and email = 'unknown'"] {
        let found = users.query().filter_text(filter).unwrap().fetch().await.unwrap();
        assert_eq!(found, std::slice::from_ref(&shown), "{filter}");
    }
    users.update(&json!(3), |user| user["address"] = json!("here")).await.unwrap();
    assert_eq!(old.get(3).await.unwrap(), Some(first(3, "a3")));
    assert_eq!(new.get(3).await.unwrap().unwrap().address.as_deref(), Some("here"));
    let names: Vec<String> = new_db.indexes("users").unwrap().into_iter().map(|index| index.fields).collect();
    assert_eq!(names, ["full_name", "email"]);
}

#[tokio::test]
async fn the_past_is_read_as_any_version() {
    let db = in_memory().await;
    let old = db.table::<First>().await.unwrap();
    let early = old.insert(&first(1, "a")).await.unwrap().seq;
    let new = db.table::<Second>().await.unwrap();
    let late = new.put(&second(1, "b")).await.unwrap().seq;
    for seq in [early, late] {
        let past = db.at(seq).await.unwrap();
        let (name, email) = if seq == early { ("a", "unknown") } else { ("b", "b@example.org") };
        let seen = past.get::<First>(1).await.unwrap().unwrap();
        assert_eq!(seen.name, name);
        if seq == late {
            let seen = past.get::<Second>(1).await.unwrap().unwrap();
            assert_eq!((seen.full_name.as_str(), seen.email.as_str()), (name, email));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "members", version = 1)]
struct Named {
    #[document(key)]
    id: u32,
    name: String,
    #[document(unique)]
    mail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "members", version = 2)]
struct Mailed {
    #[document(key)]
    id: u32,
    name: String,
    #[document(unique, renamed_from = "mail")]
    email: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "members", version = 3, migrate_from = Mailed, with = split)]
struct Split {
    #[document(key)]
    id: u32,
    #[document(index)]
    given: String,
    family: String,
    email: String,
}

fn split(old: Mailed) -> Split {
    let (given, family) = old.name.split_once(' ').unwrap_or((&old.name, ""));
    Split { id: old.id, given: given.to_owned(), family: family.to_owned(), email: old.email.clone() }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "members", version = 4, migrate_from = Split)]
struct Counted {
    #[document(key)]
    id: u32,
    #[document(index)]
    given: String,
    family: String,
    letters: usize,
    email: String,
}

impl From<Split> for Counted {
    fn from(old: Split) -> Self {
        let letters = old.given.len() + old.family.len();
        Self { id: old.id, given: old.given, family: old.family, letters, email: old.email }
    }
}

fn named(id: u32, name: &str) -> Named {
    Named { id, name: name.to_owned(), mail: format!("m{id}") }
}

#[tokio::test]
async fn what_is_unique_stays_so_under_another_name() {
    let driver = MemoryDriver::new();
    let (old_db, new_db) = (open(driver.clone()).await, open(driver).await);
    let old = old_db.table::<Named>().await.unwrap();
    old.insert(&named(1, "a")).await.unwrap();
    old_db.checkpoint().await.unwrap();
    old.insert(&named(2, "b")).await.unwrap();
    new_db.refresh(Freshness::Strict).await.unwrap();
    let new = new_db.table::<Mailed>().await.unwrap();
    for taken in ["m1", "m2"] {
        let document = Mailed { id: 3, name: "c".into(), email: taken.into() };
        let error = new.insert(&document).await.unwrap_err();
        assert!(matches!(&error, Error::UniqueViolation { fields, .. } if fields == "email"), "{error}");
        let error = old.insert(&Named { mail: taken.into(), ..named(3, "c") }).await.unwrap_err();
        assert!(matches!(error, Error::UniqueViolation { .. }), "{error}");
    }
}

#[tokio::test]
async fn steps_lead_from_version_to_version() {
    let db = in_memory().await;
    let old = db.table::<Named>().await.unwrap();
    for (id, name) in [(1, "Ada Lovelace"), (2, "Alan Turing")] {
        old.insert(&named(id, name)).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    db.table::<Mailed>()
        .await
        .unwrap()
        .insert(&Mailed { id: 3, name: "Ada X".into(), email: "m3".into() })
        .await
        .unwrap();
    // The third version was never there: its step is gone through all the same.
    let new = db.table::<Counted>().await.unwrap();
    let ada = Counted { id: 1, given: "Ada".into(), family: "Lovelace".into(), letters: 11, email: "m1".into() };
    assert_eq!(new.get(1).await.unwrap(), Some(ada.clone()));
    let found = new.query().filter(Counted::GIVEN.eq("Ada")).fetch().await.unwrap();
    assert_eq!(found.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 3], "no index knows what the step makes");
    let ways = new.query().filter(Counted::GIVEN.eq("Ada")).explain().await.unwrap().unwrap();
    assert_eq!(ways.alternatives.len(), 0, "{ways:?}");
    let sorted = new.query().order_by(Counted::LETTERS.desc()).fetch().await.unwrap();
    assert_eq!(sorted.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 2, 3]);

    // What the new program wrote, the old one would lose.
    new.update(1, |member| member.letters = 0).await.unwrap();
    for error in [
        old.put(&named(1, "x")).await.unwrap_err(),
        old.get(1).await.unwrap_err(),
        old.update(1, |_| ()).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::OutdatedSchema { version: 1, .. }), "{error}");
    }
    // What it did not, the old one may go on with.
    old.update(2, |member| member.name = "Alan M. Turing".into()).await.unwrap();
    assert_eq!(new.get(2).await.unwrap().unwrap().family, "M. Turing");

    let error = db.finish_migration("members", |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("only a program's own step leads to version 4"), "{error}");
    assert_eq!(db.collection("members").get(&json!(2)).await.unwrap().unwrap()["name"], "Alan M. Turing");
    let error = db.collection("members").update(&json!(2), |member| member["id"] = json!(2)).await.unwrap_err();
    assert!(error.to_string().contains("only a program's own step"), "{error}");
    let done = new.finish_migration(|_| ()).await.unwrap();
    assert_eq!((done.documents, done.rewritten), (3, 2));
    let found = new.query().filter(Counted::GIVEN.eq("Ada")).by_index("given").fetch().await.unwrap();
    assert_eq!(found, [Counted { letters: 0, ..ada }, Counted { id: 3, letters: 4, ..found[1].clone() }]);
    assert_eq!(db.collection("members").get(&json!(2)).await.unwrap().unwrap()["family"], "M. Turing");
    db.checkpoint().await.unwrap();
    let verified = db.verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

#[tokio::test]
async fn a_type_without_the_step_is_told_so() {
    #[derive(Debug, Serialize, Deserialize, Document)]
    #[document(table = "members", version = 5)]
    struct Further {
        #[document(key)]
        id: u32,
        given: String,
        family: String,
        #[document(default)]
        letters: usize,
        email: String,
    }
    let db = in_memory().await;
    db.table::<Named>().await.unwrap().insert(&named(1, "Ada Lovelace")).await.unwrap();
    db.table::<Counted>().await.unwrap();
    let further = db.table::<Further>().await.unwrap();
    let error = further.get(1).await.unwrap_err();
    assert!(error.to_string().contains("only a program's own step makes it one of version 4"), "{error}");
    assert!(further.finish_migration(|_| ()).await.is_err());
}

#[tokio::test]
async fn what_cannot_follow_is_refused_with_the_name_of_the_field() {
    #[derive(Debug, Serialize, Deserialize, Document)]
    #[document(table = "users", version = 2)]
    struct Narrower {
        #[document(key)]
        id: u32,
        name: String,
        age: i8,
        nick: String,
    }
    let db = in_memory().await;
    db.table::<First>().await.unwrap();
    let before = db.position();
    let error = db.table::<Narrower>().await.unwrap_err();
    assert!(matches!(&error, Error::Schema(_)), "{error}");
    assert!(error.to_string().contains(r#"field "age" is u8 in version 1 and i8 in version 2"#), "{error}");
    assert_eq!(db.position(), before);
}

#[tokio::test]
async fn a_migration_that_was_interrupted_is_finished_by_the_next_call() {
    let driver = MemoryDriver::new();
    let db = open(driver.clone()).await;
    let old = db.table::<First>().await.unwrap();
    let mut load = old.bulk_load(Duplicates::Fail).await.unwrap();
    for id in 0..1_500 {
        load.add(&first(id, "a")).await.unwrap();
    }
    load.finish().await.unwrap();
    let new = db.table::<Second>().await.unwrap();
    {
        let mut stop = false;
        let mut finishing = std::pin::pin!(new.finish_migration(|progress| stop = progress.rewritten > 0));
        // It is dropped where it is.
        let polled = std::future::poll_fn(|context| {
            use std::future::Future;
            std::task::Poll::Ready(finishing.as_mut().poll(context).is_ready())
        });
        assert!(!polled.await);
    }
    let half = new.migration().await.unwrap();
    assert!(!half.is_finished() && half.has == 0, "{half:?}");
    let done = open(driver).await.finish_migration("users", |_| ()).await.unwrap();
    assert_eq!(done.documents, 1_500);
    db.refresh(Freshness::Strict).await.unwrap();
    let after = new.migration().await.unwrap();
    assert!(after.is_finished() && after.documents == BTreeMap::from([(2, 1_500)]), "{after:?}");
}
