//! The conformance suite finds drivers that break the contract, and says what is wrong with them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panics, and one flaw is to panic")]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bucketdb_driver::conformance::{Report, Suite};
use bucketdb_driver::{
    Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, MemoryDriver, Object, Operation, Page, Result,
    Support,
};
use bucketdb_env::{Environment, TokioEnvironment};
use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    IgnoresIfMatch,
    IgnoresCreateOnly,
    IfMatchNeedsKeyOnly,
    CreateOnlyUnlessRaced,
    IfMatchUnlessRaced,
    RepeatsConditionalPuts,
    LosesAPut,
    LosesADelete,
    ServesOldReads,
    ServesOldListings,
    ListsShort,
    ListsBackwards,
    ListsTwice,
    ListsWholeSegmentsOnly,
    ListsForEver,
    ListsOtherKeys,
    PutHasAnotherEtag,
    EtagIsTheLength,
    DeletingTheMissingFails,
    MissingIsFinal,
    RangeIncludesItsEnd,
    RangePastTheEndFails,
    FoldsCase,
    DropsNonAsciiFromListings,
    RefusesLongKeys,
    WritesInTwoSteps,
    ReadsInTwoSteps,
    ReplacesByRemoving,
    WritesBrokenStreams,
    TellsAWrongTime,
    TellsNoTime,
    Hangs,
    Panics,
    SaysUnsupported,
    LosesAnswers,
}

use Flaw as F;

#[derive(Debug)]
struct BrokenDriver {
    inner: MemoryDriver,
    flaw: Flaw,
    calls: AtomicUsize,
    read_before: Mutex<HashMap<Key, Object>>,
    listed_before: Mutex<HashMap<String, Page>>,
}

impl BrokenDriver {
    fn new(flaw: Flaw) -> Self {
        Self {
            inner: MemoryDriver::new(),
            flaw,
            calls: AtomicUsize::new(0),
            read_before: Mutex::default(),
            listed_before: Mutex::default(),
        }
    }

    fn each(&self, period: usize) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % period == period - 1
    }

    /// Checks a condition beforehand, as if nobody could come in between.
    async fn holds(&self, key: &Key, condition: &Condition) -> Result<()> {
        let current = self.inner.get(key).await.ok().map(|object| object.etag);
        // As long as a write takes on its way: with a mere yield, some race may never meet the gap on a busy machine.
        #[expect(clippy::disallowed_methods, reason = "the gap is one of real time")]
        tokio::time::sleep(Duration::from_millis(1)).await;
        match condition {
            Condition::IfAbsent if current.is_some() => Err(DriverError::precondition_failed(key)),
            Condition::IfMatch(etag) if current.as_ref() != Some(etag) => Err(DriverError::precondition_failed(key)),
            _ => Ok(()),
        }
    }

    fn stored_key(&self, key: &Key) -> Key {
        if self.flaw == F::FoldsCase { Key::new(key.as_str().to_lowercase()).unwrap() } else { key.clone() }
    }
}

fn fault(kind: ErrorKind, operation: Operation, key: &Key) -> DriverError {
    DriverError::new(kind, operation, key.as_str(), "the broken driver says so")
}

/// As long as a reader on another thread needs to come by, also where threads share a core.
async fn between_steps() {
    TokioEnvironment::new().sleep(Duration::from_millis(1)).await;
}

