use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bucketdb::simulation::{PlantedBug, plant};
use bucketdb::{Error, Freshness, LogError};
use parking_lot::Mutex;

use crate::check::{
    Truth, Violation, check_backups, check_black_box, check_checkpoints, check_expiry, check_followers, check_layout,
    check_leftovers, check_outcomes, check_reads, check_states, check_successors, check_tickets, check_transactions,
    check_validity, check_verification, expected_of,
};
use crate::cluster::{Beginning, Cluster, open};
use crate::config::{Config, MachineConfig};
use crate::nemesis::{Harm, Nemesis};
use crate::report::Report;
use crate::store::Archive;
use crate::workload::{
    Beside, ClientSettings, FollowerLog, Operation, Outcome, Recorder, Tables, Work, final_write, open_accounts,
};
use crate::{
    Executor, GroupId, Limits, MachineClock, ProcessId, Scheduler, SimEnvironment, SimRandom, StoreWorld, Trace,
};

/// How long everything may take once nothing fails any more.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// How often a node may try to commit once nothing fails any more.
const FINAL_ATTEMPTS: u32 = 10;

/// The observer, and whoever creates the database.
const OBSERVER: ProcessId = ProcessId::OUTSIDE;

/// How a seed is run.
#[derive(Clone, Default)]
pub struct RunOptions {
    /// Whether the text of all events is kept.
    pub keep_trace: bool,
    /// The bug that is planted, if any.
    pub bug: Option<PlantedBug>,
    /// What is run instead of what the seed says.
    pub config: Option<Config>,
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunOptions").field("bug", &self.bug).finish_non_exhaustive()
    }
}

/// One run.
struct Run {
    seed: u64,
    config: Config,
    scheduler: Scheduler,
    trace: Trace,
    world: StoreWorld,
    recorder: Recorder,
    cluster: Cluster,
    budget: Arc<Mutex<u64>>,
    beside: Arc<Mutex<Beside>>,
    starved: Arc<AtomicU64>,
}

/// What the observer found.
struct Findings {
    violations: Vec<Violation>,
    commits: u64,
}

/// Runs one seed from beginning to end, on this thread.
#[must_use]
pub fn run(seed: u64, options: &RunOptions) -> Report {
    plant(options.bug);
    let config = options.config.clone().unwrap_or_else(|| Config::of_seed(seed));
    let executor = Executor::new(seed, Limits::default());
    let scheduler = executor.scheduler();
    let trace = Trace::new(scheduler.clone(), options.keep_trace);
    let world = StoreWorld::new(seed, scheduler.clone(), trace.clone());
    let recorder = Recorder::new(scheduler.clone(), trace.clone());
    let starved = Arc::new(AtomicU64::new(0));
    let budget = Arc::new(Mutex::new(config.operations));
    let beside = Arc::new(Mutex::new(Beside::default()));
    let settings = ClientSettings {
        mix: config.mix.clone(),
        keys: config.keys,
        names: config.names,
        think: config.think,
        settle: config.settle,
        budget: budget.clone(),
        grace: config.storage.grace,
        beside: beside.clone(),
    };
    let surroundings = (scheduler.clone(), world.clone(), trace.clone());
    let cluster =
        Cluster::new(seed, (config.clients, config.follow), settings, surroundings, (recorder.clone(), config.storage));
    let run = Run {
        seed,
        config: config.clone(),
        scheduler: scheduler.clone(),
        trace: trace.clone(),
        world: world.clone(),
        recorder: recorder.clone(),
        cluster: cluster.clone(),
        budget,
        beside,
        starved: starved.clone(),
    };
    let outcome = executor.run(run.main());
    cluster.kill_all();
    plant(None);
    let mut usage = crate::StoreUsage::default();
    for process in cluster.processes() {
        usage += world.usage(process);
    }
    let findings = outcome.unwrap_or_else(|stuck| Findings {
        violations: vec![Violation::new("a run comes to its end", stuck.to_string(), Vec::new())],
        commits: 0,
    });
    Report {
        seed,
        config,
        violations: findings.violations,
        commits: findings.commits,
        removed: removed(&world),
        starved: starved.load(Ordering::Relaxed),
        history: recorder.history(),
        digest: trace.digest(),
        events: trace.events(),
        polls: executor.polls(),
        virtual_time: scheduler.now(),
        usage,
        faults: world.fault_counts(),
        trace: trace.lines(),
    }
}

impl Run {
    async fn main(self) -> Findings {
        match self.script().await {
            Ok(findings) => findings,
            Err(violation) => Findings { violations: vec![violation], commits: 0 },
        }
    }

