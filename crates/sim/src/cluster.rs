use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::simulation::{set_index_piece, set_memory, set_policy, set_tail_limits};
use bucketdb::{Database, Driver, Error, StoreCheck};
use parking_lot::Mutex;

use crate::config::{MachineConfig, Storage};
use crate::keeper::Keeper;
use crate::workload::{Caller, Client, ClientSettings, Fallen, FollowerLog, Outcome, Recorder, Tables, follow};
use crate::{GroupId, MachineClock, ProcessId, Scheduler, SimEnvironment, SimRandom, StoreWorld, Trace};

/// A store is tried in this way when the database is created: the simulated one is known.
pub(crate) const QUICK_CHECK: StoreCheck = StoreCheck { rounds: 2, racers: 2 };

/// Where the database is in the store.
pub(crate) const DATABASE_PREFIX: &str = "db";

/// The processes of a run. Clones are the same.
#[derive(Clone)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    scheduler: Scheduler,
    world: StoreWorld,
    trace: Trace,
    recorder: Recorder,
    storage: Storage,
    settings: ClientSettings,
    clients: u64,
    follow: bool,
    fallen: Fallen,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    processes: BTreeMap<ProcessId, Process>,
    /// Errors that say that the log is broken.
    alarms: Vec<String>,
    lives: u64,
    clients: u64,
}

struct Process {
    machine: MachineConfig,
    clock: MachineClock,
    follower: FollowerLog,
    life: Option<Life>,
}

struct Life {
    group: GroupId,
    /// Since when it is stopped.
    paused: Option<Duration>,
    tables: Option<Tables>,
}

/// A process that has opened its database.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) process: ProcessId,
    pub(crate) life: GroupId,
    pub(crate) tables: Tables,
    pub(crate) follower: FollowerLog,
}

