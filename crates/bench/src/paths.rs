use anyhow::{Result, ensure};
use bucketdb::{Database, Duplicates, Freshness, MemoryDriver, Table};
use futures::TryStreamExt;
use tokio::runtime::Runtime;

use crate::environment::Repeatable;
use crate::measured_operations;
use crate::person::Person;

/// How many documents there are.
const DOCUMENTS: u64 = 20_000;

/// Something that is done many times over.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    /// Prepares and does it; gives how many operations it was.
    pub(crate) run: fn(&Runtime) -> Result<u64>,
}

pub(crate) const PATHS: &[Path] = &[
    Path { name: "read a document by its key, typed", run: point_reads },
    Path { name: "read a recent document by its key, typed", run: recent_reads },
    Path { name: "ask for a key that does not exist", run: absent_reads },
    Path { name: "read all documents, typed, a document", run: typed_scan },
    Path { name: "count with a condition on a number, a document", run: filtered_count },
    Path { name: "sum by group, a document", run: sum_by_group },
    Path { name: "find twenty documents by an index, typed, a query", run: index_query },
    Path { name: "put a document", run: commits },
    Path { name: "put a thousand documents in a batch, a document", run: batch },
    Path { name: "bulk load with an index, a document", run: bulk_load },
    Path { name: "merge a tenth into the rest, a document", run: merge },
    Path { name: "open, and read the first document", run: openings },
];

/// A database whose documents are in a sorted run.
async fn loaded(store: MemoryDriver, documents: &[Person]) -> Result<(Database, Table<Person>)> {
    let db = Database::builder().driver(store).environment(Repeatable::new()).open().await?;
    let people = db.table::<Person>().await?.with_freshness(Freshness::Local);
    let mut load = people.bulk_load(Duplicates::Fail).await?;
    for person in documents {
        load.add(person).await?;
    }
    load.finish().await?;
    db.build_indexes().await?;
    db.compact().await?;
    Ok((db, people))
}

/// Documents of that revision.
fn documents(ids: impl IntoIterator<Item = u64>, revision: u64) -> Vec<Person> {
    ids.into_iter().map(|id| Person::new(id, revision)).collect()
}

/// The same, with everything in memory.
async fn warm() -> Result<(Database, Table<Person>)> {
    let (db, people) = loaded(MemoryDriver::new(), &documents(0..DOCUMENTS, 0)).await?;
    for _ in 0..3 {
        ensure!(people.query().fetch().await?.len() as u64 == DOCUMENTS, "documents are missing");
    }
    Ok((db, people))
}

fn ids(count: usize) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u64(..DOCUMENTS)).take(count).collect()
}

fn point_reads(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    let ids = ids(5_000);
    measured_operations(runtime, read_all(&people, &ids))
}

fn recent_reads(runtime: &Runtime) -> Result<u64> {
    let (db, people) = runtime.block_on(warm())?;
    let ids = ids(1_000);
    runtime.block_on(put_all(&db, &documents(ids.iter().copied(), 1)))?;
    measured_operations(runtime, read_all(&people, &ids))
}

async fn read_all(people: &Table<Person>, ids: &[u64]) -> Result<u64> {
    for id in ids {
        ensure!(people.get(*id).await?.is_some_and(|person| person.id == *id), "document {id} is missing");
    }
    Ok(ids.len() as u64)
}

async fn put_all(db: &Database, documents: &[Person]) -> Result<()> {
    let mut batch = db.batch();
    documents.iter().try_for_each(|person| batch.put(person).map(drop))?;
    batch.commit().await?;
    Ok(())
}

fn absent_reads(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    measured_operations(runtime, async {
        for id in DOCUMENTS..DOCUMENTS + 5_000 {
            ensure!(people.get(id).await?.is_none(), "document {id} is there");
        }
        Ok(5_000)
    })
}

fn typed_scan(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    measured_operations(runtime, async {
        let (mut count, mut all) = (0, std::pin::pin!(people.query().stream().await?));
        while let Some(person) = all.try_next().await? {
            count += u64::from(person.id < DOCUMENTS);
        }
        ensure!(count == DOCUMENTS, "{count} documents");
        Ok(count)
    })
}

fn filtered_count(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    measured_operations(runtime, async {
        let found = people.query().filter(Person::BALANCE_CENTS.lt(1_000_000)).count().await?;
        ensure!((1_800..2_200).contains(&found), "{found} documents");
        Ok(DOCUMENTS)
    })
}

fn sum_by_group(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    measured_operations(runtime, async {
        let groups = people.query().group_by(Person::IS_ACTIVE).aggregate(Person::BALANCE_CENTS.sum()).await?;
        ensure!(groups.len() == 2, "{} groups", groups.len());
        Ok(DOCUMENTS)
    })
}

fn index_query(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    let cities = |from: u32| people.query().filter(Person::CITY.eq(from)).by_index("city").fetch();
    // What is known of the index is in memory then.
    runtime.block_on(cities(500))?;
    measured_operations(runtime, async {
        let mut found = 0;
        for city in 0..200 {
            found += cities(city).await?.len();
        }
        ensure!((3_500..4_500).contains(&found), "{found} documents");
        Ok(200)
    })
}

fn commits(runtime: &Runtime) -> Result<u64> {
    let (_db, people) = runtime.block_on(warm())?;
    let documents = documents(ids(200), 2);
    measured_operations(runtime, async {
        for person in &documents {
            people.put(person).await?;
        }
        Ok(200)
    })
}

fn batch(runtime: &Runtime) -> Result<u64> {
    let (db, _people) = runtime.block_on(warm())?;
    let documents = documents(ids(1_000), 1);
    measured_operations(runtime, put_all(&db, &documents))?;
    Ok(1_000)
}

fn bulk_load(runtime: &Runtime) -> Result<u64> {
    let documents = documents(0..DOCUMENTS, 0);
    measured_operations(runtime, loaded(MemoryDriver::new(), &documents))?;
    Ok(DOCUMENTS)
}

fn merge(runtime: &Runtime) -> Result<u64> {
    let (db, _people) = runtime.block_on(warm())?;
    let documents = documents((0..DOCUMENTS).step_by(10), 1);
    runtime.block_on(async {
        put_all(&db, &documents).await?;
        anyhow::Ok(db.checkpoint().await?)
    })?;
    measured_operations(runtime, db.compact())?;
    Ok(DOCUMENTS)
}

fn openings(runtime: &Runtime) -> Result<u64> {
    let store = MemoryDriver::new();
    let (db, _people) = runtime.block_on(loaded(store.clone(), &documents(0..DOCUMENTS, 0)))?;
    runtime.block_on(db.close())?;
    measured_operations(runtime, async {
        for id in 0..20 {
            let db = Database::builder().driver(store.clone()).environment(Repeatable::new()).open().await?;
            let people = db.table::<Person>().await?;
            ensure!(people.get(id).await?.is_some(), "document {id} is missing");
            db.close().await?;
        }
        Ok(20)
    })
}