    /// Creates a database, lets clients and the nemesis at it, heals everything, and looks.
    async fn script(self) -> Result<Findings, Violation> {
        self.create().await?;
        self.world.set_latencies(self.config.latencies);
        self.world.set_faults(self.config.faults.clone());
        self.world.set_page_keys(self.config.page_keys);
        for machine in &self.config.machines {
            let process = self.cluster.add(machine.clone());
            self.cluster.start(process);
        }
        let nemesis = Nemesis::new(
            self.scheduler.clone(),
            self.world.clone(),
            self.cluster.clone(),
            (self.config.harms.clone(), self.config.calm),
        );
        let choices = SimRandom::stream(self.seed, "nemesis");
        self.scheduler.spawn(GroupId::WORLD, Box::pin(nemesis.clone().run(choices)));
        self.work().await;
        self.trace.note(format_args!("everything is healed"));
        *self.budget.lock() = 0;
        nemesis.heal();
        self.scheduler.sleep(Duration::from_secs(1)).await;
        self.observe().await
    }

    async fn create(&self) -> Result<(), Violation> {
        let (store, env) = (self.world.handle(OBSERVER), self.environment("creator"));
        let mut beginning = Beginning::Create { ring_size: self.config.ring_size };
        let machine = sound();
        let create = || {
            let beginning = std::mem::replace(&mut beginning, Beginning::Exists);
            open(store.clone(), env.clone(), &machine, &self.config.storage, beginning)
        };
        let violation = |error: Error| Violation::new("a database can be created", error.to_string(), Vec::new());
        let tables = self.repeat(create).await.map_err(violation)?;
        self.repeat(|| open_accounts(&self.recorder, &tables)).await.map_err(violation)?;
        tables.db.close().await.map_err(violation)
    }

    /// Calls until it is not refused for now: a short tail is full at once, and then somebody makes a checkpoint.
    async fn repeat<T, F: Future<Output = Result<T, Error>>>(&self, mut call: impl FnMut() -> F) -> Result<T, Error> {
        let mut outcome = call().await;
        for _ in 0..FINAL_ATTEMPTS {
            if !outcome.as_ref().is_err_and(Error::is_retryable) {
                break;
            }
            self.scheduler.sleep(Duration::from_secs(6)).await;
            outcome = call().await;
        }
        outcome
    }

    /// Waits until the clients have done what they were to do, or their time is over.
    async fn work(&self) {
        let until = self.scheduler.now() + self.config.duration;
        while self.scheduler.now() < until {
            self.scheduler.sleep(Duration::from_millis(500)).await;
            self.cluster.revive();
            if *self.budget.lock() == 0 && self.recorder.waiting(&self.cluster.lives()).is_empty() {
                break;
            }
        }
    }

    async fn observe(self) -> Result<Findings, Violation> {
        if self.config.faults.lie > 0.0 && self.was_told_of_lies().await {
            return Ok(Findings { violations: Vec::new(), commits: 0 });
        }
        self.wait("every call returns", || {
            let waiting = self.recorder.waiting(&self.cluster.lives());
            waiting.first().map(|operation| operation.to_string())
        })
        .await?;
        self.wait("a database can be opened once nothing fails any more", || {
            let (nodes, all) = (self.cluster.nodes().len(), self.cluster.processes().len());
            (nodes < all).then(|| format!("{nodes} of {all} are open"))
        })
        .await?;
        let (_, _, early) = self.fresh("early reader").await?;
        self.wait("every request ends", || match self.world.under_way() {
            0 => None,
            left => Some(format!("{left} are under way")),
        })
        .await?;
        let mut violations = Vec::new();
        for process in self.cluster.processes() {
            violations.extend(self.must_commit(process).await);
        }
        let nodes = self.cluster.nodes();
        let (reader, archive, truth) = self.fresh("late reader").await?;
        if self.config.follow {
            self.wait("a feed goes on once nothing fails any more", || {
                let is_behind = |follower: &FollowerLog| follower.len() < expected_of(follower, &truth).len();
                let behind = nodes.iter().find(|node| is_behind(&node.follower))?;
                Some(format!("{} has seen {} changes", behind.process, behind.follower.len()))
            })
            .await?;
        }
        if early.events.iter().zip(&truth.events).any(|(one, other)| one != other)
            || early.events.len() > truth.events.len()
        {
            let detail = format!("it changed after {}, when nobody wrote", early.end);
            violations.push(Violation::new("a position of the log never changes", detail, Vec::new()));
        }
        violations.extend(check_followers(&self.cluster.followers(), &truth));
        violations.extend(check_states(&nodes, &reader, &truth).await);
        violations.extend(check_tickets(&reader, &truth, &self.scheduler, self.clocks_off_ms()).await);
        violations.extend(self.check_history(&truth));
        violations.extend(check_checkpoints(&archive.db, &truth).await);
        // What was overwritten after everybody had read it does no harm, and only a verification can tell: it may, then.
        if self.config.faults.lie == 0.0 {
            violations.extend(check_verification(&reader.db).await);
        }
        violations.extend(check_layout(&self.world.keys()));
        let beside = std::mem::take(&mut *self.beside.lock());
        violations.extend(check_backups(&reader.db, &beside, &truth).await);
        violations.extend(check_successors(&reader.db, &beside).await);
        // A load that was never ended holds up sweeps for ten graces by the time in records, which a clock that was far ahead
        // has stopped.
        let clocks_are_right =
            self.config.machines.iter().all(|machine| machine.skew_ms == 0 && machine.drift_ppm == 0)
                && !self.config.harms.iter().any(|(harm, _)| *harm == Harm::Skew);
        let loads = self.config.mix.iter().any(|(work, _)| *work == Work::Load);
        if violations.is_empty() && (clocks_are_right || !loads) {
            violations.extend(self.clean_up(&reader.db).await);
        }
        Ok(Findings { violations, commits: truth.end })
    }

