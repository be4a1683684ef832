//! Creating, opening and closing.

use bucketdb::{Driver, Key, StoreCheck};

use crate::person::Person;
use crate::world::{Row, World, row};

/// Commits behind the last checkpoint of a process that was killed.
const TAIL: u64 = 20;

fn open(what: &'static str, world: &World) -> Row {
    world.run(async |process| row(what, process.cost(process.open()).await.1))
}

pub(crate) fn rows(base: &World) -> Vec<Row> {
    let killed = base.copy();
    killed.run(async |process| {
        let (_, people) = process.people().await;
        for number in 0..TAIL {
            people.put(&Person::richer(2 * number)).await.unwrap();
        }
    });
    let headless = killed.copy();
    headless.run(async |_| headless.store.delete(&Key::new("db/head").unwrap()).await.unwrap());
    let mut rows = create(base);
    rows.push(open("open after a clean close", base));
    rows.push(open("open after a process was killed that had made 20 commits", &killed));
    rows.push(open("the same, where the object `head` is lost", &headless));
    rows.extend(branch(base));
    rows.push(close(base));
    rows
}

/// In a store that nobody has tried yet, and what trying it takes of that.
fn create(base: &World) -> Vec<Row> {
    let empty = base.emptied();
    let created = empty.run(async |process| process.cost(process.open()).await.1);
    let tried = base.copy().run(async |process| {
        let db = process.open().await;
        process.cost(async { drop(db.check_store(StoreCheck::CREATION).await.unwrap()) }).await.1
    });
    vec![
        row("create a database, the trial of the store included", created),
        row("the trial of the store by itself", tried),
    ]
}

fn branch(base: &World) -> Vec<Row> {
    let world = base.copy();
    world.run(async |process| {
        let db = process.open().await;
        db.create_branch("staging").await.unwrap();
        db.close().await.unwrap();
    });
    let opened = world.run(async |process| process.cost(process.builder().branch("staging").open()).await.1);
    vec![row("open a branch", opened)]
}

fn close(base: &World) -> Row {
    base.copy().run(async |process| {
        let (db, people) = process.people().await;
        let mut batch = db.batch();
        batch.put(&Person::richer(0)).unwrap();
        batch.commit().await.unwrap();
        for number in 1..100 {
            people.put(&Person::richer(2 * number)).await.unwrap();
        }
        let (closed, cost) = process.cost(db.close()).await;
        closed.unwrap();
        row("close after 100 commits, which leaves a checkpoint", cost)
    })
}
