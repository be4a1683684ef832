//! Writing.

use futures::future::join_all;

use crate::person::{PEOPLE, Person};
use crate::world::{Process, Row, World, row};

/// An id that nobody has yet.
const NEW: u64 = 2 * PEOPLE + 10;

pub(crate) fn rows(base: &World) -> Vec<Row> {
    let alone = |what, work: fn(Process) -> futures::future::BoxFuture<'static, crate::world::Cost>| {
        row(what, base.copy().run(async |process| work(process).await))
    };
    vec![
        alone("put one document", |process| {
            Box::pin(async move {
                let (_, people) = process.people().await;
                let (put, cost) = process.cost(people.put(&Person::new(NEW))).await;
                put.unwrap();
                cost
            })
        }),
        alone("insert one document, cold: whether there is one is looked up", |process| {
            Box::pin(async move {
                let (_, people) = process.people().await;
                let (inserted, cost) = process.cost(people.insert(&Person::new(PEOPLE + 1))).await;
                inserted.unwrap();
                cost
            })
        }),
        alone("update one document, warm", |process| {
            Box::pin(async move {
                let (_, people) = process.people().await;
                people.get(PEOPLE).await.unwrap().unwrap();
                let (updated, cost) = process.cost(people.update(PEOPLE, |person| person.balance_cents += 1)).await;
                assert_eq!(updated.unwrap(), Person::richer(PEOPLE));
                cost
            })
        }),
        alone("a transaction that reads two documents and writes both, warm", |process| {
            Box::pin(async move {
                let (db, people) = process.people().await;
                for id in [0, PEOPLE] {
                    people.get(id).await.unwrap().unwrap();
                }
                let transfer = db.transact(async |tx| {
                    for (id, cents) in [(0, -5), (PEOPLE, 5)] {
                        let mut person: Person = tx.get(id).await?.unwrap();
                        person.balance_cents += cents;
                        tx.put(&person)?;
                    }
                    Ok::<_, bucketdb::Error>(())
                });
                let (transferred, cost) = process.cost(transfer).await;
                transferred.unwrap();
                cost
            })
        }),
        alone("a batch of 1,000 documents", |process| {
            Box::pin(async move {
                let (db, _) = process.people().await;
                let mut batch = db.batch();
                for number in 0..1_000 {
                    batch.put(&Person::new(NEW + 2 * number)).unwrap();
                }
                let (committed, cost) = process.cost(batch.commit()).await;
                committed.unwrap();
                cost
            })
        }),
        alone("100 documents put at the same time, each by itself", |process| {
            Box::pin(async move {
                let (_, people) = process.people().await;
                let people = &people;
                let puts = (0..100).map(async |number| people.put(&Person::new(NEW + 2 * number)).await.unwrap());
                process.cost(join_all(puts)).await.1
            })
        }),
        alone("100 documents put one after the other", |process| {
            Box::pin(async move {
                let (_, people) = process.people().await;
                let puts = async {
                    for number in 0..100 {
                        people.put(&Person::new(NEW + 2 * number)).await.unwrap();
                    }
                };
                process.cost(puts).await.1
            })
        }),
        alone("delete 10 documents far from each other that a query finds by an index, cold", |process| {
            Box::pin(async move {
                let (_, people) = process.people().await;
                let query = people.query().filter_text("postcode = 1711").unwrap().by_index("postcode");
                let (deleted, cost) = process.cost(query.delete()).await;
                deleted.unwrap();
                cost
            })
        }),
    ]
}
