//! A deploy of a version to which a step of the program's leads, while programs of the version before run.

use std::collections::BTreeMap;

use bucketdb::{Database, Document, Error, Freshness, MemoryDriver, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::on;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "members", version = 1)]
struct Old {
    #[document(key)]
    id: u32,
    name: String,
    #[document(unique)]
    mail: String,
    note: Option<String>,
    visits: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(
    table = "members",
    version = 2,
    migrate_from = Old,
    with = |old| {
        let (given, family) = old.name.split_once(' ').unwrap_or((&old.name, ""));
        let (given, family) = (given.to_owned(), family.to_owned());
        New { id: old.id, given, family, mail: old.mail, note: old.note, days: vec![old.visits] }
    }
)]
struct New {
    #[document(key)]
    id: u32,
    #[document(index)]
    given: String,
    family: String,
    #[document(unique)]
    mail: String,
    note: Option<String>,
    /// In another form than before.
    days: Vec<u32>,
}

/// What each member was last written as.
#[derive(Clone, Debug)]
enum Member {
    Old(Old),
    New(New),
}

type Model = BTreeMap<u32, Member>;

fn old(id: u32, round: u32) -> Old {
    let note = round.is_multiple_of(3).then(|| format!("note {round}"));
    Old { id, name: format!("Ada{} Family{round}", round % 4), mail: format!("m{id}"), note, visits: round }
}

fn new(id: u32, round: u32) -> New {
    let (given, family) = (format!("Alan{}", round % 4), format!("Family{round}"));
    New { id, given, family, mail: format!("m{id}"), note: Some(format!("new {round}")), days: vec![round, id] }
}

impl Member {
    /// As the new program sees it: the step, by hand.
    fn seen(&self) -> New {
        match self {
            Self::New(member) => member.clone(),
            Self::Old(Old { id, name, mail, note, visits }) => {
                let (given, family) = name.split_once(' ').unwrap();
                let (given, family) = (given.to_owned(), family.to_owned());
                New { id: *id, given, family, mail: mail.clone(), note: note.clone(), days: vec![*visits] }
            }
        }
    }

    fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

async fn open(driver: &MemoryDriver) -> Database {
    on(driver.clone()).staleness(std::time::Duration::ZERO).open().await.unwrap()
}

fn is_outdated<T>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::OutdatedSchema { version: 1, .. }))
}

/// One of what either program does, by the number of a round.
async fn act(before: &Table<Old>, after: &Table<New>, round: u32, model: &mut Model) {
    let id = round * 7 % 16;
    let known = model.get(&id).cloned();
    let knows_all = known.as_ref().is_none_or(|member| !member.is_new());
    match round % 7 {
        0 | 1 => {
            // It replaces what it knows, and nothing else.
            let outcome = before.put(&old(id, round)).await;
            assert_eq!(is_outdated(outcome), !knows_all, "{known:?}");
            if knows_all {
                model.insert(id, Member::Old(old(id, round)));
            }
        }
        2 => {
            let outcome = before.update(id, |member| member.visits += 1).await;
            match known {
                None => assert!(matches!(outcome, Err(Error::NotFound { .. }))),
                Some(Member::New(_)) => assert!(is_outdated(outcome)),
                Some(Member::Old(member)) => {
                    let visits = member.visits + 1;
                    assert_eq!(outcome.unwrap(), Old { visits, ..member.clone() });
                    model.insert(id, Member::Old(Old { visits, ..member }));
                }
            }
        }
        3 => {
            after.put(&new(id, round)).await.unwrap();
            model.insert(id, Member::New(new(id, round)));
        }
        4 => match (after.update(id, |member| member.days.push(round)).await, known) {
            (Ok(written), Some(member)) => {
                let mut seen = member.seen();
                seen.days.push(round);
                assert_eq!(written, seen);
                model.insert(id, Member::New(seen));
            }
            (outcome, known) => assert!(matches!(outcome, Err(Error::NotFound { .. })) && known.is_none()),
        },
        5 => {
            let by_old = knows_all && round.is_multiple_of(2);
            if by_old {
                before.delete(id).await.unwrap()
            } else {
                after.delete(id).await.unwrap()
            };
            model.remove(&id);
        }
        _ => {
            let mail = format!("m{}", (id + 1) % 16);
            let is_taken = model.contains_key(&((id + 1) % 16));
            let outcome = after.insert(&New { mail, ..new(100 + id, round) }).await;
            match is_taken {
                true => assert!(matches!(outcome, Err(Error::UniqueViolation { .. }))),
                false => {
                    outcome.unwrap();
                    after.delete(100 + id).await.unwrap();
                }
            }
        }
    }
}

