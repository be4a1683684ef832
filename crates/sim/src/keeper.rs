use std::sync::Arc;
use std::time::Duration;

use bucketdb::simulation::{Base, raise_floor};
use bucketdb::{Driver, Error, Feed, Freshness, Key, Since};
use parking_lot::Mutex;
use serde_json::Value;

use crate::cluster::DATABASE_PREFIX;
use crate::config::Truncation;
use crate::workload::{FeedEvent, Tables};
use crate::{Scheduler, SimRandom, SimStore, Trace};

/// Does what maintenance will do: reads the log, gives up its beginning, and removes what was given up a grace later.
///
/// Whoever opens the database begins at the base that was published last. What the removed records said is kept, so
/// that the whole truth is known at the end. Clones are the same keeper.
#[derive(Clone)]
pub(crate) struct Keeper {
    scheduler: Scheduler,
    trace: Trace,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    events: Vec<FeedEvent>,
    base: Option<Box<Base>>,
    stopped: bool,
    removed: u64,
}

/// How long the record that gives up positions is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

impl Keeper {
    pub(crate) fn new(scheduler: Scheduler, trace: Trace) -> Self {
        Self { scheduler, trace, state: Arc::default() }
    }

    /// Where to begin when the database is opened; `None` for the first record.
    pub(crate) fn base(&self) -> Option<Box<Base>> {
        self.state.lock().base.clone()
    }

    /// All changes so far, those included whose records were removed.
    pub(crate) fn events(&self) -> Vec<FeedEvent> {
        self.state.lock().events.clone()
    }

    /// Gives up nothing more.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
    }

    /// How many records were removed.
    pub(crate) fn removed(&self) -> u64 {
        self.state.lock().removed
    }

    /// Truncates the log again and again. `tables` is its own handle of the database, which nothing ever happens to.
    pub(crate) async fn run(self, tables: Tables, store: SimStore, truncation: Truncation, mut random: SimRandom) {
        let Ok(mut feed) = tables.db.watch(Since::Beginning).await else { return };
        loop {
            self.scheduler.sleep(random.duration(Duration::ZERO, truncation.interval * 2)).await;
            if self.state.lock().stopped {
                return;
            }
            if let Err(error) = self.round(&tables, &store, &mut feed, truncation).await {
                self.trace.note(format_args!("the keeper failed: {error}"));
            }
        }
    }

    async fn round(
        &self,
        tables: &Tables,
        store: &SimStore,
        feed: &mut Feed<Value>,
        truncation: Truncation,
    ) -> Result<(), Error> {
        self.drain(feed).await?;
        let floor = tables.db.position();
        raise_floor(&tables.db, floor, DEADLINE).await?;
        self.drain(feed).await?;
        let base = Base::of(&tables.db)?;
        self.trace.note(format_args!("positions below {floor} are given up, the base is at {}", base.seq()));
        self.state.lock().base = Some(Box::new(base));
        let (keeper, store) = (self.clone(), store.clone());
        let removal = async move {
            keeper.scheduler.sleep(truncation.grace).await;
            keeper.remove_below(&store, floor.0).await;
        };
        self.scheduler.spawn(crate::GroupId::WORLD, Box::pin(removal));
        Ok(())
    }

    /// Reads all there is.
    pub(crate) async fn drain(&self, feed: &mut Feed<Value>) -> Result<(), Error> {
        while let Some(change) = feed.try_next().await? {
            self.state.lock().events.push(FeedEvent::new(change));
        }
        Ok(())
    }

    /// Reads what a fresh reader, which began at the base, finds behind what is known.
    pub(crate) async fn finish(&self, tables: &Tables) -> Result<(), Error> {
        tables.db.refresh(Freshness::Strict).await?;
        let known = self.state.lock().events.last().map(|event| event.seq);
        let base = self.base().map(|base| base.seq());
        let since = known.max(base).map_or(Since::Beginning, Since::Seq);
        let mut feed = tables.db.watch(since).await?;
        self.drain(&mut feed).await
    }

    /// Removes the records below a position, in ascending order.
    async fn remove_below(&self, store: &SimStore, floor: u64) {
        let log = format!("{DATABASE_PREFIX}/log/");
        while let Ok(page) = store.list(&log, None).await {
            let below = format!("{log}{floor:020}");
            let keys: Vec<Key> =
                page.objects.into_iter().map(|listed| listed.key).filter(|key| key.as_str() < below.as_str()).collect();
            if keys.is_empty() {
                return;
            }
            for key in keys {
                if store.delete(&key).await.is_ok() {
                    self.state.lock().removed += 1;
                }
            }
        }
    }
}
