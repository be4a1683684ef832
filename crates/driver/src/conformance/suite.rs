use std::sync::Arc;
use std::time::Duration;

use bucketdb_env::{Environment, Random};
use futures::future::{Either, select};

use super::context::{Context, Finding, Limits, Verdict};
use super::report::{Check, Outcome, Report};
use super::{claims, conditions, keys, listing, objects, races, sizes};
use crate::{Driver, MAX_KEY_BYTES};

/// The conformance suite: what to check a driver with, and how hard.
///
/// The defaults suit a store on this machine or nearby: 200 rounds of each race with 8 racers, an object of 16 MiB, a
/// listing of 2,300 keys. All of it together is some ten thousand requests.
#[derive(Debug)]
#[must_use = "a suite does nothing until it is run"]
pub struct Suite {
    driver: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    prefix: String,
    rounds: usize,
    racers: usize,
    large_object_bytes: usize,
    listed_keys: usize,
    patience: Duration,
    limits: Limits,
}

impl Suite {
    /// A suite for `driver`. Tasks, time and chance come from `env`.
    pub fn new(driver: Arc<dyn Driver>, env: Arc<dyn Environment>) -> Self {
        Self {
            driver,
            env,
            prefix: "conformance".to_owned(),
            rounds: 200,
            racers: 8,
            large_object_bytes: 16 << 20,
            listed_keys: 2300,
            patience: Duration::from_secs(600),
            limits: Limits {
                key_bytes: MAX_KEY_BYTES,
                segment_bytes: MAX_KEY_BYTES,
                ascii_keys_only: false,
                create_only: true,
                if_match: true,
            },
        }
    }

    /// Works below this prefix (`conformance` by default), in a folder with a random name that is emptied afterwards.
    /// Whatever else is below the prefix is left alone.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often each race is run.
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// How many tasks take part in each race; at least two.
    pub fn racers(mut self, racers: usize) -> Self {
        self.racers = racers.max(2);
        self
    }

    /// The size of the largest object that is written, in bytes.
    pub fn large_object_bytes(mut self, bytes: usize) -> Self {
        self.large_object_bytes = bytes;
        self
    }

    /// How many keys the long listing has. Below 2,001 it may not have a page in the middle.
    pub fn listed_keys(mut self, keys: usize) -> Self {
        self.listed_keys = keys;
        self
    }

    /// How long one check may take before it counts as failed.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Declares that the store takes no longer keys, in bytes. BucketDB needs keys of up to 1,024 bytes only if its
    /// prefix is that long.
    pub fn max_key_bytes(mut self, bytes: usize) -> Self {
        self.limits.key_bytes = bytes.min(MAX_KEY_BYTES);
        self
    }

    /// Declares that the store takes no longer segment of a key, in bytes. Stores that keep objects in files commonly
    /// stop at 255.
    pub fn max_segment_bytes(mut self, bytes: usize) -> Self {
        self.limits.segment_bytes = bytes.min(MAX_KEY_BYTES);
        self
    }

    /// Declares that the store mistreats keys with other characters than ASCII's.
    pub fn ascii_keys_only(mut self) -> Self {
        self.limits.ascii_keys_only = true;
        self
    }

    /// Declares that the store has no create-only. Then the driver has to answer `Unsupported` and write nothing.
    pub fn without_create_only(mut self) -> Self {
        self.limits.create_only = false;
        self
    }

    /// Declares that the store has no if-match. Then the driver has to answer `Unsupported` and write nothing.
    pub fn without_if_match(mut self) -> Self {
        self.limits.if_match = false;
        self
    }

    /// Runs every check, one after the other, and removes what they wrote.
    pub async fn run(self) -> Report {
        let id: String = self.env.random_128().iter().map(|byte| format!("{byte:02x}")).collect();
        let context = Context {
            driver: self.driver,
            env: self.env,
            prefix: format!("{}/{id}", self.prefix.trim_end_matches('/')),
            rounds: self.rounds,
            racers: self.racers,
            large_object_bytes: self.large_object_bytes,
            listed_keys: self.listed_keys,
            limits: self.limits,
        };
        let mut run = Run { context: &context, patience: self.patience, checks: Vec::new() };
        run.all().await;
        let checks = run.checks;
        Report { fingerprint: context.driver.fingerprint(), limits: context.limits.sentences(), checks }
    }
}

struct Run<'a> {
    context: &'a Context,
    patience: Duration,
    checks: Vec<Check>,
}

impl Run<'_> {
    async fn all(&mut self) {
        let cx = self.context;
        self.check("an object reads back as it was put", objects::reads_back(cx)).await;
        self.check("a missing object is NotFound", objects::missing(cx)).await;
        self.check("a put replaces the whole object", objects::replaces(cx)).await;
        self.check("deleting is idempotent", objects::deletes(cx)).await;
        self.check("many objects are deleted at once", objects::deletes_many(cx)).await;
        self.check("ETags follow the content", objects::etags(cx)).await;
        self.check("reads are fresh", objects::fresh(cx)).await;
        self.check("readers see whole objects only", objects::whole(cx)).await;
        self.check("empty objects", sizes::empty(cx)).await;
        self.check("large objects", sizes::large(cx)).await;
        self.check("ranges", sizes::ranges(cx)).await;
        self.check("streams", sizes::streams(cx)).await;
        self.check("a stream that breaks off writes nothing", sizes::broken_stream(cx)).await;
        self.check("keys are kept apart", keys::kept_apart(cx)).await;
        self.check("long keys", keys::long(cx)).await;
        self.check("listing is in byte order", listing::ordered(cx)).await;
        self.check("a prefix is any text", listing::prefixes(cx)).await;
        self.check("listing has pages", listing::pages(cx)).await;
        self.check("listing is fresh", listing::fresh(cx)).await;
        self.check("listing loses nothing that is being replaced", listing::while_replacing(cx)).await;
        self.check("create-only", conditions::create_only(cx)).await;
        self.check("if-match", conditions::if_match(cx)).await;
        self.check("of many creators one wins", races::creators(cx)).await;
        self.check("of many replacers one wins", races::replacers(cx)).await;
        self.check("no increment is lost", races::increments(cx)).await;
        self.check("a deletion is not undone by if-match", races::deletion(cx)).await;
        self.check("a put is not undone by if-match", races::overwriting(cx)).await;
        self.check("capabilities are true", claims::capabilities(cx)).await;
        self.check("pre-signed URLs", claims::presigned(cx)).await;
        self.check("server time", claims::server_time(cx)).await;
        self.check("the scratch prefix can be emptied", listing::cleanup(cx)).await;
    }

    async fn check(&mut self, name: &'static str, check: impl Future<Output = Finding>) {
        let alarm = self.context.env.sleep(self.patience);
        let finding = match select(Box::pin(check), alarm).await {
            Either::Left((finding, _)) => finding,
            Either::Right(_) => Err(Verdict::Failed(format!(
                "it was not done after {} s: some call does not return",
                self.patience.as_secs()
            ))),
        };
        let outcome = match finding {
            Ok(()) => Outcome::Passed,
            Err(Verdict::Failed(sentence)) => Outcome::Failed(sentence),
            Err(Verdict::Skipped(reason)) => Outcome::Skipped(reason),
        };
        self.checks.push(Check { name, outcome });
    }
}
