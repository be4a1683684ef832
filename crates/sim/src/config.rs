use std::fmt;
use std::time::Duration;

use bucketdb::simulation::{Policy, TailLimits};

use crate::nemesis::Harm;
use crate::workload::Work;
use crate::{Faults, Latencies, Latency, SimRandom};

/// What kind of run a seed is.
///
/// Every feature is left out of many runs ("swarm testing"): faults and workloads that are always there hide each
/// other's bugs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The processes.
    pub machines: Vec<MachineConfig>,
    /// How many nodes take turns.
    pub ring_size: u64,
    /// Clients in each process.
    pub clients: u64,
    /// Operations of all clients together.
    pub operations: u64,
    /// The longest pause of a client between two operations.
    pub think: Duration,
    /// How many keys each table has.
    pub keys: u64,
    /// How many names there are to claim at a time.
    pub names: u64,
    /// What clients do, and how often.
    pub mix: Vec<(Work, u64)>,
    /// Whether clients ask what became of commits of unknown outcome.
    pub settle: bool,
    /// Whether each process follows the changes.
    pub follow: bool,
    /// How long requests take.
    pub latencies: Latencies,
    /// What goes wrong with requests.
    pub faults: Faults,
    /// How many keys a page of a listing holds.
    pub page_keys: usize,
    /// How what is stored is looked after.
    pub storage: Storage,
    /// What is done to the processes, and how often.
    pub harms: Vec<(Harm, u64)>,
    /// The longest pause between two harms.
    pub calm: Duration,
    /// After this long, clients stop even if they have not done everything.
    pub duration: Duration,
}

/// How what is stored is looked after: everything so small that all of it happens in a run.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// For how long nothing is removed that somebody may need; `None` is the usual hour.
    pub grace: Option<Duration>,
    /// For how long the past is kept; `None` is as long as the grace.
    pub history: Option<Duration>,
    /// How long the log may grow behind its newest checkpoint.
    pub tail_limits: TailLimits,
    /// Size of a block of a run.
    pub block_bytes: u32,
    /// How much may be written in memory before there is a checkpoint.
    pub overlay_bytes: usize,
    /// How much is kept in memory for those who read earlier positions.
    pub earlier_bytes: usize,
    /// How runs are merged.
    pub policy: Policy,
    /// How much of the indexes that are being built one checkpoint does: bytes of entries, and of rows; and how many bytes of
    /// entries may come and go with what it writes.
    pub index_piece: (usize, usize, usize),
    /// How long it takes on average until the keeper of a process does something; `None` if there are none.
    pub keeper: Option<Duration>,
}

/// How one process is set up.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Its node id; others may have the same.
    pub node_id: u64,
    /// How fast its clocks run, in millionths above the truth.
    pub drift_ppm: i64,
    /// How far off its wall clock is at the beginning.
    pub skew_ms: i64,
    /// How long commits are waited for.
    pub commit_timeout: Duration,
    /// How long requests are waited for.
    pub request_timeout: Duration,
    /// How old reads may be by default.
    pub staleness: Duration,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

impl Config {
    /// The kind of run that a seed is.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = SimRandom::stream(seed, "config");
        let random = &mut random;
        let processes = *random.pick(&[1, 2, 2, 3, 3, 3, 4, 5]).unwrap_or(&2);
        let ring_size = random.between(1, processes + 1);
        let latencies = latencies(random);
        let faults = faults(random);
        let mut harms = harms(random);
        // What shows that a store lied is the record behind; when that is removed too, nobody can be told.
        let may_remove = faults.list_lag.is_zero() && faults.lie == 0.0;
        let grace = if may_remove { grace(random, &mut harms) } else { None };
        let storage = storage(random, grace, faults.lie > 0.0);
        if faults.lie > 0.0 {
            // Whose record was overwritten, and who dies before reading on, can tell nobody: nothing shows it.
            harms.retain(|(harm, _)| !matches!(harm, Harm::Crash | Harm::CrashAll | Harm::CloneMachine));
        }
        // Known: "committed" may be the answer about a commit of a copy of this machine, for both have one id.
        let settle = random.chance(0.5) && !harms.iter().any(|(harm, _)| *harm == Harm::CloneMachine);
        let machines = (0..processes).map(|number| machine(random, number, ring_size)).collect();
        Self {
            machines,
            ring_size,
            clients: random.between(1, 4),
            operations: random.between(60, 220),
            think: think(random, grace.is_some()),
            keys: random.between(1, 6),
            names: *random.pick(&[1, 2, 4, 10]).unwrap_or(&2),
            mix: with_what_came_later(mix(random), seed, (faults.lie > 0.0, !faults.list_lag.is_zero())),
            settle,
            follow: grace.is_none() && random.chance(0.5),
            latencies,
            faults,
            page_keys: *random.pick(&[3, 20, 1000, 1000]).unwrap_or(&1000),
            storage,
            harms,
            calm: random.magnitude(100 * MS, 2 * MINUTE),
            duration: random.magnitude(30 * SECOND, 60 * MINUTE),
        }
    }
}

