mod opening;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::Driver;
#[cfg(feature = "encryption")]
use bucketdb_encryption::EncryptionKeys;
use bucketdb_env::Environment;
use bucketdb_log::{OpenOptions, StoreCheck, TailLimits};
use bucketdb_lsm::Policy;
use bucketdb_runs::Cache;

use crate::database::MemoryBudget;
use crate::index_build::IndexPiece;

/// Options for opening a database. Every one has a default that needs no thought.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is opened"]
pub struct DatabaseBuilder {
    driver: Option<Arc<dyn Driver>>,
    url: Option<String>,
    prefix: Option<String>,
    /// The names on the way to a branch; none for the database itself.
    pub(crate) branch: Vec<String>,
    node_id: u64,
    ring_size: Option<u64>,
    pub(crate) grace: Option<Duration>,
    staleness: Duration,
    pub(crate) commit_timeout: Duration,
    pub(crate) request_timeout: Duration,
    read_only: bool,
    create: bool,
    thorough: bool,
    store_check: StoreCheck,
    max_memory: u64,
    cache: Option<Cache>,
    cache_dir: Option<(PathBuf, u64)>,
    #[cfg(feature = "encryption")]
    pub(crate) encryption: Option<EncryptionKeys>,
    write_forward_interval: Duration,
    history: Option<Duration>,
    block_size: Option<u32>,
    pub(crate) tail_limits: Option<TailLimits>,
    pub(crate) policy: Policy,
    pub(crate) index_piece: IndexPiece,
    /// How the memory is divided, unless as usual.
    pub(crate) memory: Option<MemoryBudget>,
    pub(crate) environment: Option<Arc<dyn Environment>>,
    /// Whether a backup was restored here a moment ago.
    restored: bool,
}

impl DatabaseBuilder {
    pub(crate) fn new() -> Self {
        let defaults = OpenOptions::default();
        Self {
            driver: None,
            url: None,
            prefix: None,
            branch: Vec::new(),
            node_id: 0,
            ring_size: None,
            grace: None,
            staleness: Duration::from_secs(1),
            commit_timeout: Duration::from_secs(60),
            request_timeout: defaults.request_timeout,
            read_only: false,
            create: true,
            store_check: defaults.creation_check,
            max_memory: 100 << 20,
            cache: None,
            cache_dir: None,
            #[cfg(feature = "encryption")]
            encryption: None,
            write_forward_interval: Duration::from_secs(5),
            history: None,
            block_size: None,
            tail_limits: None,
            thorough: false,
            policy: Policy::default(),
            index_piece: IndexPiece::default(),
            memory: None,
            environment: None,
            restored: false,
        }
    }

    /// The store. Without one and without a [`url`](Self::url), the environment names it: `BUCKETDB_URL`, or an S3
    /// bucket in `BUCKETDB_S3_BUCKET`.
    pub fn driver(mut self, driver: impl Driver) -> Self {
        self.driver = Some(Arc::new(driver));
        self
    }

    /// As [`driver`](Self::driver), for a store that is shared already.
    pub fn shared_driver(mut self, driver: Arc<dyn Driver>) -> Self {
        self.driver = Some(driver);
        self
    }

    /// The store and the prefix by a URL; [`Place`](crate::Place) lists its forms.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Where in the store the database is; empty by default. One store holds any number of databases, none inside
    /// another.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// The branch of that name, instead of the database that it is a [branch](crate::Database::create_branch) of;
    /// `one/another` is the branch `another` of the branch `one`. A branch is never created by opening it, and it takes a
    /// request more to open.
    pub fn branch(mut self, path: impl AsRef<str>) -> Self {
        self.branch = path.as_ref().split('/').map(str::to_owned).collect();
        self
    }

    /// Which node this process is, 0 to 255 and below the ring size; 0 by default. Two processes with one id are safe;
    /// different ids make them get in each other's way less.
    pub fn node_id(mut self, node_id: u64) -> Self {
        self.node_id = node_id;
        self
    }

    /// How many nodes take turns, 1 to 256. All nodes share it: a new database takes it (1 by default), for an existing
    /// one it must be the stored one, which [`Database::set_ring_size`](crate::Database::set_ring_size) changes.
    pub fn ring_size(mut self, ring_size: u64) -> Self {
        self.ring_size = Some(ring_size);
        self
    }

