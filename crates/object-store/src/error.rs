use bucketdb_driver::{DriverError, ErrorKind, Operation};
use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};

use crate::connector::{Answer, Exchange, Lost, Observation};

/// Which protocol a store speaks. They answer the same thing in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    S3,
    Gcs,
    Azure,
}

/// Which condition the failed call carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conditional {
    No,
    IfAbsent,
    IfMatch,
}

/// The failed call, as far as its meaning depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    /// The key, or the prefix of a listing.
    pub(crate) subject: &'a str,
    pub(crate) conditional: Conditional,
}

/// What a store is called in an error.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) protocol: Protocol,
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
}

impl Place {
    /// What a failed call means, told from the last exchange with the store rather than from the client's error.
    ///
    /// The client's own mapping is not used: it calls a missing bucket "not found" like a missing object, and a
    /// conflicting operation in flight "already exists" although nothing may exist. Its text is not chained either,
    /// because it repeats whole answers, and a refused signature is answered with the signed request in full.
    pub(crate) fn error(&self, call: Call<'_>, error: &object_store::Error, seen: Observation) -> DriverError {
        match seen.last {
            Some(Exchange::Answered(answer)) => self.answered(call, answer, error),
            Some(Exchange::Lost(lost)) => self.lost(call, lost),
            None => match transport_error(error) {
                Some(lost) => self.lost(call, lost),
                None => self.unsent(call, error),
            },
        }
    }

    fn answered(&self, call: Call<'_>, answer: Answer, error: &object_store::Error) -> DriverError {
        if answer.status.is_success() {
            // The headers said yes, the rest was cut off or unreadable. A put may well have taken effect.
            let detail = self.at("the store's answer could not be read to its end");
            let failed = call.error(ErrorKind::Transient, detail);
            return failed.with_source(Unreadable(innermost(error).to_string()));
        }
        let (kind, detail) = self.meaning(call, &answer);
        call.error(kind, detail).with_source(answer)
    }

    fn lost(&self, call: Call<'_>, lost: Lost) -> DriverError {
        let what = match lost.kind {
            HttpErrorKind::Connect => "no connection",
            HttpErrorKind::Timeout => "no answer in time",
            _ => "the connection broke",
        };
        call.error(ErrorKind::Transient, self.at(what)).with_source(lost)
    }