#[async_trait]
impl Driver for BrokenDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        let key = &self.stored_key(key);
        let mut object = match self.inner.get(key).await {
            Err(error) if error.is_not_found() && self.flaw == F::MissingIsFinal => {
                return Err(fault(ErrorKind::Permanent, Operation::Get, key));
            }
            result => result?,
        };
        match self.flaw {
            F::ServesOldReads if self.each(3) => {
                return Ok(self.read_before.lock().entry(key.clone()).or_insert(object).clone());
            }
            F::ServesOldReads => drop(self.read_before.lock().insert(key.clone(), object.clone())),
            F::ReadsInTwoSteps => {
                tokio::task::yield_now().await;
                object.etag = self.inner.get(key).await?.etag;
            }
            F::EtagIsTheLength => object.etag = ETag(object.body.len().to_string()),
            _ => {}
        }
        Ok(object)
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let key = &self.stored_key(key);
        let conditional = condition != Condition::Always;
        match (self.flaw, &condition) {
            (F::IgnoresIfMatch, Condition::IfMatch(_)) | (F::IgnoresCreateOnly, Condition::IfAbsent) => {
                self.inner.put(key, body, Condition::Always).await
            }
            (F::IfMatchNeedsKeyOnly, Condition::IfMatch(_)) => {
                self.inner.get(key).await.map_err(|_| DriverError::precondition_failed(key))?;
                self.inner.put(key, body, Condition::Always).await
            }
            (F::CreateOnlyUnlessRaced, Condition::IfAbsent) | (F::IfMatchUnlessRaced, Condition::IfMatch(_)) => {
                self.holds(key, &condition).await?;
                self.inner.put(key, body, Condition::Always).await
            }
            (F::RepeatsConditionalPuts, _) if conditional && self.each(7) => {
                self.inner.put(key, body.clone(), condition.clone()).await?;
                self.inner.put(key, body, condition).await
            }
            (F::LosesAnswers, _) if conditional && key.as_str().contains("/races/") => {
                let call = self.calls.fetch_add(1, Ordering::Relaxed);
                if call.is_multiple_of(3) {
                    return Err(fault(ErrorKind::Transient, Operation::Put, key));
                }
                let result = self.inner.put(key, body, condition).await;
                if call % 3 == 1 { Err(fault(ErrorKind::Transient, Operation::Put, key)) } else { result }
            }
            (F::SaysUnsupported, _) if conditional => Err(fault(ErrorKind::Unsupported, Operation::Put, key)),
            (F::LosesAPut, _) if self.each(100) => Ok(ETag("lost".into())),
            (F::RefusesLongKeys, _) if key.as_str().len() > 900 => {
                Err(fault(ErrorKind::Permanent, Operation::Put, key))
            }
            (F::WritesInTwoSteps, Condition::Always) if body.len() > 1 => {
                self.inner.put(key, body.slice(..body.len() / 2), Condition::Always).await?;
                between_steps().await;
                self.inner.put(key, body, condition).await
            }
            (F::ReadsInTwoSteps, Condition::Always) => {
                // Writers that never let go would all be done before the first reader is between its steps.
                tokio::task::yield_now().await;
                self.inner.put(key, body, condition).await
            }
            (F::ReplacesByRemoving, Condition::Always) => {
                self.inner.delete(key).await?;
                between_steps().await;
                self.inner.put(key, body, condition).await
            }
            (F::PutHasAnotherEtag, _) => {
                let etag = self.inner.put(key, body, condition).await?;
                Ok(ETag(format!("\"{etag}\"")))
            }
            (F::EtagIsTheLength, _) => {
                let etag = ETag(body.len().to_string());
                self.inner.put(key, body, condition).await.map(|_| etag)
            }
            (F::Hangs, Condition::IfMatch(_)) => std::future::pending().await,
            (F::Panics, Condition::IfAbsent) if key.as_str().contains("/races/") => panic!("on purpose"),
            _ => self.inner.put(key, body, condition).await,
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let key = &self.stored_key(key);
        match self.flaw {
            F::DeletingTheMissingFails => self.inner.get(key).await.map(drop)?,
            F::LosesADelete if self.each(3) => return Ok(()),
            _ => {}
        }
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        let mut page = self.inner.list(prefix, continuation).await?;
        match self.flaw {
            F::ListsShort => page.next = None,
            F::ListsBackwards => page.objects.reverse(),
            F::ListsForEver => page = Page { next: Some(prefix.to_owned()), ..Page::default() },
            F::ListsOtherKeys => {
                let parent = prefix.rsplit_once('/').map_or("", |(parent, _)| parent);
                page = self.inner.list(parent, continuation).await?;
            }
            F::ListsTwice => {
                if let Some(last) = continuation {
                    let mut again = self.inner.list(last, None).await?;
                    again.objects.append(&mut page.objects);
                    page.objects = again.objects;
                }
            }
            F::ListsWholeSegmentsOnly => {
                let folder = format!("{}/", prefix.trim_end_matches('/'));
                page.objects.retain(|listed| listed.key.as_str().starts_with(&folder));
            }
            F::DropsNonAsciiFromListings => page.objects.retain(|listed| listed.key.as_str().is_ascii()),
            F::ServesOldListings => {
                let question = format!("{prefix} {continuation:?}");
                page = self.listed_before.lock().entry(question).or_insert(page).clone();
            }
            _ => {}
        }
        Ok(page)
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        let Object { body, etag } = self.get(key).await?;
        let length = body.len() as u64;
        let end = match self.flaw {
            F::RangePastTheEndFails if range.start >= length => {
                return Err(fault(ErrorKind::Permanent, Operation::Get, key));
            }
            F::RangeIncludesItsEnd => range.end.saturating_add(1),
            _ => range.end,
        };
        let end = end.min(length) as usize;
        Ok(Object { body: body.slice((range.start as usize).min(end)..end), etag })
    }

    async fn put_stream(
        &self,
        key: &Key,
        mut pieces: BoxStream<'_, Result<Bytes>>,
        condition: Condition,
    ) -> Result<ETag> {
        let mut body = Vec::new();
        loop {
            match pieces.try_next().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return self.put(key, body.into(), condition).await,
                Err(error) => {
                    if self.flaw == F::WritesBrokenStreams {
                        self.put(key, body.into(), condition).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        Ok((self.flaw == F::TellsAWrongTime).then_some(UNIX_EPOCH))
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.server_time = matches!(self.flaw, F::TellsAWrongTime | F::TellsNoTime);
        if self.flaw == F::SaysUnsupported {
            (capabilities.create_only, capabilities.if_match) = (Support::Absent, Support::Absent);
        }
        capabilities
    }
}

fn suite(flaw: Flaw) -> Suite {
    Suite::new(Arc::new(BrokenDriver::new(flaw)), Arc::new(TokioEnvironment::new()))
        .rounds(60)
        .large_object_bytes(700_000)
}

/// What is wrong with the report if the check should have failed with a sentence that says this.
fn missed(report: &Report, check: &str, says: &str) -> Option<String> {
    match report.failures().find(|(name, _)| *name == check) {
        None => Some(format!("{check:?} did not fail\n{report}")),
        Some((_, sentence)) if !sentence.contains(says) => Some(format!("{check:?} says {sentence:?}, not {says:?}")),
        Some((_, sentence)) if !report.to_string().contains(sentence) => Some(format!("{sentence:?} is not shown")),
        Some(_) => None,
    }
}

#[track_caller]
fn assert_finds(report: &Report, check: &str, says: &str) {
    assert_eq!(missed(report, check, says), None);
}

/// Each flaw with the checks that must find it and what they must say.
const FINDINGS: &[(Flaw, &str, &str)] = &[
    (F::IgnoresIfMatch, "if-match", "where there is no object succeeded instead of giving PreconditionFailed"),
    (F::IgnoresIfMatch, "of many replacers one wins", "of 8 replacers"),
    (F::IgnoresIfMatch, "no increment is lost", "were lost: an if-match put replaced a version that it did not name"),
    (F::IgnoresCreateOnly, "create-only", "onto an existing object succeeded instead of giving PreconditionFailed"),
    (F::IgnoresCreateOnly, "of many creators one wins", "8 of 8 creators"),
    (F::IgnoresCreateOnly, "streams", "a create-only stream onto an existing object succeeded"),
    (F::IfMatchNeedsKeyOnly, "if-match", "with the ETag of another object succeeded"),
    (F::CreateOnlyUnlessRaced, "of many creators one wins", "succeeded: the condition is not atomic"),
    (F::IfMatchUnlessRaced, "of many replacers one wins", "succeeded: the condition is not atomic"),
    (F::IfMatchUnlessRaced, "no increment is lost", "were lost"),
    (F::IfMatchUnlessRaced, "a deletion is not undone by if-match", "can be read after a deletion that raced"),
    (F::IfMatchUnlessRaced, "a put is not undone by if-match", "after an unconditional put that raced"),
    (F::RepeatsConditionalPuts, "of many creators one wins", "all 8 creators"),
    (F::RepeatsConditionalPuts, "of many creators one wins", "were refused, though one must win"),
    (F::LosesAPut, "reads are fresh", "after the put was acknowledged"),
    (F::LosesAPut, "listing has pages", "lacks 23 of 2300 keys"),
    (F::LosesADelete, "many objects are deleted at once", "can be read after it was deleted with others"),
    (F::LosesADelete, "listing is fresh", "which it should not have"),
    (F::LosesADelete, "the scratch prefix can be emptied", "which it should not have"),
    (F::ServesOldReads, "reads are fresh", "after the put was acknowledged"),
    (F::ServesOldListings, "listing is fresh", "a listing after a delete was acknowledged has"),
    (F::ListsShort, "listing has pages", "a listing of 2300 keys lacks 1300 of 2300 keys"),
    (F::ListsBackwards, "listing is in byte order", "keys must ascend in byte order"),
    (F::ListsTwice, "listing has pages", "twice"),
    (F::ListsWholeSegmentsOnly, "a prefix is any text", "lacks"),
    (F::ListsForEver, "listing is in byte order", "did not end after 10000 pages"),
    (F::ListsOtherKeys, "a prefix is any text", "which begins otherwise"),
    (F::PutHasAnotherEtag, "an object reads back as it was put", "gave the ETag"),
    (F::EtagIsTheLength, "ETags follow the content", "had the ETag 14 both as"),
    (
        F::DeletingTheMissingFails,
        "deleting is idempotent",
        "deleting what never existed must succeed and gave NotFound",
    ),
    (F::MissingIsFinal, "a missing object is NotFound", "gave Permanent instead of NotFound"),
    (F::RangeIncludesItsEnd, "ranges", "the range 0..10 of"),
    (F::RangeIncludesItsEnd, "ranges", "gave 11 bytes instead of 10"),
    (F::RangePastTheEndFails, "ranges", "the broken driver says so"),
    (F::FoldsCase, "keys are kept apart", "are one object to the store"),
    (F::DropsNonAsciiFromListings, "keys are kept apart", "a listing of unusual keys lacks"),
    (F::RefusesLongKeys, "long keys", "a key of 1024 bytes cannot be put"),
    (F::WritesInTwoSteps, "readers see whole objects only", "gave a mixture or a part of its versions"),
    (F::ReadsInTwoSteps, "readers see whole objects only", "gave the bytes of one version with the ETag"),
    (F::ReplacesByRemoving, "listing loses nothing that is being replaced", "and none deleted, lacks"),
    (F::WritesBrokenStreams, "a stream that breaks off writes nothing", "can be read although the stream"),
    (F::TellsAWrongTime, "server time", "off this machine's"),
    (F::TellsNoTime, "server time", "claims to tell the server's time and does not"),
    (F::Panics, "of many creators one wins", "a call of the driver panicked"),
    (F::SaysUnsupported, "create-only", "says so"),
    (F::SaysUnsupported, "capabilities are true", "declare that to the suite"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_flaw_is_found_and_named() {
    let mut problems = Vec::new();
    for findings in FINDINGS.chunk_by(|(one, ..), (other, ..)| one == other) {
        let flaw = findings[0].0;
        let report = suite(flaw).run().await;
        let missed = findings.iter().filter_map(|(_, check, says)| missed(&report, check, says));
        problems.extend(missed.map(|missed| format!("{flaw:?}: {missed}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_wrapper_without_a_flaw_passes() {
    suite(F::None).run().await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_never_returns_is_found() {
    let report = suite(F::Hangs).rounds(5).listed_keys(10).patience(Duration::from_secs(2)).run().await;
    assert_finds(&report, "if-match", "it was not done after 2 s: some call does not return");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passing_faults_in_a_race_are_settled() {
    suite(F::LosesAnswers).rounds(40).run().await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[should_panic(expected = "the driver breaks the storage contract")]
async fn assert_ok_fails_the_test() {
    suite(F::ListsBackwards).rounds(2).listed_keys(10).run().await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn declared_limits_are_respected_and_reported() {
    let report = suite(F::RefusesLongKeys).rounds(10).max_key_bytes(900).run().await;
    report.assert_ok();
    assert_eq!(report.limits(), ["keys have at most 900 bytes"]);
    assert!(report.to_string().contains("declared limit: keys have at most 900 bytes"), "{report}");

    let report = suite(F::DropsNonAsciiFromListings).rounds(10).ascii_keys_only().max_segment_bytes(255).run().await;
    report.assert_ok();
    assert_eq!(report.limits(), ["segments of keys have at most 255 bytes", "keys are ASCII only"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_without_conditions_must_say_so() {
    let without = |flaw| suite(flaw).rounds(10).without_create_only().without_if_match();
    let report = without(F::SaysUnsupported).run().await;
    report.assert_ok();
    assert_eq!(report.limits(), ["the store has no create-only", "the store has no if-match"]);

    let ignored = without(F::IgnoresCreateOnly).run().await;
    assert_finds(&ignored, "create-only", "succeeded instead of giving Unsupported");
    assert_finds(&ignored, "capabilities are true", "claims create-only, which the suite was told");
    let ignored = without(F::IgnoresIfMatch).run().await;
    assert_finds(&ignored, "if-match", "succeeded instead of giving Unsupported");
}
