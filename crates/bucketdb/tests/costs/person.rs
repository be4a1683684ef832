//! The documents, and the database that has them.

use bucketdb::{Document, Duplicates};
use serde::{Deserialize, Serialize};

use crate::environment::mixed;
use crate::world::{Row, World, row};

/// How many there are. Their ids are even: those in between are absent, and lie where others are.
pub(crate) const PEOPLE: u64 = 40_000;

/// Documents with the same postcode.
pub(crate) const NEIGHBOURS: u64 = 10;

/// A document whose greater part does not compress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people", index(postcode))]
pub(crate) struct Person {
    #[document(key)]
    pub(crate) id: u64,
    name: String,
    email: String,
    city: String,
    pub(crate) postcode: u64,
    pub(crate) balance_cents: i64,
    note: String,
}

impl Person {
    pub(crate) fn new(id: u64) -> Self {
        let hex = |salt: u64| format!("{:016x}", mixed(id * 8 + salt));
        Self {
            id,
            name: format!("Chiara {}", hex(1)),
            email: format!("{}@example.org", hex(2)),
            city: "Lugano".to_owned(),
            postcode: postcode(id),
            balance_cents: id as i64 * 17,
            note: format!("{}{}{}", hex(3), hex(4), hex(5)),
        }
    }

    /// The same, changed.
    pub(crate) fn richer(id: u64) -> Self {
        let person = Self::new(id);
        Self { balance_cents: person.balance_cents + 1, ..person }
    }
}

/// Those who have the same are far from each other.
fn postcode(id: u64) -> u64 {
    (id / 2) % (PEOPLE / NEIGHBOURS)
}

/// A database with all of them in one tier of sorted runs, closed, and what the load cost.
pub(crate) fn loaded(world: &World) -> (Row, World) {
    let load = world.run(async |process| {
        let (db, people) = process.people().await;
        let ((), load) = process
            .cost(async {
                let mut load = people.bulk_load(Duplicates::Fail).await.unwrap();
                for number in 0..PEOPLE {
                    load.add(&Person::new(2 * number)).await.unwrap();
                }
                load.finish().await.unwrap();
            })
            .await;
        db.build_indexes().await.unwrap();
        db.compact().await.unwrap();
        db.close().await.unwrap();
        load
    });
    (row("bulk load of 40,000 documents with an index", load), world.copy())
}
