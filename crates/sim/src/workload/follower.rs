use std::sync::Arc;
use std::time::Duration;

use bucketdb::{Change, Cursor, Database, Error, Since};
use parking_lot::Mutex;
use serde_json::Value;

use crate::workload::FeedEvent;
use crate::{Scheduler, Trace};

/// What the follower of one process has seen over all lives of the process, and where it goes on: written down
/// together, as a follower that keeps its cursor with its results does.
#[derive(Clone, Debug, Default)]
pub(crate) struct FollowerLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cursor: Option<String>,
    seen: Vec<FeedEvent>,
    gaps: Vec<Gap>,
}

/// A follower came too late for some changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    /// How many changes it had seen.
    pub(crate) behind: usize,
    /// It went on with the changes from this position on.
    pub(crate) floor: u64,
    /// When it was told.
    pub(crate) told: Duration,
}

impl FollowerLog {
    pub(crate) fn seen(&self) -> Vec<FeedEvent> {
        self.0.lock().seen.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().seen.len()
    }

    pub(crate) fn gaps(&self) -> Vec<Gap> {
        self.0.lock().gaps.clone()
    }

    /// Goes on where the feed says, if that is why it failed.
    fn skip(&self, error: &Error, told: Duration) {
        if let Error::FeedExpired { resume_from } = error {
            self.resume(*resume_from, told);
        }
    }

    /// A follower that begins finds the first changes that are kept.
    fn begin(&self, first: Cursor, told: Duration) {
        if self.0.lock().cursor.is_none() {
            self.resume(first, told);
        }
    }

    fn resume(&self, from: Cursor, told: Duration) {
        let text = from.to_string();
        let floor = text.split('.').nth(1).and_then(|seq| seq.parse().ok()).unwrap_or_default();
        let mut state = self.0.lock();
        let behind = state.seen.len();
        state.gaps.push(Gap { behind, floor, told });
        state.cursor = Some(text);
    }

    fn since(&self) -> Since {
        let state = self.0.lock();
        let cursor = state.cursor.as_deref().and_then(|text| text.parse::<Cursor>().ok());
        cursor.map_or(Since::Beginning, Since::Cursor)
    }

    fn take(&self, change: Change<Value>) {
        let mut state = self.0.lock();
        state.cursor = Some(change.cursor.to_string());
        state.seen.push(FeedEvent::new(change));
    }
}

/// Follows all changes for ever, and begins again where it stopped after every failure.
pub(crate) async fn follow(db: Database, log: FollowerLog, scheduler: Scheduler, trace: Trace, interval: Duration) {
    loop {
        match db.watch(log.since()).await {
            Ok(feed) => {
                let mut feed = feed.interval(interval);
                log.begin(feed.cursor(), scheduler.now());
                loop {
                    match feed.next().await {
                        Ok(change) => log.take(change),
                        Err(error) => {
                            trace.note(format_args!("a feed failed: {error}"));
                            log.skip(&error, scheduler.now());
                            scheduler.sleep(Duration::from_millis(500)).await;
                            // Every second failure, the same feed is asked again.
                            if matches!(error, Error::FeedExpired { .. }) || log.len().is_multiple_of(2) {
                                break;
                            }
                        }
                    }
                }
            }
            Err(error) => {
                trace.note(format_args!("a feed could not be opened: {error}"));
                scheduler.sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
