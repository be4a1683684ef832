use super::*;

fn place(protocol: Protocol) -> Place {
    Place { protocol, endpoint: "http://store.test".into(), bucket: "demo".into() }
}

fn call(operation: Operation, conditional: Conditional) -> Call<'static> {
    Call { operation, subject: "log/1", conditional }
}

fn answer(status: u16, code: &str) -> Answer {
    let code = (!code.is_empty()).then(|| code.to_owned());
    Answer { status: StatusCode::from_u16(status).unwrap(), code, message: None, is_foreign: false }
}

fn observation(answer: Answer) -> Observation {
    let mut seen = Observation::default();
    seen.last = Some(Exchange::Answered(answer));
    seen
}

fn kind(protocol: Protocol, operation: Operation, conditional: Conditional, status: u16, code: &str) -> ErrorKind {
    place(protocol).meaning(call(operation, conditional), &answer(status, code)).0
}

/// Every answer whose meaning the database rests on, as each store documents it.
#[test]
fn every_answer_has_the_meaning_that_its_store_documents() {
    use {Conditional as C, ErrorKind as E, Operation as O, Protocol as P};
    let table = [
        // A condition that failed, and what only looks like it.
        (P::S3, O::Put, C::IfAbsent, 412, "PreconditionFailed", E::PreconditionFailed),
        (P::S3, O::Put, C::IfMatch, 412, "PreconditionFailed", E::PreconditionFailed),
        (P::S3, O::Put, C::IfMatch, 404, "NoSuchKey", E::PreconditionFailed),
        (P::S3, O::Put, C::IfAbsent, 409, "ConditionalRequestConflict", E::Transient),
        (P::S3, O::Put, C::IfMatch, 409, "ConditionalRequestConflict", E::Transient),
        (P::S3, O::Put, C::IfAbsent, 409, "", E::Transient),
        (P::Gcs, O::Put, C::IfAbsent, 412, "PreconditionFailed", E::PreconditionFailed),
        (P::Gcs, O::Put, C::IfAbsent, 429, "TooManyRequests", E::Transient),
        (P::Azure, O::Put, C::IfAbsent, 409, "BlobAlreadyExists", E::PreconditionFailed),
        (P::Azure, O::Put, C::IfMatch, 412, "ConditionNotMet", E::PreconditionFailed),
        (P::Azure, O::Put, C::IfMatch, 409, "BlobAlreadyExists", E::Transient),
        (P::Azure, O::Put, C::IfAbsent, 409, "ContainerBeingDeleted", E::Permanent),
        (P::S3, O::Put, C::No, 412, "PreconditionFailed", E::Permanent),
        // A missing bucket is never a missing object, and never a failed condition.
        (P::S3, O::Get, C::No, 404, "NoSuchBucket", E::Permanent),
        (P::S3, O::Put, C::IfMatch, 404, "NoSuchBucket", E::Permanent),
        (P::Azure, O::Get, C::No, 404, "ContainerNotFound", E::Permanent),
        (P::S3, O::List, C::No, 404, "", E::Permanent),
        (P::S3, O::Get, C::No, 404, "NoSuchKey", E::NotFound),
        (P::S3, O::Get, C::No, 404, "", E::NotFound),
        (P::Azure, O::Get, C::No, 404, "BlobNotFound", E::NotFound),
        // Passing faults.
        (P::S3, O::Put, C::IfAbsent, 500, "InternalError", E::Transient),
        (P::S3, O::Put, C::IfAbsent, 503, "SlowDown", E::Transient),
        (P::S3, O::Put, C::IfAbsent, 400, "RequestTimeout", E::Transient),
        (P::S3, O::Get, C::No, 429, "", E::Transient),
        // Not offered.
        (P::S3, O::Put, C::IfAbsent, 501, "NotImplemented", E::Unsupported),
        (P::S3, O::Put, C::IfMatch, 400, "NotImplemented", E::Unsupported),
        (P::S3, O::Delete, C::No, 405, "MethodNotAllowed", E::Unsupported),
        // Refused.
        (P::S3, O::Put, C::IfAbsent, 403, "SignatureDoesNotMatch", E::Denied),
        (P::S3, O::Get, C::No, 403, "AccessDenied", E::Denied),
        (P::S3, O::Get, C::No, 400, "ExpiredToken", E::Denied),
        (P::Gcs, O::Get, C::No, 401, "", E::Denied),
        (P::S3, O::Put, C::No, 403, "QuotaExceeded", E::NoSpace),
        (P::S3, O::Put, C::No, 507, "XMinioStorageFull", E::NoSpace),
        (P::S3, O::Put, C::No, 301, "PermanentRedirect", E::Permanent),
        (P::S3, O::Put, C::No, 400, "AuthorizationHeaderMalformed", E::Permanent),
        (P::S3, O::Put, C::No, 400, "KeyTooLongError", E::Permanent),
    ];
    for (protocol, operation, conditional, status, code, expected) in table {
        let found = kind(protocol, operation, conditional, status, code);
        assert_eq!(found, expected, "{protocol:?} {operation} {conditional:?} {status} {code}");
    }
}

/// A proxy's 404 page taken for "no such object" would end a log early.
#[test]
fn a_404_that_is_no_store_s_is_not_a_missing_object() {
    let foreign = Answer { is_foreign: true, ..answer(404, "") };
    assert_eq!(place(Protocol::S3).meaning(call(Operation::Get, Conditional::No), &foreign).0, ErrorKind::Permanent);
}

#[test]
fn a_put_whose_good_answer_is_unreadable_is_unclear() {
    let seen = observation(answer(200, ""));
    let error = object_store::Error::Generic { store: "S3", source: "ETag Header missing".into() };
    let found = place(Protocol::S3).error(call(Operation::Put, Conditional::IfAbsent), &error, seen);
    assert!(found.is_transient());
}

#[test]
fn errors_name_the_place_and_chain_the_store_s_own_words() {
    let refused = Answer { message: Some("No such bucket here.".into()), ..answer(404, "NoSuchBucket") };
    let seen = observation(refused);
    let error = object_store::Error::Generic { store: "S3", source: "secret".into() };
    let found = place(Protocol::S3).error(call(Operation::Get, Conditional::No), &error, seen);
    let expected = r#"get of log/1 failed: the bucket "demo" does not exist at http://store.test"#;
    assert_eq!(found.to_string(), expected);
    let source = std::error::Error::source(&found).unwrap().to_string();
    assert_eq!(source, "the store answered 404 Not Found NoSuchBucket: No such bucket here.");
}
