use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bucketdb_driver::{Driver, Key};
use bucketdb_env::{Environment, Random};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::error::Failure;
use crate::format::{self, Checksums};
use crate::layout::RecordName;
use crate::options::{DEFAULT_GRACE, check_grace, check_node, check_ring_size};
use crate::probes::Probes;
use crate::recent::Recent;
use crate::sessions::Sessions;
use crate::shared::{Applied, Shared};
use crate::slot::{Holder, Slot, Unsettled};
use crate::timed::TimedDriver;
use crate::turns::Turns;
use crate::window::{Reading, Window};
use crate::{
    Base, DatabaseId, Entry, Layout, LogError, LogTime, NodeId, Record, RecordKind, Result, Seq, SessionId,
    SharedOptions, SlotNames, StateMachine, StoreCheck, StoreReport, Verdict, reads,
};

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where the database is in its store.
    pub prefix: String,
    /// Which node this is.
    pub node: NodeId,
    /// How many nodes take turns. `None` takes what the database has, 1 for a new one.
    pub ring_size: Option<u16>,
    /// For how long nothing is removed that somebody may still need. `None` takes what the database has, one hour for a
    /// new one.
    pub grace: Option<Duration>,
    /// Whether nothing is to be written at all.
    pub read_only: bool,
    /// Whether a database is created where there is none.
    pub create: bool,
    /// How thoroughly a store is tried that the database has not seen before.
    pub creation_check: StoreCheck,
    /// How long one request may take before it counts as lost; a put may take longer by a second for every 256 KiB.
    pub request_timeout: Duration,
    /// How long the writes that opening may need are waited for.
    pub deadline: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            node: NodeId(0),
            ring_size: None,
            grace: None,
            read_only: false,
            create: true,
            creation_check: StoreCheck::CREATION,
            request_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
        }
    }
}

/// What every step of opening needs.
struct Opener<'a> {
    /// Answers every request in time.
    store: Arc<dyn Driver>,
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    layout: Layout,
    options: &'a OpenOptions,
}

pub(crate) async fn open<M: StateMachine>(
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    options: &OpenOptions,
    machine: M,
) -> Result<Shared<M>> {
    let layout = Layout::new(&options.prefix)?;
    if let Some(ring_size) = options.ring_size {
        check_ring_size(ring_size)?;
        check_node(options.node, ring_size)?;
    }
    options.grace.map_or(Ok(()), check_grace)?;
    let timed: Arc<dyn Driver> = Arc::new(TimedDriver::new(driver.clone(), env.clone(), options.request_timeout));
    let opener = Opener { store: timed, driver, env, layout, options };
    let looked = Reading::take(&*opener.env);
    let mut names = opener.list_records().await?;
    if names.is_empty() {
        if options.read_only || !options.create {
            return Err(LogError::NoDatabase { place: opener.place() });
        }
        names = opener.create().await?;
    }
    opener.replay(names, machine, looked).await
}

/// Opens a log that exists, beginning at `base`.
pub(crate) async fn open_at<M: StateMachine>(
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    options: &OpenOptions,
    base: Base<M>,
) -> Result<Shared<M>> {
    let layout = Layout::new(&options.prefix)?;
    let timed: Arc<dyn Driver> = Arc::new(TimedDriver::new(driver.clone(), env.clone(), options.request_timeout));
    let opener = Opener { store: timed, driver, env, layout, options };
    let name = Layout::slot_name(base.seq);
    let Base { database, seq, hash, time, options: shared_options, floor, sessions, turns, machine } = base;
    let applied = Applied {
        seq,
        hash,
        time,
        name,
        session: SessionId::default(),
        last_of_session: None,
        options: shared_options,
        floor,
        sessions,
        turns,
        since: opener.env.monotonic(),
        machine,
    };
    let shared = opener.share(SlotNames::Shared, database, applied);
    // Nothing is known of the window: this begins with a listing.
    shared.catch_up().await?;
    opener.opened(shared).await
}

