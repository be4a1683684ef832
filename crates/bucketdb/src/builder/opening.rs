//! From options to an open database.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_documents::{Documents, RunStoreFor};
use bucketdb_driver::{Driver, MeteredDriver};
use bucketdb_env::{Environment, TokioEnvironment};
use bucketdb_log::{Layout, Log, LogError, NodeId, OpenOptions, TimedDriver};
#[cfg(feature = "encryption")]
use bucketdb_runs::FileSealer;
use bucketdb_runs::{Cache, DiskCache, RunStore};
use parking_lot::Mutex;

use super::DatabaseBuilder;
use crate::backup::is_unfinished;
use crate::database::{Inner, MemoryBudget};
#[cfg(feature = "encryption")]
use crate::encryption::{self, CacheSealer};
use crate::home::Home;
use crate::maintenance::{self, Maintenance};
use crate::past::Past;
use crate::place::invalid;
use crate::{Database, Error, Place, Result};

/// With less, a database could not hold a record and a block.
const SMALLEST_MEMORY: u64 = 8 << 20;

/// A shorter grace would not outlast an ordinary pause of a machine.
const SHORTEST_GRACE: Duration = Duration::from_secs(30 * 60);

impl DatabaseBuilder {
    /// The store and the prefix. Asked again, it says the same.
    pub(crate) async fn place(&mut self) -> Result<(Arc<dyn Driver>, String)> {
        let (driver, prefix) = match (self.driver.take(), self.url.take()) {
            (Some(_), Some(url)) => return Err(invalid(&url, "a driver was given as well")),
            (Some(driver), None) => (driver, self.prefix.take().unwrap_or_default()),
            (None, url) => {
                let place = match url {
                    Some(url) if self.read_only || !self.create => Place::parse_existing(&url).await?,
                    Some(url) => Place::parse(&url).await?,
                    None => Place::from_env().await?,
                };
                place.with_prefix(self.prefix.as_deref())?
            }
        };
        (self.driver, self.prefix) = (Some(driver.clone()), Some(prefix.clone()));
        Ok((driver, prefix))
    }

    /// Opens the database.
    ///
    /// # Errors
    /// What is wrong with an option, the store, or what is stored.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless an [`environment`](Self::environment) was given.
    pub async fn open(self) -> Result<Database> {
        // It takes much room, which whoever waits for it need not have.
        Box::pin(self.open_here()).await
    }

