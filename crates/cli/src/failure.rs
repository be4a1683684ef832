use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use bucketdb::{Error, ErrorKind, InvalidPrefix, LogError, ParseError};
use serde_json::{Map, Value, json};

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;

/// Why a command ends without having done what it was asked for, as the user is told.
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    /// What a program can match on.
    kind: &'static str,
    message: String,
    is_retryable: bool,
    /// What else a program may want to know, such as a line number.
    details: Map<String, Value>,
}

impl Failure {
    /// The operation failed.
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit_code: EXIT_FAILED, kind, message, is_retryable: false, details: Map::new() }
    }

    /// The command was not meant to be used like this.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: EXIT_USAGE, ..Self::new("usage", message) }
    }

    /// An option that holds a filter, an order or a selection is not understood.
    pub(crate) fn parse(option: &str, error: &ParseError) -> Self {
        let failure = Self { exit_code: EXIT_USAGE, ..Self::new("parse", format!("{option}: {error}")) };
        failure.with("option", option).with("column", error.column())
    }

    /// A file could not be opened, read or written.
    pub(crate) fn of_io(doing: &str, subject: &str, error: &io::Error) -> Self {
        Self::new("io", format!("cannot {doing} {subject}: {error}"))
    }

    /// The store did not answer anything.
    pub(crate) fn unreachable(message: String) -> Self {
        Self { is_retryable: true, ..Self::new("store_unreachable", message) }
    }

    /// Adds something that a program may want to know.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The same failure, said to be about something.
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    /// The same failure of an operation, even if the library sees a wrong argument: it came out of a file.
    pub(crate) fn of_data(mut self) -> Self {
        self.exit_code = EXIT_FAILED;
        self
    }

    /// The same failure, with a sentence behind it.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Tells the user.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        // Whoever reads our output has seen enough: that is no failure.
        if self.kind == BROKEN_PIPE {
            return ExitCode::SUCCESS;
        }
        if json {
            let mut error = Map::new();
            error.insert("kind".to_owned(), self.kind.into());
            error.insert("message".to_owned(), self.message.clone().into());
            error.insert("retryable".to_owned(), self.is_retryable.into());
            error.extend(self.details.clone());
            eprintln!("{}", json!({ "error": error }));
        } else {
            eprintln!("error: {}", self.message);
        }
        ExitCode::from(self.exit_code)
    }
}

const BROKEN_PIPE: &str = "broken_pipe";

/// Failures of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(BROKEN_PIPE, error.to_string()),
            _ => Self::of_io("write to", "the output", &error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_usage = matches!(
            error,
            Error::InvalidKey { .. }
                | Error::InvalidUrl { .. }
                | Error::Parse(_)
                | Error::Schema(_)
                | Error::WrongName { .. }
                | Error::InvalidBranch { .. }
                | Error::Log(LogError::InvalidOption { .. } | LogError::InvalidPrefix(_))
        );
        Self {
            exit_code: if is_usage { EXIT_USAGE } else { EXIT_FAILED },
            kind: kind_of(&error),
            message: sentence(&error),
            is_retryable: error.is_retryable(),
            details: Map::new(),
        }
    }
}

impl From<bucketdb::DriverError> for Failure {
    fn from(error: bucketdb::DriverError) -> Self {
        Error::from(error).into()
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Error::from(error).into()
    }
}

impl From<InvalidPrefix> for Failure {
    fn from(error: InvalidPrefix) -> Self {
        Error::from(LogError::from(error)).into()
    }
}

/// The error, and what caused it in the end if the error does not say so itself.
fn sentence(error: &dyn StdError) -> String {
    let message = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(StdError::source) {
        cause = Some(deeper);
    }
    match cause.map(ToString::to_string) {
        Some(cause) if !message.contains(&cause) => format!("{message}: {cause}"),
        _ => message,
    }
}