/// Whether a store that was tried can hold a log of that kind with that many nodes.
pub(crate) fn check_fit(report: &StoreReport, names: SlotNames, ring_size: u16, place: &str) -> Result<()> {
    let reason = match (&report.create_only, names) {
        (Verdict::Honoured, SlotNames::Shared) => return Ok(()),
        (_, SlotNames::PerSession) if ring_size == 1 => return Ok(()),
        (_, SlotNames::PerSession) => format!(
            "this database was created where create-only writes were not honoured, so it serves a ring size of 1 only, \
             and {ring_size} was asked for; export it and import it into a database on a store that honours them"
        ),
        (verdict, SlotNames::Shared) => format!(
            "it needs create-only writes (If-None-Match: *) for this database, and they are {verdict}; \
             only a new database with a ring size of 1 can live here"
        ),
    };
    Err(LogError::UnfitStore { place: place.to_owned(), reason })
}

/// The database that an object is a log record of, by its name.
fn database_of(key: &Key) -> Option<Layout> {
    let (prefix, _) = key.as_str().rsplit_once("log/")?;
    // A prefix that no database can have belongs to none.
    let layout = Layout::new(prefix).ok().filter(|layout| layout.prefix() == prefix)?;
    layout.parse_record(key).map(|_| layout)
}

