use bucketdb::simulation::LoggedRecord;
use bucketdb::{Change, ChangeKind, LogTime, Seq};
use serde_json::Value;

/// One change as a feed tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FeedEvent {
    pub(crate) seq: Seq,
    pub(crate) time: LogTime,
    pub(crate) table: String,
    pub(crate) key: String,
    /// `None` if the document was removed.
    pub(crate) document: Option<Value>,
}

impl FeedEvent {
    pub(crate) fn new(change: Change<Value>) -> Self {
        let Change { seq, time, table, key, kind, .. } = change;
        let document = match kind {
            ChangeKind::Put(document) => Some(document),
            ChangeKind::Delete => None,
        };
        Self { seq, time, table, key: key.to_string().trim_matches('"').to_owned(), document }
    }

    /// What a record said.
    pub(crate) fn all(record: LoggedRecord) -> impl Iterator<Item = Self> {
        let LoggedRecord { seq, time, documents, .. } = record;
        documents.into_iter().map(move |logged| Self {
            seq,
            time,
            table: logged.table,
            key: logged.key.trim_matches('"').to_owned(),
            document: logged.document,
        })
    }

    /// The operation that wrote the document; `None` if it was removed.
    pub(crate) fn token(&self) -> Option<u64> {
        self.document.as_ref().and_then(|document| field(document, "token"))
    }

    /// When the document ends, in milliseconds since 1970; `None` if it does not.
    pub(crate) fn ends_ms(&self) -> Option<u64> {
        self.document.as_ref().and_then(|document| field(document, "ends")).map(|ends| ends * 1_000)
    }

    /// The operation whose document this one was made from.
    pub(crate) fn base(&self) -> Option<u64> {
        self.document.as_ref().and_then(|document| field(document, "base"))
    }
}

fn field(document: &Value, name: &str) -> Option<u64> {
    document.get(name).and_then(Value::as_u64)
}
