use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bucketdb_driver::Driver;
use bucketdb_env::Environment;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::error::Failure;
use crate::format::{self, Checksums};
use crate::head::{self, FoundHead};
use crate::layout::RecordName;
use crate::options::{check_grace, check_node, check_ring_size};
use crate::probes::Probes;
use crate::prove::newest_run;
use crate::recent::Recent;
use crate::sessions::Sessions;
use crate::shared::{Applied, Shared};
use crate::source::Source;
use crate::start::Start;
use crate::state::LogState;
use crate::timed::TimedDriver;
use crate::tombstone::{Cut, may_tell_of_drop};
use crate::turns::Turns;
use crate::upkeep::Upkeep;
use crate::window::{Reading, Window};
use crate::{
    DatabaseId, Layout, LogError, NodeId, Result, Seq, SharedOptions, SlotNames, StateMachine, StoreCheck, StoreReport,
    TailLimits, Verdict, reads,
};

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where the database is in its store.
    pub prefix: String,
    /// The last position that it has in common with the one that it is a branch of; 0 if it is none. See
    /// [`open_branch_store`](crate::open_branch_store).
    pub fork: Seq,
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
    /// How long the log of a new database may grow behind its newest checkpoint. `None` takes the usual limits.
    pub tail_limits: Option<TailLimits>,
    /// The block size of a new database's sorted runs, in bytes. `None` takes the usual size.
    pub block_bytes: Option<u32>,
    /// For how long a new database keeps past states. `None` keeps none.
    pub history: Option<Duration>,
    /// Whether every record is read from its own object, even if another one carries it: for whoever verifies a database.
    pub thorough: bool,
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
            fork: Seq(0),
            node: NodeId(0),
            ring_size: None,
            grace: None,
            read_only: false,
            create: true,
            tail_limits: None,
            block_bytes: None,
            history: None,
            thorough: false,
            creation_check: StoreCheck::CREATION,
            request_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
        }
    }
}

/// How often a log is looked at anew of which records were removed while they were read.
const OPEN_ATTEMPTS: u32 = 4;

/// A whole log of so few records is read from its first record on: looking for a checkpoint would cost more.
const SHORT_LOG: usize = 64;

const WITHOUT_BEGINNING: &str = "later records exist, and no checkpoint covers it";

/// What every step of opening needs.
pub(crate) struct Opener<'a> {
    /// Answers every request in time.
    pub(crate) store: Arc<dyn Driver>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) env: Arc<dyn Environment>,
    pub(crate) layout: Layout,
    pub(crate) options: &'a OpenOptions,
}

