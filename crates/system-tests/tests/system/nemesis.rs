//! Workers that are killed and stopped at random moments, and replaced.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bucketdb_system_tests::Line;
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::counting::WORKERS;
use crate::stores::Store;
use crate::support::{let_pass, now, random_below};
use crate::workers::{Worker, side_by_side};

/// A request counts as lost after this time, and some stops are longer.
const REQUEST_TIMEOUT_MS: u32 = 1_000;

/// A commit is given up after this time, and some stops are longer.
const COMMIT_TIMEOUT_MS: u32 = 1_500;

const SHORTEST_STOP: Duration = Duration::from_millis(100);

/// Every other stop is no longer than this, which leaves more time to work.
const LONG_STOP: Duration = Duration::from_millis(500);

const LONGEST_STOP: Duration = Duration::from_secs(2);

/// Between two stops of a life at least this time passes, so that all of them together leave time to work.
const SHORTEST_WORK: Duration = Duration::from_millis(200);

/// What is done to the workers on a store: the faster it is, the more.
pub(crate) struct Plan {
    /// After so long, whoever is still alive comes to the end.
    pub(crate) duration: Duration,
    /// A life is at most so long.
    pub(crate) longest_life: Duration,
    /// From one stop of a life to the next it is at most so long.
    pub(crate) longest_work: Duration,
    /// Such timeouts has every third life: too short for many a request, and for many a commit.
    pub(crate) short_request_timeout_ms: u32,
    pub(crate) short_commit_timeout_ms: u32,
    /// Fewer acknowledged transactions than these show nothing.
    pub(crate) least_ok: usize,
}

/// Nobody is killed or stopped.
pub(crate) const PEACE: Plan = Plan {
    duration: Duration::from_secs(3),
    longest_life: Duration::MAX,
    longest_work: Duration::MAX,
    short_request_timeout_ms: REQUEST_TIMEOUT_MS,
    short_commit_timeout_ms: COMMIT_TIMEOUT_MS,
    least_ok: 300,
};

pub(crate) const FAST: Plan = Plan {
    duration: Duration::from_secs(8),
    longest_life: Duration::from_secs(5),
    longest_work: Duration::from_secs(2),
    short_request_timeout_ms: 4,
    short_commit_timeout_ms: 12,
    least_ok: 300,
};

pub(crate) const SLOW: Plan = Plan {
    duration: Duration::from_secs(10),
    longest_life: Duration::from_secs(8),
    longest_work: Duration::from_secs(3),
    short_request_timeout_ms: 250,
    short_commit_timeout_ms: 60,
    least_ok: 50,
};

/// One process.
pub(crate) struct Life {
    pub(crate) lines: Vec<Line>,
    /// When it was known to be over.
    pub(crate) ended: Duration,
    pub(crate) was_killed: bool,
    pub(crate) stops: u32,
    /// What it said was wrong, if it ended by itself and not well.
    pub(crate) failure: Option<String>,
}

/// Lets workers work, kill by kill and stop by stop. `role` and `options` are those of all of them.
pub(crate) fn haunt(runtime: &Runtime, store: &Store, plan: &Plan, role: &str, options: &[&str]) -> Vec<Life> {
    let end = now(runtime) + plan.duration;
    let number = AtomicU32::new(0);
    let lives = side_by_side(0..WORKERS, |_| {
        let mut lives = Vec::new();
        while now(runtime) < end {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let worker = start(store, plan, number, role, options);
            lives.push(live(runtime, worker, plan, end));
        }
        lives
    });
    lives.into_iter().flatten().collect()
}

fn start(store: &Store, plan: &Plan, number: u32, role: &str, options: &[&str]) -> Worker {
    let (request, commit) = match number % 3 {
        2 => (plan.short_request_timeout_ms, plan.short_commit_timeout_ms),
        _ => (REQUEST_TIMEOUT_MS, COMMIT_TIMEOUT_MS),
    };
    let [request, commit, number] = [request, commit, number].map(|number| number.to_string());
    let timeouts = ["--request-timeout-ms", &request, "--commit-timeout-ms", &commit];
    Worker::start(store, &[&timeouts[..], &[role, "--worker", &number], options].concat())
}

fn live(runtime: &Runtime, mut worker: Worker, plan: &Plan, end: Duration) -> Life {
    let listener = worker.listen();
    let begun = now(runtime);
    let death = begun.saturating_add(random(Duration::ZERO, plan.longest_life));
    let mut stops = 0;
    let is_stopped = loop {
        let left = death.min(end).saturating_sub(now(runtime));
        let work = random(SHORTEST_WORK, plan.longest_work);
        let_pass(work.min(left));
        if work >= left {
            break false;
        }
        worker.signal(Signal::STOP);
        stops += 1;
        let longest = if random_below(2) == 0 { LONG_STOP } else { LONGEST_STOP };
        let stop = random(SHORTEST_STOP, longest);
        let left = death.min(end).saturating_sub(now(runtime));
        let_pass(stop.min(left));
        // Some die while they are stopped, with what they sent still on its way.
        if stop >= left {
            break true;
        }
        worker.signal(Signal::CONT);
    };
    let was_killed = death < end;
    if was_killed {
        worker.kill();
    } else if is_stopped {
        worker.signal(Signal::CONT);
    }
    let ending = worker.finish();
    let was_asked =
        if was_killed { ending.status.signal() == Some(Signal::KILL.as_raw()) } else { ending.status.success() };
    let failure = (!was_asked).then(|| format!("{}: {}", ending.status, ending.complaint));
    Life { lines: listener.join().unwrap(), ended: now(runtime), was_killed, stops, failure }
}

fn random(least: Duration, most: Duration) -> Duration {
    let range_us = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    least + Duration::from_micros(random_below(range_us.max(1)))
}