    /// How far wall clocks are off at most; `None` if they are set at will.
    fn clocks_off_ms(&self) -> Option<u64> {
        let is_set = self.config.harms.iter().any(|(harm, _)| *harm == Harm::Skew);
        let off = self.config.machines.iter().map(|machine| machine.skew_ms.unsigned_abs());
        (!is_set).then(|| off.max().unwrap_or(0))
    }

    /// Ends all lives, removes everything that can be removed, and looks what is left.
    async fn clean_up(&self, db: &bucketdb::Database) -> Vec<Violation> {
        self.cluster.kill_all();
        let failed =
            |error: Error| vec![Violation::new("whoever is alone can clean up", error.to_string(), Vec::new())];
        let promised = self.config.storage.promised();
        let history = self.config.storage.history.unwrap_or(promised);
        // Blobs that a process was to release that was killed.
        if let Err(error) = self.repeat(|| db.sweep()).await {
            return failed(error);
        }
        for _ in 0..2 {
            if let Err(error) = db.compact().await {
                return failed(error);
            }
            // Loads that were begun and never ended hold up sweeps for ten graces.
            self.scheduler.sleep(promised * 11 + history + Duration::from_secs(1)).await;
        }
        if let Err(error) = db.checkpoint().await {
            return failed(error);
        }
        self.scheduler.sleep(promised + Duration::from_secs(1)).await;
        let cleaned = match db.collect_garbage().await {
            Ok(_) => db.sweep().await.map(|_| ()),
            Err(error) => Err(error),
        };
        match cleaned {
            Ok(()) => check_leftovers(db, &self.world).await,
            Err(error) => failed(error),
        }
    }

    /// A store that breaks its promise may lose what it acknowledged; but then somebody must be told. If nobody is, all
    /// promises must hold.
    async fn was_told_of_lies(&self) -> bool {
        self.scheduler.sleep(PATIENCE).await;
        for process in self.cluster.processes() {
            let _ = self.must_commit(process).await;
        }
        let is_told = |operation: &Operation| matches!(operation.outcome, Outcome::Broken(_));
        let told = self.recorder.history().iter().any(is_told) || !self.cluster.alarms().is_empty();
        told || self.fresh("reader after lies").await.is_err()
    }