fn kind_of(error: &Error) -> &'static str {
    match error {
        Error::AlreadyExists { .. } => "already_exists",
        Error::NotFound { .. } => "not_found",
        Error::Conflict { .. } | Error::TableConflict { .. } | Error::TransactionTooLong { .. } => "conflict",
        Error::UniqueViolation { .. } => "unique_violation",
        Error::IndexValueTooLarge { .. } => "index_value_too_large",
        Error::WrongClock { .. } => "wrong_clock",
        Error::SnapshotExists { .. } => "snapshot_exists",
        Error::UnknownSnapshot { .. } => "unknown_snapshot",
        Error::InvalidSnapshot { .. } => "invalid_snapshot",
        Error::BranchExists { .. } => "branch_exists",
        Error::UnknownBranch { .. } => "unknown_branch",
        Error::InvalidBranch { .. } => "invalid_branch",
        Error::UnknownIndex { .. } => "unknown_index",
        Error::VersionMismatch { .. } => "version_mismatch",
        Error::CommitOutcomeUnknown { .. } => "commit_outcome_unknown",
        Error::CommitTimedOut => "commit_timed_out",
        Error::BatchTooLarge { .. } => "batch_too_large",
        Error::WriteTooLarge { .. } => "write_too_large",
        Error::OrderTooLarge { .. } => "order_too_large",
        Error::TooManyGroups { .. } => "too_many_groups",
        Error::UnknownTable { .. } => "unknown_table",
        Error::Schema(_) => "invalid_schema",
        Error::OutdatedSchema { .. } => "outdated_schema",
        Error::InvalidKey { .. } => "invalid_key",
        Error::InvalidDocument { .. } => "invalid_document",
        Error::Parse(_) => "parse",
        Error::InvalidUrl { .. } => "invalid_url",
        Error::StoreUnavailable { .. } => "store_unavailable",
        Error::Encrypted { .. } => "encrypted",
        Error::NotEncrypted => "not_encrypted",
        Error::InvalidCursor { .. } => "invalid_cursor",
        Error::WrongName { .. } => "wrong_name",
        Error::EmptyPage => "empty_page",
        Error::InvalidPoint { .. } => "invalid_point",
        Error::FeedExpired { .. } => "feed_expired",
        Error::SnapshotExpired { .. } => "snapshot_expired",
        Error::BlobTaken { .. } => "blob_taken",
        Error::BlobExpired { .. } => "blob_expired",
        Error::BlobGone { .. } => "blob_gone",
        Error::BlobDamaged { .. } => "damaged",
        Error::ForeignBlob { .. } => "foreign_blob",
        Error::BlobSource { .. } => "io",
        Error::Backup { .. } => "backup",
        Error::NotEmpty { .. } => "not_empty",
        Error::UnfinishedRestore { .. } => "unfinished_restore",
        Error::Log(error) => kind_of_log(error),
        _ => "other",
    }
}

fn kind_of_log(error: &LogError) -> &'static str {
    match error {
        LogError::Driver(error) => match error.kind() {
            ErrorKind::Transient => "store_unreachable",
            ErrorKind::Denied => "denied",
            ErrorKind::NoSpace => "no_space",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Damaged => "damaged",
            ErrorKind::NotFound | ErrorKind::PreconditionFailed | ErrorKind::Permanent => "store_refused",
        },
        LogError::Damaged { .. } => "damaged",
        LogError::Missing { .. } => "missing_object",
        LogError::BrokenChain { .. } => "broken_chain",
        LogError::BelowFloor { .. } => "below_floor",
        LogError::FellBehind { .. } => "fell_behind",
        LogError::Forked { .. } => "forked",
        LogError::Halted { .. } => "halted",
        LogError::NeedsNewerVersion { .. } => "needs_newer_version",
        LogError::NoDatabase { .. } => "no_database",
        LogError::UnfinishedBranch { .. } => "unfinished_branch",
        LogError::Dropped { .. } => "dropped",
        LogError::Nested { .. } => "nested_prefix",
        LogError::InvalidPrefix(_) => "invalid_prefix",
        LogError::InvalidOption { .. } => "invalid_option",
        LogError::UnfitStore { .. } => "unfit_store",
        LogError::ReadOnly => "read_only",
        LogError::Closed => "closed",
        _ => "other",
    }
}