impl Opener<'_> {
    fn place(&self) -> String {
        format!("{} prefix {:?}", self.store.fingerprint(), self.layout.prefix())
    }

    /// The names of all records, in order.
    async fn list_records(&self) -> Result<Vec<RecordName>> {
        let mut names = Vec::new();
        reads::list(&*self.store, &*self.env, &self.layout.log_prefix(), None, |object| {
            names.extend(self.layout.parse_record(&object.key));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(names)
    }

    /// Writes the first record, unless somebody else does at the same time; tells the names of the log's records.
    async fn create(&self) -> Result<Vec<RecordName>> {
        self.check_not_nested().await?;
        let ring_size = self.options.ring_size.unwrap_or(1);
        let mut shared_options = SharedOptions::new(ring_size, self.options.grace.unwrap_or(DEFAULT_GRACE))?;
        check_node(self.options.node, ring_size)?;
        let report = self.options.creation_check.run(&self.store, &self.env, &self.layout).await?;
        let names = match report.create_only {
            Verdict::Honoured => SlotNames::Shared,
            Verdict::Absent(_) | Verdict::Ignored(_) if ring_size == 1 => SlotNames::PerSession,
            Verdict::Absent(_) | Verdict::Ignored(_) => {
                check_fit(&report, SlotNames::Shared, ring_size, &self.store.fingerprint())?;
                SlotNames::Shared
            }
        };
        shared_options.add_store(&self.store.fingerprint(), report.if_match.is_honoured());
        let database = DatabaseId(self.env.random_128());
        let session = SessionId(self.env.random_128());
        let record = Record {
            kind: RecordKind::Genesis,
            seq: Seq::FIRST,
            time: LogTime::default().tick(self.env.wall_clock().0),
            node: self.options.node,
            session,
            previous: crate::ChainHash::default(),
            entries: vec![Entry { counter: 0, payload: shared_options.encode_genesis(database) }],
        };
        let name = Layout::record_name(names, Seq::FIRST, session);
        let bytes = format::encode(&record, &name, &Checksums::new(database));
        let key = self.layout.key(&name);
        let settled = match names {
            SlotNames::Shared => {
                let slot = Slot { driver: &*self.store, env: &*self.env, key: &key };
                let give_up_at = self.env.monotonic().saturating_add(self.options.deadline);
                let settled = slot.settle(&bytes, || self.env.monotonic() > give_up_at).await;
                settled.map(|settlement| settlement.holder)
            }
            SlotNames::PerSession => self.put_own_name(&key, &bytes).await,
        };
        match (settled, names) {
            // Whoever got it, there is a first record now, and what a listing would show is not waited for.
            (Ok(_), SlotNames::Shared) => Ok(vec![RecordName { seq: Seq::FIRST, names, name }]),
            // Who else is there decides, or that two are.
            (Ok(_), _) => {
                let names = self.list_records().await?;
                if names.is_empty() {
                    let detail = "it was written a moment ago, and a listing does not show it".to_owned();
                    return Err(LogError::Missing { object: key.to_string(), detail });
                }
                Ok(names)
            }
            (Err(Unsettled::Refused(error)), _) => Err(error.into()),
            (Err(Unsettled::GivenUp), _) => {
                let detail = "the store did not answer in time; the database may be created or not";
                let operation = bucketdb_driver::Operation::Put;
                let kind = bucketdb_driver::ErrorKind::Transient;
                Err(bucketdb_driver::DriverError::new(kind, operation, key.as_str(), detail).into())
            }
        }
    }

    /// Under a name that is ours alone, repeating is harmless.
    async fn put_own_name(&self, key: &Key, bytes: &Bytes) -> Result<Holder, Unsettled> {
        let always = || self.store.put(key, bytes.clone(), bucketdb_driver::Condition::Always);
        match reads::retry(&*self.env, always).await {
            Ok(_) => Ok(Holder::Us),
            Err(error) if error.is_transient() => Err(Unsettled::GivenUp),
            Err(error) => Err(Unsettled::Refused(error)),
        }
    }

    /// A database must not lie inside another, nor contain one: each may remove what it does not know in its place.
    async fn check_not_nested(&self) -> Result<()> {
        let prefix = self.layout.prefix();
        let nested =
            |relation, other: &str| LogError::Nested { prefix: prefix.to_owned(), relation, other: other.to_owned() };
        for (slash, _) in prefix.match_indices('/').filter(|(at, _)| at + 1 < prefix.len()) {
            self.check_no_database_at(prefix.get(..=slash).unwrap_or_default(), &nested).await?;
        }
        if !prefix.is_empty() {
            self.check_no_database_at("", &nested).await?;
        }
        let mut inner = None;
        reads::list(&*self.store, &*self.env, prefix, None, |object| {
            match database_of(&object.key).filter(|other| other.prefix().len() > prefix.len()) {
                Some(other) => {
                    inner = Some(other);
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            }
        })
        .await?;
        inner.map_or(Ok(()), |other| Err(nested("contains", other.prefix())))
    }

    async fn check_no_database_at(
        &self,
        prefix: &str,
        nested: &(impl Fn(&'static str, &str) -> LogError + Sync),
    ) -> Result<()> {
        let other = Layout::new(prefix)?;
        let mut found = false;
        // Names of records begin with a digit: what is behind these is somebody else's and need not be listed.
        let behind_all = format!("{}:", other.log_prefix());
        reads::list(&*self.store, &*self.env, &other.log_prefix(), None, |object| {
            found = other.parse_record(&object.key).is_some();
            if found || object.key.as_str() > behind_all.as_str() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .await?;
        if found { Err(nested("lies inside", prefix)) } else { Ok(()) }
    }

    /// Reads the whole log.
    async fn replay<M: StateMachine>(self, names: Vec<RecordName>, machine: M, looked: Reading) -> Result<Shared<M>> {
        let Some(first) = names.first().cloned() else {
            return Err(LogError::NoDatabase { place: self.place() });
        };
        let missing_genesis = |detail: &str| LogError::Missing {
            object: format!("{}{}", self.layout.prefix(), Layout::slot_name(Seq::FIRST)),
            detail: detail.to_owned(),
        };
        // Where names are shared, a listing need only tell how far the log reaches: it may not show what was written
        // while it ran, and show what was written after that.
        let first = match first.names {
            SlotNames::Shared => RecordName::shared(Seq::FIRST),
            SlotNames::PerSession if first.seq == Seq::FIRST => first,
            SlotNames::PerSession => return Err(missing_genesis("the log begins behind its first record")),
        };
        let object = self.layout.key(&first.name);
        let Some(bytes) = reads::get(&*self.store, &*self.env, &object).await? else {
            return Err(missing_genesis("later records exist"));
        };
        let (genesis, database) =
            format::decode_genesis(&bytes, &first.name).map_err(|error| LogError::of_format(object.as_str(), error))?;
        let payload = genesis.entries.first().map(|entry| entry.payload.clone()).unwrap_or_default();
        let options = SharedOptions::decode_genesis(&payload)
            .map_err(|error| LogError::Damaged { object: object.to_string(), detail: error.to_string() })?;
        let applied = Applied {
            seq: genesis.seq,
            hash: format::chain_hash(&bytes),
            time: genesis.time,
            name: first.name.clone(),
            session: SessionId::default(),
            last_of_session: None,
            options,
            floor: Seq::FIRST,
            sessions: Sessions::default(),
            turns: Turns::default(),
            since: self.env.monotonic(),
            machine,
        };
        let shared = self.share(first.names, database, applied);
        shared.recent.lock().push(Arc::new(genesis));
        shared.check_kinds(&names)?;
        match shared.names {
            SlotNames::Shared => {
                let last = names.last().map_or(Seq::FIRST, |name| name.seq);
                shared.replay((Seq::FIRST.next().0..=last.0).map(|seq| RecordName::shared(Seq(seq)))).await?;
            }
            SlotNames::PerSession => {
                shared.check_names(&names)?;
                shared.replay(names.into_iter().skip(1)).await?;
            }
        }
        shared.window.proved(looked);
        self.opened(shared).await
    }

    fn share<M: StateMachine>(&self, names: SlotNames, database: DatabaseId, applied: Applied<M>) -> Shared<M> {
        let seq = applied.seq;
        Shared {
            store: self.store.clone(),
            driver: self.driver.clone(),
            env: self.env.clone(),
            layout: self.layout.clone(),
            names,
            checksums: Checksums::new(database),
            node: self.options.node,
            read_only: self.options.read_only,
            closing: AtomicBool::new(false),
            applied: RwLock::new(applied),
            position: watch::Sender::new(seq),
            probes: Probes::default(),
            window: Window::default(),
            recent: Mutex::new(Recent::default()),
            failure: Failure::default(),
        }
    }

    /// What is left to do when the whole log was read.
    async fn opened<M: StateMachine>(&self, shared: Shared<M>) -> Result<Shared<M>> {
        if shared.names == SlotNames::Shared && !shared.is_window_open() {
            // Reading took so long that what was read may have been removed and replaced meanwhile.
            shared.prove_by_listing().await?;
        }
        self.check_shared_options(&shared.applied.read().options)?;
        shared.renew_session();
        tracing::info!(place = self.place(), position = %shared.seq(), "opened the log");
        Ok(shared)
    }

    fn check_shared_options(&self, stored: &SharedOptions) -> Result<()> {
        if let Some(wanted) = self.options.ring_size
            && wanted != stored.ring_size
        {
            let reason = format!(
                "this database has a ring size of {}, and {wanted} was asked for; all nodes share it, and only a \
                 program that calls `Database::set_ring_size` changes it",
                stored.ring_size
            );
            return Err(LogError::InvalidOption { option: "ring_size", reason });
        }
        if let Some(wanted) = self.options.grace
            && wanted.as_millis() != stored.grace.as_millis()
        {
            let stored = stored.grace;
            let reason =
                format!("this database has a grace of {stored:?}, and {wanted:?} was asked for; all nodes share it");
            return Err(LogError::InvalidOption { option: "grace", reason });
        }
        check_node(self.options.node, stored.ring_size)
    }
}