pub(crate) async fn open<M: StateMachine>(
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    options: &OpenOptions,
    machine: M,
) -> Result<Shared<M>> {
    let layout = Layout::new(&options.prefix)?.with_fork(options.fork);
    if let Some(ring_size) = options.ring_size {
        check_ring_size(ring_size)?;
        check_node(options.node, ring_size)?;
    }
    options.grace.map_or(Ok(()), check_grace)?;
    let timed: Arc<dyn Driver> = Arc::new(TimedDriver::new(driver.clone(), env.clone(), options.request_timeout));
    let opener = Opener { store: timed, driver, env, layout, options };
    opener.open(machine).await
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

impl Opener<'_> {
    /// Opens the log. What is being read may be removed meanwhile: then another look is needed, with another machine.
    async fn open<M: StateMachine>(&self, machine: M) -> Result<Shared<M>> {
        let mut next = Some(machine);
        let mut attempt = 1;
        // What is before was dropped.
        let mut begins = Seq::FIRST;
        // With what an attempt failed after which it was looked for a drop in vain: what fails alike has the same reason.
        let mut looked_after = None;
        loop {
            let Some(machine) = next.take() else { return Err(LogError::NoDatabase { place: self.place() }) };
            next = machine.fresh();
            let mut error = match self.try_open(machine, begins).await {
                Err(error) if may_tell_of_drop(&error) && next.is_some() => error,
                outcome => return outcome,
            };
            let mut may_change = matches!(error, LogError::Missing { .. });
            if self.is_unfinished().await? {
                return Err(LogError::UnfinishedBranch { place: self.place() });
            }
            let failed_with = error.to_string();
            if looked_after.as_ref() != Some(&failed_with) {
                match self.source().find_cut_behind(&error, Seq::FIRST).await {
                    Ok(Some(Cut::Dropped(tombstone))) if tombstone.next_genesis() > begins => {
                        begins = self.create_behind(&tombstone).await?;
                        continue;
                    }
                    Ok(Some(Cut::Began(seq, _))) if seq > begins => {
                        begins = seq;
                        continue;
                    }
                    Ok(_) => {
                        looked_after = Some(failed_with);
                        // Where even the beginning is gone, what does not fit may be of another database that removed it.
                        may_change |= matches!(error, LogError::Damaged { .. })
                            && self.source().fetch(&Layout::slot_name(begins)).await?.is_none();
                    }
                    // It may come of a drop, or not.
                    Err(unknown) => error = unknown,
                }
            }
            if !may_change || attempt == OPEN_ATTEMPTS {
                return Err(error);
            }
            reads::pause(&*self.env, attempt).await;
            attempt += 1;
        }
    }

    /// Whether it is a branch without a record of its own. What it shares does not lead to a state by itself: which checkpoint
    /// it begins with, and that may have its record behind the fork, is said by the first of its own.
    async fn is_unfinished(&self) -> Result<bool> {
        let first = self.layout.fork().next();
        Ok(self.layout.is_branch() && self.source().list_records(Some(first)).await?.is_empty())
    }

    pub(crate) fn place(&self) -> String {
        format!("{} prefix {:?}", self.store.fingerprint(), self.layout.prefix())
    }

    /// Begins where `head` says, or where a listing does, and not before `begins`.
    async fn try_open<M: StateMachine>(&self, machine: M, begins: Seq) -> Result<Shared<M>> {
        let mut looked = Reading::take(&*self.env);
        let mut head = self.read_head().await;
        let source = self.source();
        let is_ours = |head: &&head::Head| begins == Seq::FIRST || head.checkpoint.seq > begins;
        if let Some(known) = head.head.as_ref().filter(is_ours) {
            match source.start_from_head(known).await? {
                Some(start) => return self.begin_at(start, head, machine, looked).await,
                None => tracing::warn!(place = self.place(), "head does not fit the log: listing it instead"),
            }
        }
        let database = head.head.take().map(|head| head.database);
        looked = Reading::take(&*self.env);
        let (mut names, is_empty) = self.look().await?;
        names.retain(|name| name.seq >= begins);
        if names.is_empty() && begins > Seq::FIRST {
            return Err(source.missing(&Layout::slot_name(begins), "it was written or read a moment ago"));
        }
        let mut first = None;
        if names.is_empty() {
            if self.options.read_only || !self.options.create || self.layout.is_branch() {
                return Err(LogError::NoDatabase { place: self.place() });
            }
            (names, first) = self.create(is_empty, None).await?;
        }
        let run = newest_run(&names);
        let is_whole = run.first().is_some_and(|first| first.seq == begins);
        let is_short = run.len() <= SHORT_LOG;
        let may_begin_later = !is_whole || !is_short && source.has_manifest().await?;
        if may_begin_later && let Some(start) = source.start_from_run(run).await? {
            return self.begin_at(start, head, machine, looked).await;
        }
        if !is_whole {
            source.diagnose(run, database).await?;
        }
        self.replay((names, first), head, machine, (begins, looked)).await
    }

    /// The names of all records, and whether there is nothing at all at the prefix: one listing as a rule, that of a new
    /// place or of a small database.
    async fn look(&self) -> Result<(Vec<RecordName>, bool)> {
        let page = reads::retry(&*self.env, || self.store.list(self.layout.prefix(), None)).await?;
        if page.next.is_some() {
            return Ok((self.source().list_records(None).await?, false));
        }
        let names = page.objects.iter().filter_map(|object| self.layout.parse_record(&object.key)).collect();
        Ok((names, page.objects.is_empty()))
    }

    /// Reads `head`. Whatever is wrong with it, there is another way.
    async fn read_head(&self) -> FoundHead {
        match head::read(&self.source()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, place = self.place(), "head cannot be read: listing the log instead");
                FoundHead::default()
            }
        }
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source { store: &*self.store, env: &*self.env, layout: &self.layout, thorough: self.options.thorough }
    }

    /// Begins at a checkpoint.
    async fn begin_at<M: StateMachine>(
        &self,
        start: Start,
        head: FoundHead,
        mut machine: M,
        looked: Reading,
    ) -> Result<Shared<M>> {
        let Start { database, checkpoint, manifest, records, tail } = start;
        let names = manifest.state.names;
        machine.begin(database);
        machine
            .load(manifest.state.seq, manifest.saved)
            .map_err(|error| self.damaged(&checkpoint.manifest, error.to_string()))?;
        let applied = Applied::new(manifest.state, machine, self.env.monotonic());
        let shared = self.share(names, database, Applied { begun_at: checkpoint.seq, ..applied });
        shared.check_kinds(&tail)?;
        shared.check_names(&tail)?;
        records.into_iter().try_for_each(|stored| shared.apply(stored).map(|_| ()))?;
        shared.note_head(&head);
        shared.replay(tail).await?;
        shared.window.proved(looked);
        self.opened(shared).await
    }

    /// Reads the whole log, from the record at `begins` on, which is known already if it was written a moment ago.
    async fn replay<M: StateMachine>(
        &self,
        (names, known): (Vec<RecordName>, Option<Bytes>),
        head: FoundHead,
        mut machine: M,
        (begins, looked): (Seq, Reading),
    ) -> Result<Shared<M>> {
        let Some(first) = names.first().cloned() else {
            return Err(LogError::NoDatabase { place: self.place() });
        };
        // Where names are shared, a listing need only tell how far the log reaches: it may not show what was written
        // while it ran, and show what was written after that.
        let first = match first.names {
            SlotNames::Shared => RecordName::shared(begins),
            SlotNames::PerSession if first.seq == begins => first,
            SlotNames::PerSession => {
                return Err(self.source().missing(&Layout::slot_name(begins), WITHOUT_BEGINNING));
            }
        };
        let bytes = match known {
            Some(bytes) => bytes,
            None => self.source().fetch_existing(&first.name, WITHOUT_BEGINNING).await?,
        };
        let object = self.object(&first.name);
        let (genesis, database) =
            format::decode_genesis(&bytes, &first.name).map_err(|error| LogError::of_format(object.as_str(), error))?;
        let (options, log_begins) = SharedOptions::decode_genesis(&genesis.payload())
            .map_err(|error| self.damaged(&first.name, error.to_string()))?;
        machine.begin(database);
        if begins > Seq::FIRST {
            machine.begin_behind(begins);
        }
        let state = LogState {
            names: first.names,
            seq: genesis.seq,
            hash: format::chain_hash(&bytes),
            time: genesis.time,
            name: first.name.clone(),
            options,
            floor: begins,
            sessions: Sessions::default(),
            turns: Turns::default(),
            upkeep: Upkeep { log_begins, ..Upkeep::default() },
        };
        let mut applied = Applied::new(state, machine, self.env.monotonic());
        applied.tail.push(genesis.seq, bytes.len() as u64);
        applied.last_bytes = bytes;
        let shared = self.share(first.names, database, applied);
        shared.recent.lock().push(Arc::new(genesis));
        shared.note_head(&head);
        shared.check_kinds(&names)?;
        match shared.names {
            SlotNames::Shared => {
                let last = names.last().map_or(begins, |name| name.seq);
                // What is not shown must be there all the same: it is not enough that another record carries it.
                let thorough = self.options.thorough || (names.len() as u64) < last.0 + 1 - begins.0;
                let behind = (begins.next().0..=last.0).map(|seq| RecordName::shared(Seq(seq))).collect();
                shared.replay_from(Source { thorough, ..shared.source() }, behind).await?;
            }
            SlotNames::PerSession => {
                shared.check_names(&names)?;
                shared.replay(names.into_iter().skip(1).collect()).await?;
            }
        }
        shared.window.proved(looked);
        self.opened(shared).await
    }

    fn object(&self, name: &str) -> String {
        format!("{}{name}", self.layout.prefix())
    }

    fn damaged(&self, name: &str, detail: String) -> LogError {
        LogError::Damaged { object: self.object(name), detail }
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
            thorough: self.options.thorough,
            closing: AtomicBool::new(false),
            applied: RwLock::new(applied),
            position: watch::Sender::new(seq),
            probes: Probes::default(),
            window: Window::default(),
            recent: Mutex::new(Recent::default()),
            housekeeping: Mutex::default(),
            failure: Failure::default(),
        }
    }

    /// What is left to do when the whole log was read.
    async fn opened<M: StateMachine>(&self, shared: Shared<M>) -> Result<Shared<M>> {
        if shared.names == SlotNames::Shared && !shared.is_window_open() {
            // Reading took so long that what was read may have been removed and replaced meanwhile.
            shared.prove_by_listing().await?;
        }
        if shared.seq() <= self.layout.fork() {
            return Err(LogError::UnfinishedBranch { place: self.place() });
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