    async fn open_here(mut self) -> Result<Database> {
        let node = NodeId::try_from(self.node_id)
            .map_err(|error| LogError::InvalidOption { option: "node_id", reason: error.to_string() })?;
        let ring_size = self.ring_size.map(checked_ring_size).transpose()?;
        if let Some(grace) = self.grace {
            check_grace(grace)?;
        }
        if self.max_memory < SMALLEST_MEMORY {
            let reason = format!("{} bytes are too few to work with; {SMALLEST_MEMORY} at least", self.max_memory);
            return Err(LogError::InvalidOption { option: "max_memory", reason }.into());
        }
        let (driver, prefix) = self.place().await?;
        let env = self.environment_or_default();
        let meter = MeteredDriver::shared(driver, env.clone());
        let raw: Arc<dyn Driver> = Arc::new(meter.clone());
        let home = Home::find(raw, &env, &prefix, (self.branch, self.request_timeout)).await?;
        let options = OpenOptions {
            prefix: home.layout.prefix().to_owned(),
            fork: home.layout.fork(),
            node,
            ring_size,
            grace: self.grace,
            history: self.history,
            block_bytes: self.block_size,
            tail_limits: self.tail_limits,
            read_only: self.read_only,
            create: self.create,
            thorough: self.thorough,
            creation_check: self.store_check,
            request_timeout: self.request_timeout,
            deadline: self.commit_timeout,
        };
        let metered = home.store.clone();
        let usual = MemoryBudget::of(usize::try_from(self.max_memory).unwrap_or(usize::MAX));
        let memory = self.memory.unwrap_or(usual);
        let layout = home.layout.clone();
        let options_prefix = options.prefix.clone();
        // What is asked when opening went wrong must come to an end as well.
        let unsealed = home.timed_store(&env);
        #[cfg(feature = "encryption")]
        let encryption = self.encryption.map(|keys| encryption::seal(metered.clone(), keys, env.clone(), &layout));
        #[cfg(feature = "encryption")]
        let metered = encryption.clone().map_or(metered, |driver| Arc::new(driver));
        let timed = Arc::new(TimedDriver::new(metered.clone(), env.clone(), self.request_timeout));
        let cache = self.cache.unwrap_or_else(|| Cache::new(memory.cache_bytes as u64));
        #[cfg(feature = "encryption")]
        let sealer =
            encryption.as_ref().map(|driver| -> Arc<dyn FileSealer> { Arc::new(CacheSealer(driver.sealer())) });
        #[cfg(not(feature = "encryption"))]
        let sealer = None;
        let disk = match self.cache_dir {
            Some((folder, max_bytes)) => Some(DiskCache::open(env.clone(), folder, max_bytes, sealer).await),
            None => None,
        };
        let store_for = run_stores(timed, env.clone(), layout.clone(), cache, disk);
        let documents = Documents::over_runs(store_for.clone());
        let opened = Log::open(metered, env.clone(), options, documents).await;
        #[cfg(not(feature = "encryption"))]
        let opened = opened.map_err(Error::from);
        #[cfg(feature = "encryption")]
        let opened = match opened {
            Err(error) if encryption.is_none() => Err(encryption::explain(error, &*unsealed, &layout).await),
            opened => opened.map_err(Error::from),
        };
        let log = match opened {
            Ok(log) => log,
            Err(error) if !self.restored && error.is_of_objects() && is_unfinished(&*unsealed, &layout).await => {
                return Err(Error::UnfinishedRestore { place: Place::new(Arc::new(meter), options_prefix).describe() });
            }
            Err(error) => return Err(error),
        };
        let (staleness, commit_timeout) = (self.staleness, self.commit_timeout);
        let past = Past::default();
        let maintenance =
            Maintenance::new(self.write_forward_interval, memory.overlay_bytes, self.policy, self.index_piece);
        let inner = Inner {
            log,
            meter,
            home,
            #[cfg(feature = "encryption")]
            encryption,
            staleness,
            commit_timeout,
            past,
            memory,
            maintenance,
            loads: Arc::default(),
            abandoned: Mutex::default(),
            store_for,
        };
        let inner = Arc::new(inner);
        if !self.read_only {
            env.spawn(Box::pin(maintenance::run(Arc::downgrade(&inner), env.clone())));
        }
        Ok(Database { inner })
    }
}

impl DatabaseBuilder {
    pub(crate) fn environment_or_default(&mut self) -> Arc<dyn Environment> {
        self.environment.get_or_insert_with(|| Arc::new(TokioEnvironment::new())).clone()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn has_keys(&self) -> bool {
        self.encryption.is_some()
    }

    /// Opens what was restored, which is there already, and not finished yet.
    pub(crate) async fn open_restored(self) -> Result<Database> {
        Self { create: false, restored: true, ..self }.open().await
    }
}

/// Opens the runs of the database with a given id, all through the same caches.
fn run_stores(
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    layout: Layout,
    cache: Cache,
    disk: Option<DiskCache>,
) -> RunStoreFor {
    Arc::new(move |database| {
        let store = RunStore::new(driver.clone(), env.clone(), layout.clone(), database, cache.clone());
        match &disk {
            Some(disk) => store.with_disk_cache(disk.clone()),
            None => store,
        }
    })
}

fn check_grace(grace: Duration) -> Result<(), LogError> {
    // The simulator's days are short.
    let shortest = if cfg!(feature = "simulation") { Duration::ZERO } else { SHORTEST_GRACE };
    if grace < shortest {
        let reason = format!("{grace:?} is too short for a process that stands still; {SHORTEST_GRACE:?} at least");
        return Err(LogError::InvalidOption { option: "grace", reason });
    }
    Ok(())
}

fn checked_ring_size(ring_size: u64) -> Result<u16, LogError> {
    match u16::try_from(ring_size) {
        Ok(ring_size @ 1..=256) => Ok(ring_size),
        _ => {
            let reason = format!("{ring_size} is not between 1 and 256");
            Err(LogError::InvalidOption { option: "ring_size", reason })
        }
    }
}
