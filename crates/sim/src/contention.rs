use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::{Database, StoreCheck};
use parking_lot::Mutex;
use serde_json::json;

use crate::maintenance::divide;
use crate::stage::{Outcome, play};
use crate::{Latencies, MachineClock, ProcessId, Scheduler, SimEnvironment, SimRandom, StoreWorld, Trace};

/// Several processes that commit as fast as they can, each one document after the other.
#[derive(Clone, Copy, Debug)]
pub struct Contention {
    /// How many processes.
    pub processes: u32,
    /// How long the store takes for a put.
    pub put: Duration,
    /// How long it takes for a get.
    pub get: Duration,
    /// For how long they go on.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct ContentionReport {
    /// What was run.
    pub contention: Contention,
    /// How many commits were acknowledged to each process.
    pub commits: Vec<u64>,
    /// How many puts all of them took together.
    pub puts: u64,
    /// How many gets.
    pub gets: u64,
    /// How long each commit took.
    pub latencies: Taken,
}

/// How long commits took.
#[derive(Clone, Debug, Default)]
pub struct Taken(Vec<Duration>);

impl Taken {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// At most that long in such a part of all cases.
    #[must_use]
    pub fn at(&self, part: f64) -> Duration {
        let mut ascending = self.0.clone();
        ascending.sort_unstable();
        let last = ascending.len().saturating_sub(1);
        let index = (ascending.len() as f64 * part) as usize;
        ascending.get(index.min(last)).copied().unwrap_or_default()
    }
}

impl Contention {
    /// Runs it on virtual time.
    ///
    /// # Errors
    /// If a commit fails, or if the run does not end.
    pub fn run(self, seed: u64) -> Result<ContentionReport, String> {
        play(seed, |scheduler| self.play(seed, scheduler))
    }

    async fn play(self, seed: u64, scheduler: Scheduler) -> Outcome<ContentionReport> {
        let world = StoreWorld::new(seed, scheduler.clone(), Trace::new(scheduler.clone(), false));
        let mut databases = Vec::new();
        for process in 0..self.processes {
            databases.push(open(seed, process, &scheduler, &world).await?);
        }
        world.set_latencies(Latencies::fixed(self.put, self.get));
        let before = world.usage_by_folder();
        let latencies: Vec<Arc<Mutex<Taken>>> = databases.iter().map(|_| Arc::default()).collect();
        let failure = Arc::new(Mutex::new(None));
        let until = scheduler.now() + self.duration;
        for (number, ((db, group), taken)) in databases.iter().zip(&latencies).enumerate() {
            let (scheduler, taken, failure) = (scheduler.clone(), taken.clone(), failure.clone());
            let collection = db.collection("counters");
            let clients = scheduler.clone();
            clients.spawn(
                *group,
                Box::pin(async move {
                    let mut count = 0u64;
                    while scheduler.now() < until {
                        let begun = scheduler.now();
                        count += 1;
                        if let Err(error) = collection.put(&json!({"id": number, "count": count})).await {
                            *failure.lock() = Some(error.to_string());
                            return;
                        }
                        taken.lock().add(scheduler.now() - begun);
                    }
                }),
            );
        }
        scheduler.sleep(self.duration).await;
        if let Some(failure) = failure.lock().take() {
            return Err(failure);
        }
        // What maintenance takes is measured elsewhere.
        let (used, _) = divide(&before, &world.usage_by_folder());
        let commits = latencies.iter().map(|taken| taken.lock().0.len() as u64).collect();
        let all = Taken(latencies.iter().flat_map(|taken| taken.lock().0.clone()).collect());
        Ok(ContentionReport { contention: self, commits, puts: used.puts, gets: used.gets, latencies: all })
    }
}

pub(crate) async fn open(
    seed: u64,
    process: u32,
    scheduler: &Scheduler,
    world: &StoreWorld,
) -> Outcome<(Database, crate::GroupId)> {
    let group = scheduler.new_group();
    let random = SimRandom::stream(seed, &format!("process {process}"));
    let env = SimEnvironment::new(scheduler.clone(), group, MachineClock::default(), random);
    let db = Database::builder()
        .driver(world.handle(ProcessId(process)))
        .environment(env)
        .prefix("db")
        .store_check(StoreCheck { rounds: 1, racers: 2 })
        .open()
        .await
        .map_err(|error| error.to_string())?;
    if process == 0 {
        db.collection("counters").put(&json!({"id": 0, "count": 0})).await.map_err(|error| error.to_string())?;
    }
    Ok((db, group))
}

