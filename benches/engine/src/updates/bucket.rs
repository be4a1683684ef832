use anyhow::{Result, ensure};
use bucketdb::{Database, Duplicates, Freshness, MemoryDriver, MeteredDriver, Operation, TokioEnvironment, Usage};

use super::{GRACE, Shape, Updated, Used};
use crate::document::{Maker, Person};

pub struct Bucket {
    store: MemoryDriver,
    meter: MeteredDriver,
    db: Database,
}

fn used(usage: &Usage) -> Used {
    Used {
        puts: usage.requests(Operation::Put),
        put_bytes: usage.of(Operation::Put).bytes,
        gets: usage.requests(Operation::Get),
        get_bytes: usage.of(Operation::Get).bytes,
    }
}

impl Updated for Bucket {
    async fn load(documents: u64) -> Result<Self> {
        let store = MemoryDriver::new();
        let meter = MeteredDriver::new(store.clone(), TokioEnvironment::new());
        let builder = Database::builder().driver(meter.clone()).grace(GRACE).history(std::time::Duration::ZERO);
        let db = builder.open().await?;
        let mut maker = Maker::new();
        let mut load = db.table::<Person>().await?.bulk_load(Duplicates::Fail).await?;
        for id in 0..documents {
            load.add(maker.person(id, 0)).await?;
        }
        load.finish().await?;
        db.checkpoint().await?;
        Ok(Self { store, meter, db })
    }

    async fn write(&self, people: Vec<Person>) -> Result<()> {
        let mut changes = self.db.batch();
        for person in &people {
            changes.put(person)?;
        }
        changes.commit().await?;
        Ok(())
    }

    fn used(&self) -> Used {
        used(&self.meter.usage())
    }

    async fn shape(&self) -> Result<Shape> {
        let tiers = self.db.stats()?.tiers;
        Ok(Shape {
            tiers: tiers.len() as u64,
            runs: tiers.iter().map(|tier| tier.runs).sum(),
            bytes: tiers.iter().map(|tier| tier.size_bytes).sum(),
        })
    }

    async fn stored(&self) -> Result<(u64, u64)> {
        let size = self.db.storage_size().await?;
        Ok((size.objects, size.bytes.unwrap_or_default()))
    }

    async fn cold_gets(&self, expected: &[Person]) -> Result<u64> {
        let meter = MeteredDriver::new(self.store.clone(), TokioEnvironment::new());
        let db = Database::builder().driver(meter.clone()).read_only(true).open().await?;
        let people = db.table::<Person>().await?.with_freshness(Freshness::Local);
        let before = meter.usage();
        for person in expected {
            let found = people.get(person.id).await?;
            ensure!(found.as_ref() == Some(person), "document {} is another one", person.id);
        }
        let gets = (meter.usage() - before).requests(Operation::Get);
        db.close().await?;
        Ok(gets)
    }

    async fn compact(&self) -> Result<()> {
        self.db.compact().await?;
        Ok(())
    }

    async fn collect_garbage(&self) -> Result<()> {
        self.db.checkpoint().await?;
        self.db.collect_garbage().await?;
        Ok(())
    }

    async fn close(self) -> Result<()> {
        Ok(self.db.close().await?)
    }
}