impl Cluster {
    pub(crate) fn new(
        seed: u64,
        (clients, follow): (u64, bool),
        settings: ClientSettings,
        (scheduler, world, trace): (Scheduler, StoreWorld, Trace),
        (recorder, storage): (Recorder, Storage),
    ) -> Self {
        let (state, fallen) = (Mutex::default(), Fallen::default());
        let shared =
            Shared { seed, scheduler, world, trace, recorder, storage, settings, clients, follow, fallen, state };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a machine that does not run yet.
    pub(crate) fn add(&self, machine: MachineConfig) -> ProcessId {
        let mut state = self.shared.state.lock();
        let process = ProcessId(u32::try_from(state.processes.len()).unwrap_or(u32::MAX));
        let boot = Duration::from_secs(1 + 977 * u64::from(process.0));
        let clock = MachineClock::new(machine.drift_ppm, boot);
        clock.skew(machine.skew_ms);
        state.processes.insert(process, Process { machine, clock, follower: FollowerLog::default(), life: None });
        process
    }

    /// Starts a process that does not run.
    pub(crate) fn start(&self, process: ProcessId) {
        let life = {
            let mut state = self.shared.state.lock();
            state.lives += 1;
            state.lives
        };
        self.start_drawing(process, &format!("life {life}"));
    }

    /// Starts a process whose random bytes are those of that stream.
    pub(crate) fn start_drawing(&self, process: ProcessId, stream: &str) {
        let Shared { scheduler, trace, seed, .. } = &*self.shared;
        let mut state = self.shared.state.lock();
        let Some(found) = state.processes.get_mut(&process) else { return };
        if found.life.is_some() {
            return;
        }
        let group = scheduler.new_group();
        found.life = Some(Life { group, paused: None, tables: None });
        let random = SimRandom::stream(*seed, stream);
        let env = SimEnvironment::new(scheduler.clone(), group, found.clock.clone(), random);
        let (machine, follower) = (found.machine.clone(), found.follower.clone());
        drop(state);
        trace.note(format_args!("{process} starts, {stream}"));
        let choices = SimRandom::stream(*seed, &format!("{process} clients, {stream}"));
        scheduler.spawn(group, Box::pin(self.clone().live(process, group, env, machine, follower, choices)));
    }

    /// The life of a process: opens the database, however often that takes, and lets its clients work.
    async fn live(
        self,
        process: ProcessId,
        group: GroupId,
        env: SimEnvironment,
        machine: MachineConfig,
        follower: FollowerLog,
        mut choices: SimRandom,
    ) {
        let Shared { scheduler, trace, recorder, settings, clients, .. } = &*self.shared;
        let tables = loop {
            let store = self.shared.world.handle(process);
            match open(store, env.clone(), &machine, &self.shared.storage, Beginning::Exists).await {
                Ok(tables) => break tables,
                Err(error) => {
                    trace.note(format_args!("{process} cannot open: {error}"));
                    let mut longest = Duration::from_secs(2);
                    if let Outcome::Broken(alarm) = Outcome::of_error(&error) {
                        self.alarm(format!("{process} opening: {alarm}"));
                        // It may stay so.
                        longest = Duration::from_secs(60);
                    }
                    scheduler.sleep(choices.magnitude(Duration::from_millis(10), longest)).await;
                }
            }
        };
        trace.note(format_args!("{process} is open at {}", tables.db.position()));
        if let Some(life) = self.shared.state.lock().processes.get_mut(&process).and_then(|found| found.life.as_mut()) {
            life.tables = Some(tables.clone());
        }
        for client in 0..*clients {
            let client = Client {
                tables: tables.clone(),
                settings: settings.clone(),
                recorder: recorder.clone(),
                scheduler: scheduler.clone(),
                random: SimRandom::new(choices.between(0, u64::MAX - 1).wrapping_add(client)),
                caller: Caller { process, life: group, client: self.next_client() },
                fallen: self.shared.fallen.clone(),
                successor: None,
            };
            scheduler.spawn(group, Box::pin(client.run()));
        }
        if let Some(interval) = self.shared.storage.keeper {
            let (db, name) = (tables.db.clone(), format!("the keeper of {process}"));
            let random = SimRandom::new(choices.between(0, u64::MAX - 1));
            let keeper = Keeper { db, name, scheduler: scheduler.clone(), trace: trace.clone(), random };
            let (budget, cluster) = (settings.budget.clone(), self.clone());
            let kept = keeper.run(interval, move || *budget.lock() == 0, move |text| cluster.alarm(text));
            scheduler.spawn(group, Box::pin(kept));
        }
        if self.shared.follow {
            let interval = choices.magnitude(Duration::from_millis(300), Duration::from_secs(20));
            follow(tables.db.clone(), follower, scheduler.clone(), trace.clone(), interval).await;
        }
    }

    /// Somebody was told that the database is broken.
    fn alarm(&self, text: String) {
        self.shared.state.lock().alarms.push(text);
    }

    fn next_client(&self) -> u64 {
        let mut state = self.shared.state.lock();
        state.clients += 1;
        state.clients
    }

    /// Begins new lives of the processes that were told to open the database again.
    pub(crate) fn revive(&self) {
        let fallen = std::mem::take(&mut *self.shared.fallen.lock());
        if fallen.is_empty() {
            return;
        }
        let state = self.shared.state.lock();
        let lives = state.processes.iter().filter_map(|(process, found)| Some((*process, found.life.as_ref()?.group)));
        let processes: Vec<ProcessId> =
            lives.filter(|(_, life)| fallen.contains(life)).map(|(process, _)| process).collect();
        drop(state);
        for process in processes {
            self.kill(process);
            self.start(process);
        }
    }

    /// Notes that a life was told to open the database again.
    pub(crate) fn has_fallen(&self, life: GroupId) {
        self.shared.fallen.lock().insert(life);
    }

    /// Errors that said that the log is broken.
    pub(crate) fn alarms(&self) -> Vec<String> {
        self.shared.state.lock().alarms.clone()
    }

    /// Ends the life of a process where it stands.
    pub(crate) fn kill(&self, process: ProcessId) {
        let life = self.shared.state.lock().processes.get_mut(&process).and_then(|found| found.life.take());
        if let Some(life) = life {
            self.shared.trace.note(format_args!("{process} crashes"));
            self.shared.scheduler.kill(life.group);
        }
    }

    /// Stops a process without ending it.
    pub(crate) fn pause(&self, process: ProcessId) {
        let mut state = self.shared.state.lock();
        let Some(life) = state.processes.get_mut(&process).and_then(|found| found.life.as_mut()) else { return };
        life.paused.get_or_insert(self.shared.scheduler.now());
        let group = life.group;
        drop(state);
        self.shared.trace.note(format_args!("{process} is stopped"));
        self.shared.scheduler.pause(group);
    }

    /// Lets a stopped process go on, if it still lives the same life; its monotonic clock did not count `frozen`.
    pub(crate) fn resume(&self, process: ProcessId, frozen: Duration) {
        let mut state = self.shared.state.lock();
        let Some(found) = state.processes.get_mut(&process) else { return };
        let Some(life) = found.life.as_mut() else { return };
        let Some(since) = life.paused.take() else { return };
        // It may have been another stop that this was to end.
        found.clock.freeze(frozen.min(self.shared.scheduler.now().saturating_sub(since)));
        let group = life.group;
        drop(state);
        self.shared.trace.note(format_args!("{process} goes on"));
        self.shared.scheduler.resume(group);
    }

    /// Sets the wall clock of a process that far from the truth.
    pub(crate) fn skew(&self, process: ProcessId, skew_ms: i64) {
        self.shared.trace.note(format_args!("{process} has its clock set off by {skew_ms} ms"));
        if let Some(found) = self.shared.state.lock().processes.get(&process) {
            found.clock.skew(skew_ms);
        }
    }

    /// A second machine that is a copy of the first: both begin a new life with the same node id and the same chance.
    pub(crate) fn clone_machine(&self, process: ProcessId) {
        let copied = self.shared.state.lock().processes.get(&process).map(|found| found.machine.clone());
        let Some(machine) = copied else { return };
        self.kill(process);
        let copy = self.add(machine);
        let life = {
            let mut state = self.shared.state.lock();
            state.lives += 1;
            state.lives
        };
        let stream = format!("life {life}");
        self.shared.trace.note(format_args!("{copy} is a copy of {process}"));
        self.start_drawing(process, &stream);
        self.start_drawing(copy, &stream);
    }

    /// All processes, whether they run or not.
    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        self.shared.state.lock().processes.keys().copied().collect()
    }

