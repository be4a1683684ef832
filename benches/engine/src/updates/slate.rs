use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use slatedb::admin::{Admin, AdminBuilder};
use slatedb::compactor::{CompactionSpec, SourceId};
use slatedb::config::{
    CompactionWorkerOptions, CompactorOptions, CompressionCodec, DbReaderOptions, FlushOptions, FlushType,
    GarbageCollectorDirectoryOptions, GarbageCollectorOptions, Settings,
};
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::{DbReader, DbReaderMode};

use super::counted::Counted;
use super::{GRACE, Shape, Updated, Used};
use crate::document::Person;
use crate::engine::Engine;

/// What BucketDB may use by default.
const CACHE_BYTES: u64 = 100 << 20;

const CODEC: Option<CompressionCodec> = Some(CompressionCodec::Lz4);

/// The longest that a compaction may take.
const PATIENCE: Duration = Duration::from_secs(900);

pub struct Slate {
    store: Arc<InMemory>,
    counted: Counted,
    slate: crate::slate::Slate,
    admin: Admin,
}

fn garbage() -> GarbageCollectorOptions {
    let options = Some(GarbageCollectorDirectoryOptions {
        interval: Some(GRACE),
        min_age: GRACE,
        ..GarbageCollectorDirectoryOptions::default()
    });
    GarbageCollectorOptions {
        manifest_options: options,
        wal_options: options,
        compacted_options: options,
        compactions_options: options,
        ..GarbageCollectorOptions::default()
    }
}

/// Defaults but for the codec, and how soon superfluous objects go.
fn with_codec(settings: Settings) -> Settings {
    let worker = CompactionWorkerOptions { compression_codec: CODEC, ..CompactionWorkerOptions::default() };
    let compactor = CompactorOptions {
        worker: Some(worker),
        checkpoint_lifetime: GRACE,
        ..settings.compactor_options.clone().unwrap_or_default()
    };
    Settings {
        compression_codec: CODEC,
        compactor_options: Some(compactor),
        garbage_collector_options: Some(garbage()),
        ..settings
    }
}

impl Updated for Slate {
    async fn load(documents: u64) -> Result<Self> {
        let store = Arc::new(InMemory::new());
        let counted = Counted::new(store.clone());
        let shared = counted.shared();
        let settings = with_codec(engine_bench::slate_settings::load_settings(256 << 20));
        let loading = crate::slate::Slate::open(shared.clone(), CACHE_BYTES, settings).await?;
        loading.load(documents).await?;
        loading.db.close().await?;
        let slate = crate::slate::Slate::open(shared.clone(), CACHE_BYTES, with_codec(Settings::default())).await?;
        let loaded = Self { store, counted, slate, admin: AdminBuilder::new("db", shared).build() };
        loaded.compact().await?;
        Ok(loaded)
    }

    async fn write(&self, people: Vec<Person>) -> Result<()> {
        self.slate.put(people).await
    }

    fn used(&self) -> Used {
        self.counted.used()
    }

    async fn shape(&self) -> Result<Shape> {
        self.slate.db.refresh_manifest().await?;
        let (tiers, runs, bytes) = self.slate.shape();
        Ok(Shape { tiers, runs, bytes })
    }

    async fn stored(&self) -> Result<(u64, u64)> {
        let objects: Vec<_> = self.store.list(None).try_collect().await?;
        Ok((objects.len() as u64, objects.iter().map(|object| object.size).sum()))
    }

    async fn cold_gets(&self, expected: &[Person]) -> Result<u64> {
        let counted = Counted::new(self.store.clone());
        let cache = FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: CACHE_BYTES, ..Default::default() });
        // It asks for nothing new while it reads.
        let options = DbReaderOptions { manifest_poll_interval: Duration::from_secs(3600), ..Default::default() };
        let reader = DbReader::builder("db", counted.shared())
            .with_reader_mode(DbReaderMode::FollowLatest)
            .with_options(options)
            .with_db_cache(Arc::new(cache), 0)
            .build()
            .await?;
        let before = counted.used();
        for person in expected {
            let found = reader.get(person.id.to_be_bytes()).await?.map(|bytes| Person::decode(&bytes));
            ensure!(found.as_ref() == Some(person), "document {} is another one", person.id);
        }
        let gets = (counted.used() - before).gets;
        reader.close().await?;
        Ok(gets)
    }

    async fn compact(&self) -> Result<()> {
        let db = &self.slate.db;
        db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await?;
        let started = std::time::Instant::now();
        loop {
            self.slate.settle().await?;
            let manifest = db.manifest();
            let (tables, runs) = (manifest.l0(), manifest.compacted());
            if tables.is_empty() && runs.len() <= 1 {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "SlateDB has {} tables and {} runs left", tables.len(), runs.len());
            // Newest first, into the oldest run.
            let of_tables = tables.iter().map(|table| SourceId::SstView(table.id));
            let sources = of_tables.chain(runs.iter().map(|run| SourceId::SortedRun(run.id))).collect();
            let destination = runs.iter().map(|run| run.id).min().unwrap_or_default();
            self.admin.submit_compaction(CompactionSpec::new(sources, destination)).await?;
        }
    }

    async fn collect_garbage(&self) -> Result<()> {
        Ok(self.admin.run_gc_once(garbage()).await?)
    }

    async fn close(self) -> Result<()> {
        Ok(self.slate.db.close().await?)
    }
}