    /// Waits until `missing` finds nothing.
    async fn wait(&self, rule: &'static str, missing: impl Fn() -> Option<String>) -> Result<(), Violation> {
        let until = self.scheduler.now() + PATIENCE;
        while let Some(detail) = missing() {
            self.cluster.revive();
            if self.scheduler.now() > until {
                let alarms = self.cluster.alarms();
                let alarm = alarms.last().map(|alarm| format!(" ({alarm})")).unwrap_or_default();
                return Err(Violation::new(rule, format!("not after {PATIENCE:?}: {detail}{alarm}"), Vec::new()));
            }
            self.scheduler.sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Opens the database with nothing but what is in the store; and reads the whole log, those of its records included
    /// that were removed.
    async fn fresh(&self, name: &str) -> Result<(Tables, Tables, Truth), Violation> {
        let violation = |error: Error| Violation::new("a fresh reader can open the log", error.to_string(), Vec::new());
        let (machine, storage) = (sound(), &self.config.storage);
        let store = self.world.handle(OBSERVER);
        let opened = open(store, self.environment(name), &machine, storage, Beginning::Exists);
        let tables = opened.await.map_err(violation)?;
        let env = self.environment(&format!("{name}, archive"));
        let opened = open(Archive::new(self.world.clone()), env, &machine, storage, Beginning::ReadOnly);
        let rule = "every record that ever was continues the one before it";
        let violation = |error: Error| Violation::new(rule, error.to_string(), Vec::new());
        let archive = opened.await.map_err(violation)?;
        let (times, now) = (self.world.records(crate::store::Records::times), self.scheduler.now());
        let truth = Truth::read(&archive.db, times, now).await.map_err(violation)?;
        if truth.end < tables.db.position().0 {
            let detail = format!("{} is read, and only {} records were created", tables.db.position(), truth.end);
            return Err(Violation::new(rule, detail, Vec::new()));
        }
        Ok((tables, archive, truth))
    }

    fn environment(&self, name: &str) -> SimEnvironment {
        let random = SimRandom::stream(self.seed, name);
        let group = self.scheduler.new_group();
        SimEnvironment::new(self.scheduler.clone(), group, MachineClock::default(), random)
    }

    /// A node whose deadlines are tight may need several attempts, with time in between: what it has learnt of a slow
    /// store has to be forgotten.
    async fn must_commit(&self, process: ProcessId) -> Option<Violation> {
        let mut last = (0, String::new());
        for attempt in 0..FINAL_ATTEMPTS {
            self.cluster.revive();
            if attempt == FINAL_ATTEMPTS / 2 {
                // Known: a writer that lost and has a tight deadline waits longer for its turn than it has time, even if
                // nobody else writes. It is counted; opening again helps.
                self.starved.fetch_add(1, Ordering::Relaxed);
                self.cluster.kill(process);
                self.cluster.start(process);
            }
            if let Some(node) = self.cluster.nodes().into_iter().find(|node| node.process == process) {
                if attempt > 0 {
                    // Its deadline may be too short to catch up within one commit. Errors show in the commit.
                    let _ = node.tables.db.refresh(Freshness::Strict).await;
                }
                let (token, error) = final_write(&self.recorder, &node).await;
                let history = self.recorder.history();
                let operation = history.get(usize::try_from(token.checked_sub(1)?).ok()?)?;
                if operation.is_ok() {
                    return None;
                }
                if matches!(error, Some(Error::Log(LogError::FellBehind { .. }))) {
                    self.cluster.has_fallen(node.life);
                }
                last = (token, operation.to_string());
            }
            self.scheduler.sleep(Duration::from_secs(1) * 2u32.saturating_pow(attempt.min(7))).await;
        }
        Some(Violation::new("commits succeed once nothing fails any more", last.1, vec![last.0]))
    }

    fn check_history(&self, truth: &Truth) -> Vec<Violation> {
        let history = self.recorder.history();
        let mut violations = check_outcomes(&history, truth);
        violations.extend(check_transactions(&history, truth));
        violations.extend(check_black_box(&history));
        violations.extend(check_validity(truth));
        let suspended = self.config.harms.iter().any(|(harm, _)| *harm == Harm::Suspend);
        violations.extend(check_reads(&history, truth, !suspended, self.clocks_off_ms()));
        violations.extend(check_expiry(&history, truth, &self.config.storage, !suspended));
        // A listing may lag, and opening may take longer than removed records are kept.
        let may_miss = !self.config.faults.list_lag.is_zero() || self.config.storage.grace.is_some();
        let tolerated = |text: &str| may_miss && text.contains("is missing");
        let broken = |operation: &Operation| match &operation.outcome {
            Outcome::Broken(text) if !tolerated(text) => Some(operation.to_string()),
            _ => None,
        };
        let alarms = self.cluster.alarms().into_iter().filter(|alarm| !tolerated(alarm));
        for detail in history.iter().filter_map(broken).chain(alarms) {
            violations.push(Violation::new("a sound log is not called broken", detail, Vec::new()));
        }
        violations
    }
}

/// How many records are gone.
fn removed(world: &StoreWorld) -> u64 {
    let is_record = |key: &&bucketdb::Key| crate::store::position(key).is_some();
    let left = world.keys().iter().filter(is_record).count();
    world.records(|records| records.times().len()).saturating_sub(left) as u64
}

/// A machine without any fault.
fn sound() -> MachineConfig {
    MachineConfig {
        node_id: 0,
        drift_ppm: 0,
        skew_ms: 0,
        commit_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(10),
        staleness: Duration::ZERO,
    }
}
