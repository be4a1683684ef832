use std::ops::Range;
use std::sync::Arc;

use bucketdb_driver::{Driver, DriverError, Key};
use bucketdb_env::{Environment, Random};
use bucketdb_log::format::Checksums;
use bucketdb_log::{DatabaseId, Layout, Seq, retry};
use bytes::Bytes;

use crate::flights::Flights;
use crate::{Cache, DiskCache, Result, Run, RunError, RunMeta, RunName, RunOptions, RunWriter};

/// Where the runs of one database are. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub struct RunStore {
    inner: Arc<Inner>,
    create_only: bool,
}

#[derive(Debug)]
struct Inner {
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    layout: Layout,
    checksums: Checksums,
    cache: Cache,
    disk: Option<DiskCache>,
    flights: Flights,
}

impl RunStore {
    /// The runs of `database`, which is at `layout` of the store that `driver` reaches. What is read is kept in `cache`.
    #[must_use]
    pub fn new(
        driver: Arc<dyn Driver>,
        env: Arc<dyn Environment>,
        layout: Layout,
        database: DatabaseId,
        cache: Cache,
    ) -> Self {
        let checksums = Checksums::new(database);
        Self {
            inner: Arc::new(Inner { driver, env, layout, checksums, cache, disk: None, flights: Flights::default() }),
            create_only: false,
        }
    }

    /// As one for a store that is known to honour create-only: then no run is ever overwritten.
    #[must_use]
    pub fn create_only(self) -> Self {
        Self { create_only: true, ..self }
    }

    pub(crate) fn is_create_only(&self) -> bool {
        self.create_only
    }

    /// The same runs, of which what is read is kept in `disk` as well.
    #[must_use]
    pub fn with_disk_cache(&self, disk: DiskCache) -> Self {
        let Inner { driver, env, layout, checksums, cache, flights, disk: _ } = &*self.inner;
        let (driver, env, layout, checksums) = (driver.clone(), env.clone(), layout.clone(), checksums.clone());
        let (cache, flights, disk) = (cache.clone(), flights.clone(), Some(disk));
        let inner = Arc::new(Inner { driver, env, layout, checksums, cache, disk, flights });
        Self { inner, create_only: self.create_only }
    }

    /// A run for reading. Nothing is asked of the store before something is read.
    #[must_use]
    pub fn open(&self, meta: Arc<RunMeta>) -> Run {
        Run::new(self.clone(), meta)
    }

    /// A writer for a new run with a name that no other has. `begun_at` is the last position of the log that the caller
    /// knows now.
    #[must_use]
    pub fn writer(&self, begun_at: Seq, options: RunOptions) -> RunWriter {
        let name = RunName { begun_at, id: u128::from_be_bytes(self.inner.env.random_128()) };
        RunWriter::new(self.clone(), name, options)
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.inner.driver
    }

    pub(crate) fn env(&self) -> &Arc<dyn Environment> {
        &self.inner.env
    }

    pub(crate) fn checksums(&self) -> &Checksums {
        &self.inner.checksums
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.inner.flights
    }

    /// The full key of the object of a run.
    pub(crate) fn key(&self, name: &str) -> Key {
        #[expect(clippy::expect_used, reason = "the prefix was checked and leaves room for every name of this layout")]
        Key::new(format!("{}{name}", self.inner.layout.prefix())).expect("names below a checked prefix are valid keys")
    }

    /// The bytes of a run that lie in `range`, all of them. Everything that is read of a run but by
    /// [`verify`](Self::verify) is read here.
    pub(crate) async fn read(&self, run: &Run, range: Range<u64>) -> Result<Bytes> {
        let (key, name) = (run.object(), run.meta().name);
        if let Some(disk) = &self.inner.disk
            && let Some(bytes) = disk.get(name, &self.inner.checksums, range.clone()).await
        {
            return Ok(bytes);
        }
        let read = retry(&*self.inner.env, || self.inner.driver.get_range(key, range.clone()));
        let object = read.await.map_err(|error: DriverError| RunError::of_read(key.as_str(), error))?;
        if object.body.len() as u64 != range.end.saturating_sub(range.start) {
            return Err(RunError::damaged(key.as_str(), "it is shorter than it was written"));
        }
        if let Some(disk) = &self.inner.disk {
            disk.insert(name, &self.inner.checksums, range.start, &object.body);
        }
        Ok(object.body)
    }

    /// Completes when everything that was read before is in the cache on disk, if there is one.
    pub async fn flush_disk_cache(&self) {
        if let Some(disk) = &self.inner.disk {
            disk.flush().await;
        }
    }

    /// Keeps nothing of a run on disk that is there now.
    pub(crate) fn forget(&self, run: &Run) {
        if let Some(disk) = &self.inner.disk {
            disk.forget(run.meta().name, &self.inner.checksums);
        }
    }
}
