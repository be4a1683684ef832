use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::Key;

/// The result of a driver's method.
pub type Result<T, E = DriverError> = std::result::Result<T, E>;

/// Which of a driver's methods an error or a count belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Reading an object, whole or in part.
    Get,
    /// Writing an object.
    Put,
    /// Removing objects.
    Delete,
    /// Listing keys.
    List,
    /// Making a pre-signed URL.
    Presign,
    /// Asking the store for its time.
    ServerTime,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Presign => "presign",
            Self::ServerTime => "server time",
        })
    }
}

/// What an error means for the one who called.
///
/// The line that matters for safety runs between [`Transient`](Self::Transient) and the rest: only after a transient
/// error may the operation have taken effect, now or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no object with that key.
    NotFound,
    /// The condition of a put did not hold. Nothing was written by this call.
    PreconditionFailed,
    /// A passing fault: time-out, lost connection, throttling, a server's inner error. The operation may be repeated.
    /// Whether it took effect is unknown.
    Transient,
    /// The store does not offer what was asked for, such as a condition on put. Nothing was done.
    Unsupported,
    /// The store refused the caller: wrong credentials, no permission. Nothing was done.
    Denied,
    /// There is no room: disk full, quota reached. Nothing was written.
    NoSpace,
    /// What is stored is not what was put: it was changed or cut off, or belongs elsewhere. A driver that can tell says so.
    Damaged,
    /// Any other final refusal, such as a missing bucket. Nothing was done, and repeating will not help.
    Permanent,
}

/// A failed call of a [`Driver`](crate::Driver): what was asked, of which object, and what it means.
///
/// The text is one sentence without the source; the source, if any, is chained. Never holds a secret.
#[derive(Clone)]
pub struct DriverError {
    kind: ErrorKind,
    operation: Operation,
    subject: String,
    detail: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl DriverError {
    /// An error about `subject`, which is a key or, for a listing, a prefix. `detail` completes the sentence
    /// "put of log/1 failed: …".
    pub fn new(kind: ErrorKind, operation: Operation, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, operation, subject: subject.into(), detail: detail.into(), source: None }
    }

    /// The object that was asked for does not exist.
    #[must_use]
    pub fn not_found(operation: Operation, key: &Key) -> Self {
        Self::new(ErrorKind::NotFound, operation, key.as_str(), "there is no such object")
    }

    /// The condition of a put did not hold.
    #[must_use]
    pub fn precondition_failed(key: &Key) -> Self {
        Self::new(ErrorKind::PreconditionFailed, Operation::Put, key.as_str(), "the condition does not hold")
    }

    /// Chains the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What the error means.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Which operation failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The key, or the prefix of a listing, that the failed call was about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What went wrong, in words that complete "put of log/1 failed: …".
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether there is no object with that key.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether the condition of a put did not hold.
    #[must_use]
    pub fn is_precondition_failed(&self) -> bool {
        self.kind == ErrorKind::PreconditionFailed
    }

    /// Whether the fault may pass and the outcome is unknown.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, subject, detail, .. } = self;
        write!(formatter, "{operation} of {subject} failed: {detail}")
    }
}

impl fmt::Debug for DriverError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, operation, subject, detail, source } = self;
        write!(formatter, "{kind:?}({operation} of {subject}: {detail}")?;
        if let Some(source) = source {
            write!(formatter, ", caused by {source}")?;
        }
        formatter.write_str(")")
    }
}

impl StdError for DriverError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
