//! A store that lies in the ways that stores do.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{Condition, Driver, DriverError, ETag, Key, MemoryDriver, Object, Operation, Page};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::support::{Behaviour, Strange, is_record, sleep};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Lie {
    #[default]
    None,
    /// Writes whatever the condition says.
    IgnoresCreateOnly,
    /// Looks first and writes then, as if nobody could come in between.
    HonoursItAlone,
    /// Acknowledges log records and drops them.
    LosesRecords,
    /// Acknowledges everything and keeps nothing.
    LosesAll,
}

#[derive(Debug, Default)]
pub(crate) struct Liar {
    pub(crate) lie: Mutex<Lie>,
    /// Keys that cannot be read although they are there.
    pub(crate) unreadable: Mutex<BTreeSet<String>>,
    /// Keys that no listing shows.
    pub(crate) unlisted: Mutex<BTreeSet<String>>,
    /// How long after the write the answer to a put of a log record comes.
    pub(crate) slow_answers: Mutex<Duration>,
}

pub(crate) fn liar(store: &MemoryDriver, lie: Lie) -> Strange<Liar> {
    Strange::new(store, Liar { lie: Mutex::new(lie), ..Liar::default() })
}

#[async_trait]
impl Behaviour for Liar {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        let lie = *self.lie.lock();
        let answer = match lie {
            Lie::None => store.put(key, body, condition).await,
            Lie::IgnoresCreateOnly => store.put(key, body, Condition::Always).await,
            Lie::LosesRecords if is_record(key.as_str()) => Ok(ETag("lost".to_owned())),
            Lie::LosesRecords => store.put(key, body, condition).await,
            Lie::LosesAll => Ok(ETag("lost".to_owned())),
            Lie::HonoursItAlone => {
                if condition == Condition::IfAbsent && store.get(key).await.is_ok() {
                    return Err(DriverError::precondition_failed(key));
                }
                sleep(Duration::from_millis(1)).await;
                store.put(key, body, Condition::Always).await
            }
        };
        let slow = *self.slow_answers.lock();
        if is_record(key.as_str()) && !slow.is_zero() {
            sleep(slow).await;
        }
        answer
    }

    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<Object> {
        if self.unreadable.lock().contains(key.as_str()) {
            return Err(DriverError::not_found(Operation::Get, key));
        }
        store.get(key).await
    }

    async fn list(
        &self,
        store: &MemoryDriver,
        prefix: &str,
        continuation: Option<&str>,
    ) -> bucketdb_driver::Result<Page> {
        let mut page = store.list(prefix, continuation).await?;
        page.objects.retain(|object| !self.unlisted.lock().contains(object.key.as_str()));
        Ok(page)
    }
}