    /// Nothing went over the wire: the call was refused on this machine, or its credentials could not be had.
    fn unsent(&self, call: Call<'_>, error: &object_store::Error) -> DriverError {
        match error {
            object_store::Error::InvalidPath { .. } => {
                call.error(ErrorKind::Permanent, self.at("an object of this name cannot be kept there"))
            }
            object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
                call.error(ErrorKind::Unsupported, "the client does not offer this for this store")
            }
            _ => call.error(
                ErrorKind::Transient,
                self.at("no credentials could be had: are they set, and is their source reachable?"),
            ),
        }
    }

    /// The table. Where the protocols differ, the arm says so.
    fn meaning(&self, call: Call<'_>, answer: &Answer) -> (ErrorKind, String) {
        use {Conditional as C, ErrorKind as E, Protocol as P};
        let code = answer.code.as_deref().unwrap_or_default();
        match (answer.status.as_u16(), code) {
            (_, "NoSuchBucket" | "ContainerNotFound") => (E::Permanent, self.missing_bucket()),
            (_, "ContainerBeingDeleted" | "ContainerDisabled" | "AccountIsDisabled") => {
                (E::Permanent, self.at("the bucket is disabled or being deleted"))
            }
            (_, "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded") | (507, _) => {
                (E::NoSpace, self.at("the store is full or its quota is used up"))
            }
            (_, "NotImplemented") | (501 | 405, _) => (E::Unsupported, self.unsupported(call)),
            // AWS calls a body that arrived too slowly a bad request.
            (_, "RequestTimeout") => (E::Transient, self.at("the store gave up waiting for the request")),
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                (E::Denied, self.at("the session token is expired or invalid"))
            }
            (_, "RequestTimeTooSkewed") => {
                (E::Denied, self.at("this machine's clock is too far from the store's: set the clock"))
            }
            (_, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "AuthenticationFailed") | (401, _) => {
                (E::Denied, self.at("the store does not accept the credentials"))
            }
            (403, _) if self.protocol == P::S3 && call.operation == Operation::Get => (
                E::Denied,
                // S3 hides from those who may not list whether an object exists.
                self.at("access denied (a missing object looks like this too unless s3:ListBucket is granted)"),
            ),
            (403, _) => (E::Denied, self.at("access denied")),
            (404, _) if answer.is_foreign => {
                (E::Permanent, self.at("404 without an object store's error document: is the endpoint right?"))
            }
            (404, _) if call.conditional == C::IfMatch => {
                (E::PreconditionFailed, "there is no object whose ETag could match".to_owned())
            }
            (404, _) if matches!(call.operation, Operation::Get | Operation::Delete) => {
                (E::NotFound, "there is no such object".to_owned())
            }
            (404, _) => (E::Permanent, self.at("the store does not know what was asked for: is the bucket right?")),
            // Azure's documented refusal of create-only.
            (409, "BlobAlreadyExists") if self.protocol == P::Azure && call.conditional == C::IfAbsent => {
                (E::PreconditionFailed, "the condition does not hold".to_owned())
            }
            // S3: another operation on the key is in flight, and it may yet fail. Nobody can tell from this answer
            // whether the object exists; whoever needs to know reads it.
            (409, _) => (E::Transient, self.at("a conflicting operation is in flight")),
            (412 | 304, _) if call.conditional != C::No => {
                (E::PreconditionFailed, "the condition does not hold".to_owned())
            }
            (408 | 429, _) => (E::Transient, self.at("the store asks for fewer requests")),
            (status, _) if status >= 500 => (E::Transient, self.at("the store has a passing fault")),
            (300..=399, _) | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                (E::Permanent, self.at("the store sent the request elsewhere: are region and endpoint right?"))
            }
            _ => (E::Permanent, self.at("the store refused the request")),
        }
    }

    fn missing_bucket(&self) -> String {
        let Self { endpoint, bucket, protocol } = self;
        let what = if *protocol == Protocol::Azure { "container" } else { "bucket" };
        format!("the {what} {bucket:?} does not exist at {endpoint}")
    }

    fn unsupported(&self, call: Call<'_>) -> String {
        match call.conditional {
            Conditional::No => self.at("the store does not offer this operation"),
            Conditional::IfAbsent => self.at("the store does not offer create-only puts"),
            Conditional::IfMatch => self.at("the store does not offer puts that replace a known version"),
        }
    }

    /// Names the place after what went wrong there.
    pub(crate) fn at(&self, what: &str) -> String {
        let Self { endpoint, bucket, .. } = self;
        format!("{what} (bucket {bucket:?} at {endpoint})")
    }
}

impl Call<'_> {
    pub(crate) fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> DriverError {
        DriverError::new(kind, self.operation, self.subject, detail)
    }
}

/// The status of the last answer, if one came.
pub(crate) fn status(seen: &Observation) -> Option<StatusCode> {
    match &seen.last {
        Some(Exchange::Answered(answer)) => Some(answer.status),
        _ => None,
    }
}

/// What the client could not make sense of in an answer that said yes. Such answers repeat nothing of the request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreadable(String);

/// The cause that all the other layers of an error are about.
pub(crate) fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// A transport error inside the client's error: a body that broke off after its headers had come.
fn transport_error(error: &object_store::Error) -> Option<Lost> {
    let mut current: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(error) = current.downcast_ref::<HttpError>() {
            return Some(Lost::new(error));
        }
        current = current.source()?;
    }
}

#[cfg(test)]
mod tests;
