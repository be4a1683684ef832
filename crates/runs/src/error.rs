use bucketdb_driver::{DriverError, ErrorKind};
use bucketdb_log::codec::Malformed;

/// The result of working with runs.
pub type Result<T, E = RunError> = std::result::Result<T, E>;

/// Why a run cannot be read or written. Cheap to clone: one failure may answer many callers.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The store failed or refused.
    #[error(transparent)]
    Driver(DriverError),
    /// An object is not as it was written.
    #[error("object {object} is damaged: {detail}")]
    Damaged {
        /// Its full key.
        object: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A run does not exist, or no longer.
    #[error("object {object} is missing: it was removed after its runs were replaced, or lost")]
    Missing {
        /// Its full key.
        object: String,
    },
    /// Written by a newer version of this library.
    #[error("object {object} needs a newer version of BucketDB: {detail}")]
    NeedsNewerVersion {
        /// Its full key.
        object: String,
        /// What is newer.
        detail: String,
    },
    /// A writer was given a key that is not greater than the one before.
    #[error("a run takes keys in ascending order, each once: this one is not greater than the one before it")]
    OutOfOrder,
    /// A writer was given a key or a row that is too long.
    #[error("a {what} of {size_bytes} bytes does not go into a run: at most {limit_bytes} do")]
    TooLong {
        /// "key" or "row".
        what: &'static str,
        /// How long it is.
        size_bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
}

/// What a driver finds damaged is an object that is not as it was written, whoever found it out.
impl From<DriverError> for RunError {
    fn from(error: DriverError) -> Self {
        match error.kind() {
            ErrorKind::Damaged => Self::damaged(error.subject(), error.detail()),
            _ => Self::Driver(error),
        }
    }
}

impl RunError {
    /// Whether the same call may succeed later without anyone's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Driver(error) if error.is_transient())
    }

    pub(crate) fn damaged(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Damaged { object: object.into(), detail: detail.into() }
    }

    /// A failed read of the run `object`.
    pub(crate) fn of_read(object: &str, error: DriverError) -> Self {
        if error.is_not_found() { Self::Missing { object: object.to_owned() } } else { error.into() }
    }
}

/// What is wrong with a part of a run, before it is known which run it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Damaged(&'static str),
    Newer(String),
}

impl Fault {
    pub(crate) fn of_object(self, object: &str) -> RunError {
        match self {
            Self::Damaged(detail) => RunError::damaged(object, detail),
            Self::Newer(detail) => RunError::NeedsNewerVersion { object: object.to_owned(), detail },
        }
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Damaged(malformed.0)
    }
}