/// Records are removed while processes stand still: what they knew before must not be believed.
fn grace(random: &mut SimRandom, harms: &mut Vec<(Harm, u64)>) -> Option<Duration> {
    if !random.chance(0.5) {
        return None;
    }
    for harm in [Harm::Pause, Harm::Suspend, Harm::CutOff] {
        if random.chance(0.6) && !harms.iter().any(|(other, _)| *other == harm) {
            harms.push((harm, random.between(1, 10)));
        }
    }
    // The one assumption: not every clock of a machine misses most of the time that passes.
    if harms.iter().any(|(harm, _)| *harm == Harm::Suspend) {
        harms.retain(|(harm, _)| *harm != Harm::Skew);
    }
    Some(random.magnitude(2 * SECOND, MINUTE))
}

fn storage(random: &mut SimRandom, grace: Option<Duration>, lies: bool) -> Storage {
    let soft_records = *random.pick(&[4, 8, 15, 30, 256]).unwrap_or(&8);
    let hard_records = if random.chance(0.2) { soft_records + random.between(2, 20) } else { 8_192 };
    let hard_records = hard_records.max(soft_records);
    let tail_limits = TailLimits { soft_records, hard_records, ..TailLimits::default() };
    let policy = Policy {
        max_tiers: random.between(2, 6) as usize,
        min_merge: random.between(2, 4) as usize,
        piece_bytes: *random.pick(&[300, 1_000, 4_000, 1 << 20]).unwrap_or(&4_000),
        run_bytes: *random.pick(&[200, 1_000, 4_000, 1 << 20]).unwrap_or(&4_000),
        max_deletions: random.between(2, 8),
        least_bytes: *random.pick(&[0, 500, 64 << 10]).unwrap_or(&500),
    };
    let history = match random.below(3) {
        0 => None,
        1 => Some(Duration::ZERO),
        _ => Some(random.magnitude(SECOND, MINUTE)),
    };
    let keeper = random.chance(0.6).then(|| random.magnitude(SECOND, MINUTE));
    let block_bytes = *random.pick(&[1_024, 1_024, 4_096]).unwrap_or(&1_024);
    let overlay_bytes = *random.pick(&[2_000, 8_000, 1 << 20]).unwrap_or(&8_000);
    Storage {
        // What was removed can tell nobody of a lie: nothing is.
        grace: if lies { Some(Duration::from_secs(10 * 24 * 3600)) } else { grace },
        history,
        tail_limits,
        block_bytes,
        overlay_bytes,
        earlier_bytes: *random.pick(&[4_000, 1 << 20, 1 << 20]).unwrap_or(&4_000),
        policy,
        // Where little may be in memory, much is written between two checkpoints.
        index_piece: (200, 2_000, if overlay_bytes < 8_000 { 4_000 } else { 1 << 20 }),
        keeper,
    }
}

fn think(random: &mut SimRandom, removes: bool) -> Duration {
    let all = [Duration::ZERO, 10 * MS, 100 * MS, SECOND, 20 * SECOND];
    let slow = [SECOND, 5 * SECOND, 20 * SECOND];
    let choices = if removes { slow.as_slice() } else { all.as_slice() };
    random.pick(choices).copied().unwrap_or(SECOND)
}

fn machine(random: &mut SimRandom, number: u64, ring_size: u64) -> MachineConfig {
    let node_id = if random.chance(0.8) { number % ring_size } else { random.below(ring_size) };
    let drift_ppm = match random.below(4) {
        0 => random.between(0, 200_000) as i64 - 100_000,
        1 => random.between(0, 200) as i64 - 100,
        _ => 0,
    };
    let skew_ms = match random.below(4) {
        0 => random.between(0, 7_200_000) as i64 - 3_600_000,
        1 => random.between(0, 200) as i64 - 100,
        _ => 0,
    };
    let commit_timeout = match random.below(4) {
        0 => random.magnitude(10 * MS, SECOND),
        1 => random.magnitude(SECOND, 10 * SECOND),
        _ => MINUTE,
    };
    let request_timeout = match random.below(4) {
        0 => random.magnitude(20 * MS, SECOND),
        1 => random.magnitude(SECOND, 5 * SECOND),
        _ => 10 * SECOND,
    };
    let staleness = match random.below(3) {
        0 => Duration::ZERO,
        1 => SECOND,
        _ => random.magnitude(MS, 30 * SECOND),
    };
    MachineConfig { node_id, drift_ppm, skew_ms, commit_timeout, request_timeout, staleness }
}