    /// The processes that run.
    pub(crate) fn running(&self) -> Vec<ProcessId> {
        let state = self.shared.state.lock();
        state.processes.iter().filter(|(_, found)| found.life.is_some()).map(|(process, _)| *process).collect()
    }

    /// Their present lives.
    pub(crate) fn lives(&self) -> Vec<GroupId> {
        let state = self.shared.state.lock();
        state.processes.values().filter_map(|found| found.life.as_ref()).map(|life| life.group).collect()
    }

    /// Those that have opened the database.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let state = self.shared.state.lock();
        let node = |(process, found): (&ProcessId, &Process)| {
            let life = found.life.as_ref()?;
            let tables = life.tables.clone()?;
            Some(Node { process: *process, life: life.group, tables, follower: found.follower.clone() })
        };
        state.processes.iter().filter_map(node).collect()
    }

    /// What followers have seen, of all processes.
    pub(crate) fn followers(&self) -> Vec<(ProcessId, FollowerLog)> {
        let state = self.shared.state.lock();
        state.processes.iter().map(|(process, found)| (*process, found.follower.clone())).collect()
    }

    /// Ends all lives.
    pub(crate) fn kill_all(&self) {
        for process in self.running() {
            self.kill(process);
        }
    }
}

/// Whether there is a database for whoever opens it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beginning {
    /// There is none yet.
    Create { ring_size: u64 },
    /// There is one.
    Exists,
    /// There is one, and nothing is to be written.
    ReadOnly,
}

/// Opens the database as a machine is set up to.
pub(crate) async fn open(
    store: impl Driver,
    env: SimEnvironment,
    machine: &MachineConfig,
    storage: &Storage,
    beginning: Beginning,
) -> Result<Tables, Error> {
    let mut builder = Database::builder()
        .driver(store)
        .environment(env)
        .prefix(DATABASE_PREFIX)
        .node_id(machine.node_id)
        .staleness(machine.staleness)
        .commit_timeout(machine.commit_timeout)
        .request_timeout(machine.request_timeout)
        .store_check(QUICK_CHECK);
    builder = set_policy(builder, storage.policy);
    builder = set_index_piece(builder, storage.index_piece);
    builder = set_memory(builder, (CACHE_BYTES, storage.overlay_bytes, storage.earlier_bytes));
    builder = match beginning {
        Beginning::Create { ring_size } => {
            builder =
                set_tail_limits(builder, storage.tail_limits).ring_size(ring_size).block_size(storage.block_bytes);
            builder = storage.grace.into_iter().fold(builder, bucketdb::DatabaseBuilder::grace);
            storage.history.into_iter().fold(builder, bucketdb::DatabaseBuilder::history)
        }
        Beginning::Exists => builder.create(false),
        Beginning::ReadOnly => builder.read_only(true),
    };
    Tables::open(&builder.open().await?).await
}

/// Parts of runs are kept in that much memory: all of them, because what leaves it first is nothing to rely on.
const CACHE_BYTES: usize = 64 << 20;
