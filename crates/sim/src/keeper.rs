use std::time::Duration;

use bucketdb::{Database, Error};

use crate::config::Storage;
use crate::workload::Outcome;
use crate::{Scheduler, SimRandom, Trace};

/// A client of a process that does nothing but look after the database, at times that nobody chose well: beside what every
/// process does by itself, and beside the keepers of all others.
pub(crate) struct Keeper {
    pub(crate) db: Database,
    pub(crate) name: String,
    pub(crate) scheduler: Scheduler,
    pub(crate) trace: Trace,
    pub(crate) random: SimRandom,
}

/// What a keeper can do.
#[derive(Clone, Copy, Debug)]
enum Task {
    Checkpoint,
    Compact,
    CollectGarbage,
    Sweep,
}

impl Keeper {
    /// Works until `is_over`. Tells `alarm` of errors that say that the database is broken.
    pub(crate) async fn run(mut self, interval: Duration, is_over: impl Fn() -> bool, alarm: impl Fn(String)) {
        loop {
            self.scheduler.sleep(self.random.duration(Duration::ZERO, interval * 2)).await;
            if is_over() {
                return;
            }
            let task = match self.random.below(10) {
                0..4 => Task::Checkpoint,
                4..6 => Task::Compact,
                6..9 => Task::CollectGarbage,
                _ => Task::Sweep,
            };
            self.trace.note(format_args!("{} begins {task:?}", self.name));
            match self.work(task).await {
                Ok(()) => {
                    self.trace.note(format_args!("{} has done {task:?} at {}", self.name, self.db.position()));
                }
                Err(error) => {
                    self.trace.note(format_args!("{} failed at {task:?}: {error}", self.name));
                    if let Outcome::Broken(text) = Outcome::of_error(&error) {
                        alarm(format!("{} at {task:?}: {text}", self.name));
                    }
                }
            }
        }
    }

    async fn work(&self, task: Task) -> Result<(), Error> {
        match task {
            Task::Checkpoint => self.db.checkpoint().await,
            Task::Compact => self.db.compact().await.map(|_| ()),
            Task::CollectGarbage => self.db.collect_garbage().await.map(|_| ()),
            Task::Sweep => self.db.sweep().await.map(|_| ()),
        }
    }
}

impl Storage {
    /// For how long whatever a reader began with can still be read, at least.
    pub(crate) fn promised(&self) -> Duration {
        const USUAL: Duration = Duration::from_secs(60 * 60);
        self.grace.unwrap_or(USUAL)
    }
}