    /// For how long nothing is removed that a reader or writer may still need, at least 30 minutes; one hour by default.
    /// All nodes share it, as they do the [ring size](Self::ring_size).
    ///
    /// A process that stands still for longer than half of it, say with a laptop's lid closed, looks anew where the log
    /// ends, at one list, before it believes anything.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How much reads may lag behind other processes unless they say otherwise; one second by default. Zero is strict:
    /// every read sees everything that was acknowledged before it, at one get.
    pub fn staleness(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }

    /// How long a commit is waited for before its outcome counts as unknown; one minute by default.
    pub fn commit_timeout(mut self, timeout: Duration) -> Self {
        self.commit_timeout = timeout;
        self
    }

    /// How long one request to the store may take before it counts as lost and is repeated; ten seconds by default. A put
    /// may take longer by a second for every 256 KiB. What is read is asked for a second time once half of it is over, and the
    /// answer that comes first counts.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Whether nothing is to be written: then credentials that may only read are enough.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Whether a database is created where there is none; true by default.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether every record of the log is read from its own object, at a request each. Small ones travel in others, from
    /// where they are read otherwise: then one that is spoilt or missing may go unseen as long as nobody needs it.
    pub fn thorough(mut self, thorough: bool) -> Self {
        self.thorough = thorough;
        self
    }

    /// How thoroughly a store is tried that the database has not seen before.
    pub fn store_check(mut self, check: StoreCheck) -> Self {
        self.store_check = check;
        self
    }

    /// How many bytes of memory the database may use, at least 8 MiB; 100 MiB by default. All of it counts: what was written
    /// since the last checkpoint, parts of runs that are kept for the next reader, what is kept for snapshots, what
    /// bulk loads gather. What a query is asked to bring into memory comes on top.
    pub fn max_memory(mut self, max_memory_bytes: u64) -> Self {
        self.max_memory = max_memory_bytes;
        self
    }

    /// A cache that several databases of a process share. Without one, a database has its own, of half its
    /// [`max_memory`](Self::max_memory); with one, it uses only the other half.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// A folder in which up to `max_bytes` bytes of what was read are kept as well, so that they need not be read from the
    /// store again, not even by the next process; none by default. Any number of databases and processes may share it:
    /// each further process may exceed the bound by an eighth of it, and what was not used for longest goes first.
    ///
    /// It is checked whenever it is read, and nothing fails because of it: damaged files are removed, and a folder that
    /// cannot be written, or a full disk, turns it off with one warning. What an [encrypted](Self::encryption) database
    /// keeps there is encrypted as well, with the same keys; of others, whoever may read the folder may read rows.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>, max_bytes: u64) -> Self {
        self.cache_dir = Some((folder.into(), max_bytes));
        self
    }

    /// Encrypts everything but the names of objects with the current one of these keys, before it leaves this process; none
    /// by default. All who open the database need the key with which each object was written: see
    /// [`Database::rekey`](crate::Database::rekey) for how to change it. Lost keys cannot be had back, and neither can what they
    /// encrypted.
    ///
    /// A database is encrypted from its first object on, or never. The files of its [`cache_dir`](Self::cache_dir) are
    /// encrypted with the same keys.
    #[cfg(feature = "encryption")]
    pub fn encryption(mut self, keys: EncryptionKeys) -> Self {
        self.encryption = Some(keys);
        self
    }

    /// How long a node has authority over maintenance before it is the next one's; five seconds by default. Nothing but
    /// cost rests on it.
    pub fn write_forward_interval(mut self, interval: Duration) -> Self {
        self.write_forward_interval = interval;
        self
    }

    /// For how long [`Database::at`](crate::Database::at) reaches back, and feeds can be resumed; as long as the
    /// [grace](Self::grace) by default. All nodes share it. What is kept for it takes room in the store.
    pub fn history(mut self, history: Duration) -> Self {
        self.history = Some(history);
        self
    }

    /// How many bytes of rows are compressed and read together, 1 KiB to 1 MiB; 64 KiB by default. All nodes share it.
    pub fn block_size(mut self, block_size_bytes: u32) -> Self {
        self.block_size = Some(block_size_bytes);
        self
    }

    /// Where time, chance and tasks come from; the tokio runtime by default.
    pub fn environment(mut self, environment: impl Environment) -> Self {
        self.environment = Some(Arc::new(environment));
        self
    }
}

impl fmt::Debug for DatabaseBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatabaseBuilder")
            .field("driver", &self.driver)
            .field("prefix", &self.prefix)
            .field("node_id", &self.node_id)
            .field("ring_size", &self.ring_size)
            .finish_non_exhaustive()
    }
}
