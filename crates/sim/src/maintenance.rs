use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bucketdb::{Database, Operation, StoreCheck};
use parking_lot::Mutex;
use serde_json::json;

use crate::stage::{Outcome, play};
use crate::{Latencies, Latency, MachineClock, ProcessId, Scheduler, SimEnvironment, SimRandom, StoreWorld, Trace};

/// Some processes that commit one document each second for a while, each in its turn, and then do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Maintenance {
    /// How many processes.
    pub processes: u32,
    /// For how long they commit, and then for how long they do nothing.
    pub duration: Duration,
}

/// What it took.
#[derive(Clone, Debug)]
pub struct MaintenanceReport {
    /// How many processes there were.
    pub processes: u32,
    /// How many commits were acknowledged.
    pub commits: u64,
    /// Requests for commits: puts and gets of records of theirs.
    pub for_commits: Counts,
    /// Requests for everything else.
    pub for_maintenance: Counts,
    /// Requests while nobody did anything.
    pub idle: u64,
}

/// How many requests there were of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Puts.
    pub puts: u64,
    /// Gets.
    pub gets: u64,
    /// Listings.
    pub lists: u64,
    /// Deletions.
    pub deletes: u64,
}

impl Counts {
    fn total(self) -> u64 {
        self.puts + self.gets + self.lists + self.deletes
    }
}

impl Maintenance {
    /// Runs it on virtual time.
    ///
    /// # Errors
    /// If a commit fails, or if the run does not end.
    pub fn run(self, seed: u64) -> Result<MaintenanceReport, String> {
        play(seed, |scheduler| self.play(seed, scheduler))
    }

    async fn play(self, seed: u64, scheduler: Scheduler) -> Outcome<MaintenanceReport> {
        let world = StoreWorld::new(seed, scheduler.clone(), Trace::new(scheduler.clone(), false));
        world.set_latencies(Latencies::all(Latency::Fixed(Duration::from_millis(30))));
        let mut databases = Vec::new();
        for process in 0..self.processes {
            let random = SimRandom::stream(seed, &format!("process {process}"));
            let env = SimEnvironment::new(scheduler.clone(), scheduler.new_group(), MachineClock::default(), random);
            let builder = Database::builder()
                .driver(world.handle(ProcessId(process)))
                .environment(env)
                .prefix("db")
                .node_id(u64::from(process))
                .store_check(StoreCheck { rounds: 1, racers: 2 });
            let builder = if process == 0 { builder.ring_size(u64::from(self.processes)) } else { builder };
            let db = builder.open().await.map_err(|error| error.to_string())?;
            db.collection("events").put(&json!({"id": 0})).await.map_err(|error| error.to_string())?;
            databases.push(db);
        }
        let before = world.usage_by_folder();
        let until = scheduler.now() + self.duration;
        let (mut commits, mut next) = (0u64, scheduler.now());
        let failure = Mutex::new(None);
        while scheduler.now() < until && failure.lock().is_none() {
            for db in &databases {
                commits += 1;
                let event = json!({"id": commits, "what": "a document of about a hundred bytes, as events are"});
                if let Err(error) = db.collection("events").put(&event).await {
                    *failure.lock() = Some(error.to_string());
                }
            }
            next += Duration::from_secs(1);
            scheduler.sleep(next.saturating_sub(scheduler.now())).await;
        }
        if let Some(failure) = failure.into_inner() {
            return Err(failure);
        }
        // What is under way ends.
        scheduler.sleep(Duration::from_secs(60)).await;
        let after = world.usage_by_folder();
        scheduler.sleep(self.duration).await;
        let idle = world.usage_by_folder().values().sum::<u64>() - after.values().sum::<u64>();
        let (for_commits, for_maintenance) = divide(&before, &after);
        Ok(MaintenanceReport { processes: self.processes, commits, for_commits, for_maintenance, idle })
    }
}

/// Each checkpoint puts one manifest, and one record that is no commit.
pub(crate) fn divide(
    before: &BTreeMap<(Operation, String), u64>,
    after: &BTreeMap<(Operation, String), u64>,
) -> (Counts, Counts) {
    let (mut commits, mut maintenance) = (Counts::default(), Counts::default());
    for ((operation, folder), count) in after {
        let count = count - before.get(&(*operation, folder.clone())).copied().unwrap_or_default();
        let is_of_log = folder == "log" && matches!(operation, Operation::Put | Operation::Get);
        let counts = if is_of_log { &mut commits } else { &mut maintenance };
        match operation {
            Operation::Put => counts.puts += count,
            Operation::List => counts.lists += count,
            Operation::Delete => counts.deletes += count,
            _ => counts.gets += count,
        }
        if folder == "manifest" && *operation == Operation::Put {
            maintenance.puts += count;
            commits.puts = commits.puts.saturating_sub(count);
        }
    }
    (commits, maintenance)
}

/// A row of a table in Markdown.
impl fmt::Display for MaintenanceReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (commits, maintenance) = (self.for_commits, self.for_maintenance);
        let share = maintenance.total() as f64 / (commits.total() + maintenance.total()).max(1) as f64;
        write!(
            formatter,
            "| {} | {} | {} / {} | {} / {} / {} / {} | {:.1} % | {} |",
            self.processes,
            self.commits,
            commits.puts,
            commits.gets,
            maintenance.puts,
            maintenance.gets,
            maintenance.lists,
            maintenance.deletes,
            share * 100.0,
            self.idle,
        )
    }
}

/// What the columns of the table are.
pub const MAINTENANCE_HEADER: &str = "\
| processes | commits | for commits: PUT / GET | for maintenance: PUT / GET / LIST / DELETE | its share | idle hour |
|---|---|---|---|---|---|";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_and_taking_turns_cost_little_and_nothing_when_idle() {
        for processes in [1, 2] {
            let report = Maintenance { processes, duration: Duration::from_secs(1_000) }.run(1).unwrap();
            let commits = report.for_commits;
            assert_eq!(report.idle, 0, "{report}");
            assert!(
                report.for_maintenance.total() * 20 <= commits.total() + report.for_maintenance.total(),
                "{report}"
            );
            // Whoever writes behind somebody else looks before it writes.
            assert!(commits.puts * 100 <= report.commits * 105, "{report}");
            let most_gets = if processes == 1 { 0 } else { report.commits * 21 / 10 };
            assert!(commits.gets <= most_gets, "{report}");
        }
    }
}
