use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

use crate::contention::{Taken, open};
use crate::stage::{Outcome, play};
use crate::{Latencies, ProcessId, Scheduler, SimRandom, StoreWorld, Trace};

/// A process that commits now and then, beside one that always does, with a pause behind each commit.
#[derive(Clone, Copy, Debug)]
pub struct Visits {
    /// How long the steady one pauses.
    pub pause: Duration,
    /// How long the store takes for a put.
    pub put: Duration,
    /// How long it takes for a get.
    pub get: Duration,
    /// How often the other one commits.
    pub visits: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct VisitsReport {
    /// What was run.
    pub visits: Visits,
    /// How long commits took the steady one.
    pub steady: Taken,
    /// How long they took the other one.
    pub seldom: Taken,
    /// How many puts the other one took.
    pub puts: u64,
    /// How many gets.
    pub gets: u64,
}

impl Visits {
    /// Runs it on virtual time.
    ///
    /// # Errors
    /// If a commit fails, or if the run does not end.
    pub fn run(self, seed: u64) -> Result<VisitsReport, String> {
        play(seed, |scheduler| self.play(seed, scheduler))
    }

    async fn play(self, seed: u64, scheduler: Scheduler) -> Outcome<VisitsReport> {
        let world = StoreWorld::new(seed, scheduler.clone(), Trace::new(scheduler.clone(), false));
        let (steady, group) = open(seed, 0, &scheduler, &world).await?;
        let (seldom, _) = open(seed, 1, &scheduler, &world).await?;
        world.set_latencies(Latencies::fixed(self.put, self.get));
        let before = world.usage(ProcessId(1));
        let of_steady: Arc<Mutex<Outcome<Taken>>> = Arc::new(Mutex::new(Ok(Taken::default())));
        let (taken, clock) = (of_steady.clone(), scheduler.clone());
        scheduler.spawn(
            group,
            Box::pin(async move {
                let counters = steady.collection("counters");
                for count in 0u64.. {
                    let begun = clock.now();
                    if let Err(error) = counters.put(&json!({"id": 0, "count": count})).await {
                        *taken.lock() = Err(error.to_string());
                        return;
                    }
                    if let Ok(taken) = taken.lock().as_mut() {
                        taken.add(clock.now() - begun);
                    }
                    clock.sleep(self.pause).await;
                }
            }),
        );
        let (mut taken, counters) = (Taken::default(), seldom.collection("counters"));
        let mut random = SimRandom::stream(seed, "visits");
        for count in 0..self.visits {
            scheduler.sleep(random.duration(Duration::from_secs(1), Duration::from_secs(2))).await;
            let begun = scheduler.now();
            counters.put(&json!({"id": 1, "count": count})).await.map_err(|error| error.to_string())?;
            taken.add(scheduler.now() - begun);
        }
        let after = world.usage(ProcessId(1));
        let (puts, gets) = (after.puts - before.puts, after.gets - before.gets);
        let steady = of_steady.lock().clone()?;
        Ok(VisitsReport { visits: self, steady, seldom: taken, puts, gets })
    }
}

/// A row of a table in Markdown.
impl fmt::Display for VisitsReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let Visits { pause, put, get, visits } = self.visits;
        write!(
            formatter,
            "| {:.0} ms | {:.0} / {:.0} ms | {:.0} ms | {:.0} ms | {:.0} ms | {:.1} | {:.1} | {:.0} ms | {:.0} ms |",
            ms(pause),
            ms(put),
            ms(get),
            ms(self.seldom.at(0.5)),
            ms(self.seldom.at(0.9)),
            ms(self.seldom.at(1.0)),
            self.puts as f64 / f64::from(visits),
            self.gets as f64 / f64::from(visits),
            ms(self.steady.at(0.5)),
            ms(self.steady.at(0.99)),
        )
    }
}

/// What the columns of the table are.
pub const VISITS_HEADER: &str = "\
| pause of the steady one | PUT / GET | p50 | p90 | slowest | PUTs per commit | GETs per commit | p50 of the steady one | p99 |
|---|---|---|---|---|---|---|---|---|";

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: Duration = Duration::from_millis(30);

    #[test]
    fn who_commits_now_and_then_need_not_wait_for_one_that_commits_steadily() {
        // How many puts the slowest one may last: a gap comes behind 64 at best.
        for (pause, get, most) in [(PUT / 3, PUT / 2, 60), (PUT * 2, PUT / 2, 16), (PUT, PUT, 60), (PUT * 2, PUT, 30)] {
            let report = Visits { pause, put: PUT, get, visits: 100 }.run(1).unwrap();
            assert!(report.seldom.at(1.0) < PUT * most, "{report}");
            assert!(report.steady.at(0.5) < PUT * 11 / 10, "{report}");
        }
    }
}
