use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use bucketdb::{Condition, DriverError, ETag, ErrorKind, Key, Listed, Object, Operation, Page};
use bytes::Bytes;

/// The objects, and enough of the past to show a listing of it.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    objects: BTreeMap<String, Stored>,
    writes: u64,
}

#[derive(Debug)]
struct Stored {
    key: Key,
    object: Object,
    created: Duration,
    /// When it was removed; it is still shown by listings of before.
    removed: Option<Duration>,
}

/// What is asked of the store.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Get { key: Key },
    Put { key: Key, body: Bytes, condition: Condition },
    Delete { key: Key },
    List { prefix: String, after: String, page_keys: usize, lag: Duration },
}

/// What the store answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Object(Object),
    Written(ETag),
    Deleted,
    Page(Page),
}

impl Request {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Get { .. } => Operation::Get,
            Self::Put { .. } => Operation::Put,
            Self::Delete { .. } => Operation::Delete,
            Self::List { .. } => Operation::List,
        }
    }

    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Get { key } | Self::Put { key, .. } | Self::Delete { key } => key.as_str(),
            Self::List { prefix, .. } => prefix,
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, detail: &str) -> DriverError {
        DriverError::new(kind, self.operation(), self.subject(), detail)
    }

    /// Whether it asks that there be no object.
    pub(crate) fn is_create(&self) -> bool {
        matches!(self, Self::Put { condition: Condition::IfAbsent, .. })
    }
}

impl Bucket {
    /// Does what is asked, at one moment.
    pub(crate) fn apply(&mut self, now: Duration, request: &Request) -> Result<Answer, DriverError> {
        match request {
            Request::Get { key } => {
                let found = self.living(key).map(|stored| Answer::Object(stored.object.clone()));
                found.ok_or_else(|| DriverError::not_found(Operation::Get, key))
            }
            Request::Put { key, body, condition } => {
                let current = self.living(key).map(|stored| &stored.object.etag);
                let holds = match condition {
                    Condition::Always => true,
                    Condition::IfAbsent => current.is_none(),
                    Condition::IfMatch(etag) => current == Some(etag),
                };
                if !holds {
                    return Err(DriverError::precondition_failed(key));
                }
                Ok(Answer::Written(self.write(now, key, body)))
            }
            Request::Delete { key } => {
                if let Some(stored) = self.objects.get_mut(key.as_str()) {
                    stored.removed.get_or_insert(now);
                }
                Ok(Answer::Deleted)
            }
            Request::List { prefix, after, page_keys, lag } => {
                Ok(Answer::Page(self.page(prefix, after, *page_keys, now.saturating_sub(*lag))))
            }
        }
    }

    /// Writes whatever is there, condition or not.
    pub(crate) fn write(&mut self, now: Duration, key: &Key, body: &Bytes) -> ETag {
        self.writes += 1;
        let etag = ETag(format!("{:x}", self.writes));
        let object = Object { body: body.clone(), etag: etag.clone() };
        // One that was there before keeps its place in listings of the past.
        let created = self.living(key).map_or(now, |stored| stored.created);
        self.objects.insert(key.as_str().to_owned(), Stored { key: key.clone(), object, created, removed: None });
        etag
    }

    /// The object with that key.
    pub(crate) fn object(&self, key: &Key) -> Option<&Object> {
        self.living(key).map(|stored| &stored.object)
    }

    /// The keys of all objects, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.values().filter(|stored| stored.removed.is_none()).map(|stored| &stored.key)
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.objects.values().filter(|stored| stored.removed.is_none()).count()
    }

    fn living(&self, key: &Key) -> Option<&Stored> {
        self.objects.get(key.as_str()).filter(|stored| stored.removed.is_none())
    }

    /// The keys that begin with `prefix` and are greater than `after`, as they were at the moment `at`.
    fn page(&self, prefix: &str, after: &str, page_keys: usize, at: Duration) -> Page {
        let start = if after > prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        let mut matching = self
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, stored)| {
                let was_there = stored.created <= at && stored.removed.is_none_or(|removed| removed > at);
                key.as_str() > after && was_there
            })
            .map(|(_, stored)| Listed { key: stored.key.clone(), size_bytes: Some(stored.object.body.len() as u64) });
        let objects: Vec<_> = matching.by_ref().take(page_keys).collect();
        let next = matching.next().and(objects.last()).map(|last| last.key.as_str().to_owned());
        Page { objects, next }
    }
}