async fn check(before: &Table<Old>, after: &Table<New>, model: &Model) {
    let expected: Vec<New> = model.values().map(Member::seen).collect();
    assert_eq!(after.query().fetch().await.unwrap(), expected);
    for given in ["Ada1", "Alan2"] {
        let found = after.query().filter(New::GIVEN.eq(given)).fetch().await.unwrap();
        assert_eq!(found, expected.iter().filter(|member| member.given == given).cloned().collect::<Vec<_>>());
    }
    for (id, member) in model {
        match (before.get(*id).await, member) {
            (Ok(seen), Member::Old(member)) => assert_eq!(seen.as_ref(), Some(member)),
            (outcome, member) => assert!(is_outdated(outcome) && member.is_new(), "{member:?}"),
        }
    }
}

#[tokio::test]
async fn a_rolling_deploy_with_a_step_loses_nothing_and_ends() {
    let driver = MemoryDriver::new();
    let (old_db, new_db) = (open(&driver).await, open(&driver).await);
    let before = old_db.table::<Old>().await.unwrap();
    let mut model = Model::new();
    for id in 0..12 {
        before.insert(&old(id, id)).await.unwrap();
        model.insert(id, Member::Old(old(id, id)));
    }
    old_db.checkpoint().await.unwrap();
    new_db.refresh(Freshness::Strict).await.unwrap();
    let after = new_db.table::<New>().await.unwrap();
    check(&before, &after, &model).await;
    for round in 0..150 {
        act(&before, &after, round, &mut model).await;
        match round % 30 {
            13 => old_db.checkpoint().await.unwrap(),
            27 => {
                new_db.compact().await.unwrap();
            }
            _ => {}
        }
        if round % 5 == 4 {
            check(&before, &after, &model).await;
        }
    }
    let count = |is_new: bool| model.values().filter(|member| member.is_new() == is_new).count() as u64;
    assert!(count(true) > 2 && count(false) > 2, "{model:?}");
    let migration = after.migration().await.unwrap();
    assert_eq!((migration.is_finished(), migration.accepts), (false, 0));
    assert_eq!(migration.documents, BTreeMap::from([(1, count(false)), (2, count(true))]));

    // A program without the step cannot end it, as long as there is a document for which it takes the step.
    let error = old_db.finish_migration("members", |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("only a program's own step leads to version 2"), "{error}");
    let done = after.finish_migration(|_| ()).await.unwrap();
    assert_eq!((done.documents, done.rewritten), (model.len() as u64, count(false)));
    let expected: Vec<New> = model.values().map(Member::seen).collect();
    assert_eq!(after.query().fetch().await.unwrap(), expected);
    let migration = after.migration().await.unwrap();
    assert!(migration.is_finished() && migration.documents.keys().eq([&2]), "{migration:?}");
    // Anybody can read them now, and the index has them.
    let member = new_db.collection("members").get(&json!(expected[0].id)).await.unwrap().unwrap();
    assert_eq!(member, serde_json::to_value(&expected[0]).unwrap());
    new_db.build_indexes().await.unwrap();
    let found =
        after.query().filter(New::GIVEN.eq(expected[0].given.as_str())).by_index("given").fetch().await.unwrap();
    assert!(found.contains(&expected[0]));

    // The old program runs still, and is refused whatever it does; so is one that starts.
    assert!(is_outdated(before.put(&old(1, 1)).await));
    assert!(is_outdated(before.insert(&old(1_000, 1)).await));
    assert!(is_outdated(before.update(expected[0].id, |member| member.visits = 0).await));
    assert!(is_outdated(before.get(expected[0].id).await));
    assert!(is_outdated(old_db.transact(async |tx| tx.put(&old(1, 1))).await));
    assert!(is_outdated(open(&driver).await.table::<Old>().await));
    assert_eq!(after.query().fetch().await.unwrap(), expected);
    new_db.checkpoint().await.unwrap();
    let verified = new_db.verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

#[tokio::test]
async fn where_no_document_takes_the_step_any_program_ends_the_migration() {
    let driver = MemoryDriver::new();
    let (old_db, new_db) = (open(&driver).await, open(&driver).await);
    let before = old_db.table::<Old>().await.unwrap();
    before.insert(&old(1, 1)).await.unwrap();
    let after = new_db.table::<New>().await.unwrap();
    after.insert(&new(2, 2)).await.unwrap();
    let error = new_db.finish_migration("members", |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("only a program's own step leads to version 2"), "{error}");
    before.insert(&old(3, 3)).await.unwrap();
    for id in [1, 3] {
        before.delete(id).await.unwrap();
    }
    new_db.refresh(Freshness::Strict).await.unwrap();
    assert!(!new_db.migration("members").await.unwrap().is_finished());
    assert_eq!(new_db.finish_migration("members", |_| ()).await.unwrap().rewritten, 0);
    assert!(new_db.migration("members").await.unwrap().is_finished());
    assert!(is_outdated(before.insert(&old(4, 4)).await));
    assert_eq!(after.query().fetch().await.unwrap(), [new(2, 2)]);
}
