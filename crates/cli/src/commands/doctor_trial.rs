use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bucketdb::{Condition, Driver, DriverError, Environment, Key, Layout, Usage};
use futures::future::{self, Either};

use crate::failure::Failure;
use crate::session::Store;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);

/// How many requests of each kind are measured.
const MEASURED: usize = 20;

/// Names that sort differently by bytes, by letters and by numbers. None is the folder of another, which stores that
/// keep files cannot have and a database never asks for.
const NAMES: [&str; 7] = ["9", "10", "B", "a", "a~", "d/e", "é"];

/// Tries the basics of a store with objects of its own below the database's prefix.
pub(super) struct Trial<'a> {
    store: &'a Store,
    prefix: String,
}

impl<'a> Trial<'a> {
    pub(super) fn new(store: &'a Store, layout: &Layout) -> Self {
        let mut id = [0; 8];
        store.env.fill_random(&mut id);
        Self { store, prefix: format!("{}probe/doctor-{:016x}-", layout.prefix(), u64::from_be_bytes(id)) }
    }

    /// Writes, reads, lists and deletes.
    pub(super) async fn basics(&self) -> Result<(), Failure> {
        let driver = &self.store.meter;
        let key = self.key("basics")?;
        for body in ["first", "second"] {
            self.timed(driver.put(&key, body.into(), Condition::Always)).await?;
            let object = self.timed(driver.get(&key)).await?;
            self.check(object.body == body, "an object did not read back as it had just been written")?;
        }
        self.check(self.list().await? == [key.clone()], "a listing did not show an object that had just been written")?;
        self.timed(driver.delete(&key)).await?;
        match self.timed_raw(driver.get(&key)).await? {
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
            Ok(_) => self.check(false, "an object could be read after it had been deleted")?,
        }
        self.check(self.list().await?.is_empty(), "a listing showed an object that had just been deleted")
    }

    /// Whether listings are complete and in the order of the bytes.
    pub(super) async fn listing(&self) -> Result<(), Failure> {
        let mut keys = Vec::new();
        for name in NAMES {
            let key = self.key(name)?;
            self.timed(self.store.meter.put(&key, "x".into(), Condition::Always)).await?;
            keys.push(key);
        }
        keys.sort();
        let listed = self.list().await?;
        self.check(listed.len() == keys.len(), "a listing was not complete")?;
        self.check(listed == keys, "a listing was not in the order of the keys' bytes")
    }

    /// Requests of each kind, one after the other, with their latencies.
    pub(super) async fn latencies(&self) -> Result<Usage, Failure> {
        let before = self.store.meter.usage();
        let keys: Vec<Key> = (0..MEASURED).map(|number| self.key(&number.to_string())).collect::<Result<_, _>>()?;
        let body = vec![b'x'; 1024];
        for key in &keys {
            self.timed(self.store.meter.put(key, body.clone().into(), Condition::Always)).await?;
        }
        for key in &keys {
            self.timed(self.store.meter.get(key)).await?;
            self.timed(self.store.meter.list(&self.prefix, None)).await?;
        }
        Ok(self.store.used_since(&before))
    }

    /// By how many milliseconds the store's clock is ahead of ours, if it tells the time. Half of the time that the
    /// answer took is taken off.
    pub(super) async fn skew(&self) -> Result<Option<i128>, Failure> {
        let started = self.store.env.wall_clock().0;
        let Some(theirs) = self.timed(self.store.meter.server_time()).await? else { return Ok(None) };
        let finished = self.store.env.wall_clock().0;
        Ok(Some(unix_ms(theirs) - (i128::from(started) + i128::from(finished)) / 2))
    }

    /// Removes everything that the trial may have left.
    pub(super) async fn clean_up(&self) -> Result<(), Failure> {
        let keys = self.list().await?;
        if keys.is_empty() { Ok(()) } else { self.timed(self.store.meter.delete_many(&keys)).await }
    }

    async fn list(&self) -> Result<Vec<Key>, Failure> {
        let mut page = self.timed(self.store.meter.list(&self.prefix, None)).await?;
        let mut keys = Vec::new();
        loop {
            keys.extend(page.objects.into_iter().map(|object| object.key));
            match page.next {
                Some(next) => page = self.timed(self.store.meter.list(&self.prefix, Some(&next))).await?,
                None => return Ok(keys),
            }
        }
    }

    fn key(&self, name: &str) -> Result<Key, Failure> {
        Key::new(format!("{}{name}", self.prefix)).map_err(|error| Failure::usage(error.to_string()))
    }

    fn check(&self, holds: bool, otherwise: &str) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(Failure::new("unfit_store", format!("{}: {otherwise}", self.store.describe()))) }
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T, DriverError>> + Send) -> Result<T, Failure> {
        Ok(self.timed_raw(call).await??)
    }

    async fn timed_raw<T>(
        &self,
        call: impl Future<Output = Result<T, DriverError>> + Send,
    ) -> Result<Result<T, DriverError>, Failure> {
        match future::select(std::pin::pin!(call), self.store.env.sleep(REQUEST_TIMEOUT)).await {
            Either::Left((outcome, _)) => Ok(outcome),
            Either::Right(((), _)) => {
                let (place, seconds) = (self.store.describe(), REQUEST_TIMEOUT.as_secs());
                Err(Failure::unreachable(format!("{place} did not answer a request within {seconds} s")))
            }
        }
    }
}

fn unix_ms(time: SystemTime) -> i128 {
    let milliseconds = |duration: Duration| i128::try_from(duration.as_millis()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => milliseconds(since),
        Err(before) => -milliseconds(before.duration()),
    }
}