fn latencies(random: &mut SimRandom) -> Latencies {
    let mut latency = || match random.below(4) {
        0 => Latency::Fixed(*random.pick(&[Duration::ZERO, MS, 20 * MS, 200 * MS]).unwrap_or(&MS)),
        1 => Latency::Uniform(MS, random.magnitude(2 * MS, 200 * MS)),
        _ => Latency::LongTail { low: 5 * MS, high: 30 * MS, tail: 0.03, longest: 3 * SECOND },
    };
    let put = latency();
    if random.chance(0.5) { Latencies::all(put) } else { Latencies { put, ..Latencies::default() } }
}

fn faults(random: &mut SimRandom) -> Faults {
    if random.chance(0.15) {
        return Faults::default();
    }
    let mut rate = |likely: f64, most: u64| {
        if random.chance(likely) { random.between(1, most) as f64 / 1000.0 } else { 0.0 }
    };
    let mut faults = Faults {
        fail_before: rate(0.5, 200),
        fail_after: rate(0.5, 200),
        lose_request: rate(0.4, 50),
        lose_answer: rate(0.4, 80),
        delay: rate(0.4, 80),
        duplicate: rate(0.4, 100),
        deny: rate(0.3, 80),
        ..Faults::default()
    };
    faults.longest_delay = random.magnitude(SECOND, 10 * MINUTE);
    if random.chance(0.2) {
        faults.list_lag = random.magnitude(10 * MS, 5 * SECOND);
    }
    if random.chance(0.03) {
        faults.lie = 0.1;
    }
    faults
}

fn harms(random: &mut SimRandom) -> Vec<(Harm, u64)> {
    if random.chance(0.2) {
        return Vec::new();
    }
    let mut harms = Vec::new();
    for harm in Harm::ALL {
        if random.chance(0.4) {
            harms.push((harm, random.between(1, 10)));
        }
    }
    harms
}

/// Whether documents have blobs, whether some end, whether questions are asked, and whether there are branches, backups and
/// databases that are dropped, is drawn apart, so that all else of a seed is as it was before there were any.
fn with_what_came_later(mut mix: Vec<(Work, u64)>, seed: u64, (may_lie, may_lag): (bool, bool)) -> Vec<(Work, u64)> {
    let mut random = SimRandom::stream(seed, "pictures");
    if random.chance(0.35) {
        mix.push((Work::Picture, random.between(1, 10)));
    }
    let mut random = SimRandom::stream(seed, "tickets");
    // Where the store lies, what it does to a record whose writer never had an answer is found by nobody: there is less to check.
    if !may_lie && random.chance(0.5) {
        mix.push((Work::Ticket, random.between(1, 10)));
    }
    let mut random = SimRandom::stream(seed, "questions");
    if random.chance(0.4) {
        mix.push((Work::Ask, random.between(2, 12)));
    }
    let mut random = SimRandom::stream(seed, "branches");
    if !may_lie && random.chance(0.35) {
        // A branch has to be there for long to show that what it needs stays.
        mix.push((Work::Branch, random.between(4, 40)));
    }
    let mut random = SimRandom::stream(seed, "backups");
    // What a listing does not show yet is missing in a backup, which says so.
    if !may_lie && !may_lag && random.chance(0.25) {
        mix.push((Work::Backup, random.between(1, 5)));
    }
    let mut random = SimRandom::stream(seed, "successors");
    if !may_lie && random.chance(0.25) {
        mix.push((Work::Succeed, random.between(2, 30)));
    }
    mix
}

fn mix(random: &mut SimRandom) -> Vec<(Work, u64)> {
    let mut mix = Vec::new();
    for work in Work::ALL {
        let likely = match work {
            Work::Schema => 0.2,
            Work::Index => 0.4,
            _ => 0.55,
        };
        if random.chance(likely) {
            let is_rare = matches!(work, Work::Schema | Work::Index);
            let weight = if is_rare { 1 } else { random.between(1, 10) };
            mix.push((work, weight));
        }
    }
    // Without something that reads what was written, little would be found.
    for work in [Work::Append, Work::Get] {
        if !mix.iter().any(|(other, _)| *other == work) {
            mix.push((work, 2));
        }
    }
    mix
}

impl fmt::Display for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{self:#?}")
    }
}