impl ContentionReport {
    fn total(&self) -> u64 {
        self.commits.iter().sum()
    }

    /// Commits per second of all processes together.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.total() as f64 / self.contention.duration.as_secs_f64()
    }

    /// The rate, as a part of one commit for each time that a put takes.
    #[must_use]
    pub fn of_limit(&self) -> f64 {
        self.rate() * self.contention.put.as_secs_f64()
    }

    /// The part of the puts that brought no record into the log.
    #[must_use]
    pub fn wasted(&self) -> f64 {
        // Those that were under way at the end count for what they would have become: nothing.
        (self.puts.saturating_sub(self.total())) as f64 / self.puts.max(1) as f64
    }

    /// What the slowest process got, as a part of its fair share.
    #[must_use]
    pub fn least_share(&self) -> f64 {
        let least = self.commits.iter().min().copied().unwrap_or(0);
        least as f64 * self.commits.len() as f64 / self.total().max(1) as f64
    }
}

/// A row of a table in Markdown.
impl fmt::Display for ContentionReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        write!(
            formatter,
            "| {} | {:.0} / {:.0} ms | {:.1} | {:.2} | {:.1} % | {:.2} | {:.0} ms | {:.0} ms | {:.1} |",
            self.contention.processes,
            ms(self.contention.put),
            ms(self.contention.get),
            self.rate(),
            self.of_limit(),
            self.wasted() * 100.0,
            self.least_share(),
            ms(self.latencies.at(0.5)),
            ms(self.latencies.at(0.99)),
            self.gets as f64 / self.total().max(1) as f64,
        )
    }
}

/// What the columns of the table are.
pub const CONTENTION_HEADER: &str = "\
| processes | PUT / GET | commits/s | of 1/PUT | PUTs wasted | slowest, of its share | p50 | p99 | GETs per commit |
|---|---|---|---|---|---|---|---|---|";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Executor, Latency, Limits};

    const PUT: Duration = Duration::from_millis(30);

    #[test]
    fn processes_that_contend_share_the_log_and_waste_little() {
        for (processes, get) in [(2, PUT), (8, PUT / 2), (32, PUT)] {
            let contention = Contention { processes, put: PUT, get, duration: Duration::from_secs(60) };
            let report = contention.run(1).unwrap();
            assert!(report.of_limit() >= 0.8, "{report}");
            assert!(report.wasted() <= 0.15, "{report}");
            assert!(report.least_share() >= 0.5, "{report}");
        }
    }

    #[test]
    fn a_process_that_is_alone_takes_one_round_trip() {
        let report = Contention { processes: 1, put: PUT, get: PUT, duration: Duration::from_secs(60) }.run(1).unwrap();
        assert_eq!(report.gets, 0);
        assert!(report.latencies.at(0.95) <= PUT * 105 / 100, "{report}");
        // Now and then it leaves a gap for others, and checkpoints have records as well.
        assert!(report.of_limit() >= 0.95, "{report}");
    }

    #[test]
    fn a_thousand_commits_at_once_take_few_puts_and_are_answered_together() {
        let executor = Executor::new(1, Limits::default());
        let scheduler = executor.scheduler();
        let (puts, took) = executor
            .run(async move {
                let world = StoreWorld::new(1, scheduler.clone(), Trace::new(scheduler.clone(), false));
                let (db, _) = open(1, 0, &scheduler, &world).await.unwrap();
                world.set_latencies(Latencies::all(Latency::Fixed(PUT)));
                let (before, begun) = (world.usage(ProcessId(0)), scheduler.now());
                let collection = db.collection("counters");
                let documents: Vec<_> = (0..1_000).map(|id| json!({"id": id, "count": 1})).collect();
                for outcome in futures::future::join_all(documents.iter().map(|one| collection.put(one))).await {
                    outcome.unwrap();
                }
                let after = world.usage(ProcessId(0));
                assert_eq!(after.gets + after.lists, before.gets + before.lists);
                (after.puts - before.puts, scheduler.now() - begun)
            })
            .unwrap();
        assert!(puts <= 40, "{puts} puts");
        assert!(took <= PUT * 3, "{took:?}");
    }
}
