use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use http::{Method, StatusCode, header};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use parking_lot::Mutex;

use crate::error::innermost;
use crate::xml::for_each_element;

/// How much of an error document is read, in bytes. Real ones have a few hundred.
const ERROR_BODY_BYTES: usize = 64 << 10;

/// How much of the store's own words is repeated in an error, in characters.
const MESSAGE_CHARS: usize = 300;

tokio::task_local! {
    /// Where the answers go that arrive inside [`observe`].
    static OBSERVATION: Arc<Mutex<Observation>>;
}

/// What was seen of the last exchange with the store during one call.
#[derive(Debug, Default)]
pub(crate) struct Observation {
    /// What the last request came to. `None` if none was sent: the call failed before, at the credentials for example.
    pub(crate) last: Option<Exchange>,
    /// The `Date` of the last answer: the store's own clock, to the second.
    pub(crate) date: Option<SystemTime>,
    /// The body of the last successful answer, where [`observe_body`] asked for it.
    pub(crate) body: Option<Bytes>,
    keep_body: bool,
}

/// What one request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The store answered.
    Answered(Answer),
    /// No answer arrived. The request may have taken effect.
    Lost(Lost),
}

/// An answer of the store, without anything that could be secret: some stores repeat the signed request, session token
/// included, in the body of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store answered {status}{}{}", prefixed(" ", code), prefixed(": ", message))]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The machine-readable code of the error document, such as `NoSuchKey`.
    pub(crate) code: Option<String>,
    /// The sentence that comes with it.
    pub(crate) message: Option<String>,
    /// The body is not empty but no error document: it does not come from an object store.
    pub(crate) is_foreign: bool,
}

fn prefixed(prefix: &str, text: &Option<String>) -> String {
    text.as_ref().map(|text| format!("{prefix}{text}")).unwrap_or_default()
}

/// Why no answer arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct Lost {
    pub(crate) kind: HttpErrorKind,
    cause: String,
}

impl Lost {
    /// Keeps the innermost cause only. The outer layers repeat it, and one of them could print a proxy's address with
    /// its password.
    pub(crate) fn new(error: &HttpError) -> Self {
        Self { kind: error.kind(), cause: innermost(error).to_string() }
    }
}

/// Runs one call of a client made by an [`ObservingConnector`], and tells what it saw on the wire.
pub(crate) async fn observe<T>(call: impl Future<Output = T>) -> (T, Observation) {
    observe_into(Observation::default(), call).await
}

/// As [`observe`], keeping the body of a successful answer.
pub(crate) async fn observe_body<T>(call: impl Future<Output = T>) -> (T, Observation) {
    observe_into(Observation { keep_body: true, ..Observation::default() }, call).await
}

async fn observe_into<T>(empty: Observation, call: impl Future<Output = T>) -> (T, Observation) {
    let observation = Arc::new(Mutex::new(empty));
    let result = OBSERVATION.scope(observation.clone(), call).await;
    let seen = std::mem::take(&mut *observation.lock());
    (result, seen)
}

/// Makes clients that share one connection pool and note what the store answers.
///
/// For clients of one store with the same options only: the first connection's options hold for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservingConnector {
    shared: Arc<OnceLock<HttpClient>>,
}

impl ObservingConnector {
    /// The shared client, once the first store was built.
    pub(crate) fn client(&self) -> Option<HttpClient> {
        self.shared.get().cloned()
    }
}

impl HttpConnector for ObservingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        if let Some(client) = self.shared.get() {
            return Ok(client.clone());
        }
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(self.shared.get_or_init(|| HttpClient::new(ObservingService { inner })).clone())
    }
}

#[derive(Debug)]
struct ObservingService {
    inner: HttpClient,
}

#[async_trait]
impl HttpService for ObservingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_head = request.method() == Method::HEAD;
        let observation = OBSERVATION.try_with(Arc::clone).unwrap_or_default();
        let keep_body = {
            let mut seen = observation.lock();
            (seen.last, seen.date, seen.body) = (None, None, None);
            seen.keep_body
        };
        let outcome = exchange(&self.inner, request, is_head, keep_body).await;
        let mut seen = observation.lock();
        match outcome {
            Ok(Exchanged { response, answer, body }) => {
                seen.date = date(&response);
                seen.body = body;
                seen.last = Some(Exchange::Answered(answer));
                Ok(response)
            }
            Err(error) => {
                seen.last = Some(Exchange::Lost(Lost::new(&error)));
                Err(error)
            }
        }
    }
}

struct Exchanged {
    response: HttpResponse,
    answer: Answer,
    body: Option<Bytes>,
}

async fn exchange(
    client: &HttpClient,
    request: HttpRequest,
    is_head: bool,
    keep_body: bool,
) -> Result<Exchanged, HttpError> {
    let response = client.execute(request).await?;
    let status = response.status();
    let plain = Answer { status, code: None, message: None, is_foreign: false };
    if status.is_success() {
        if !keep_body {
            return Ok(Exchanged { response, answer: plain, body: None });
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await?;
        let response = HttpResponse::from_parts(parts, body.clone().into());
        return Ok(Exchanged { response, answer: plain, body: Some(body) });
    }
    let (parts, body) = response.into_parts();
    let body = if is_head { Bytes::new() } else { error_body(body.bytes_stream()).await? };
    // Azure names the code in a header too, and only there when the answer has no body.
    let in_header = parts.headers.get("x-ms-error-code").and_then(|code| code.to_str().ok()).map(str::to_owned);
    let (code, message) = error_document(&body);
    let answer = Answer {
        is_foreign: !body.is_empty() && code.is_none() && in_header.is_none(),
        code: code.or(in_header),
        message,
        ..plain
    };
    let response = HttpResponse::from_parts(parts, body.into());
    Ok(Exchanged { response, answer, body: None })
}

async fn error_body(
    mut pieces: futures::stream::BoxStream<'static, Result<Bytes, HttpError>>,
) -> Result<Bytes, HttpError> {
    let mut body = BytesMut::new();
    while body.len() < ERROR_BODY_BYTES {
        match pieces.try_next().await? {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    body.truncate(ERROR_BODY_BYTES);
    Ok(body.freeze())
}

/// Code and message of an XML error document, as all three kinds of store send it.
fn error_document(body: &[u8]) -> (Option<String>, Option<String>) {
    let (mut code, mut message) = (None, None);
    // What was read before a fault in the document still counts: a long one was cut.
    let _ = for_each_element(body, |names, text| {
        if names.len() == 2 && names.first().is_some_and(|root| root == "Error") {
            match names.last().map(String::as_str) {
                Some("Code") => code = Some(text.trim().to_owned()),
                Some("Message") => message = first_line(text),
                _ => {}
            }
        }
    });
    (code.filter(|code| !code.is_empty()), message)
}

fn first_line(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?;
    Some(line.chars().take(MESSAGE_CHARS).collect())
}

fn date(response: &HttpResponse) -> Option<SystemTime> {
    httpdate::parse_http_date(response.headers().get(header::DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_documents_of_the_three_kinds_are_read() {
        let s3 = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>Not there.</Message></Error>";
        assert_eq!(error_document(s3), (Some("NoSuchKey".into()), Some("Not there.".into())));
        let azure = "\u{feff}<?xml version=\"1.0\"?><Error><Code>BlobNotFound</Code><Message>Gone.\nRequestId:1</Message></Error>";
        assert_eq!(error_document(azure.as_bytes()), (Some("BlobNotFound".into()), Some("Gone.".into())));
        assert_eq!(error_document(b"<html><body>404</body></html>"), (None, None));
        assert_eq!(error_document(b"<Error><Code>SlowDown</Code><Mess").0, Some("SlowDown".into()));
        assert_eq!(error_document(b""), (None, None));
    }

    #[test]
    fn only_the_innermost_cause_is_kept() {
        #[derive(Debug, thiserror::Error)]
        #[error("proxy http://user:secret@proxy failed")]
        struct Outer(#[source] std::io::Error);
        let inner = std::io::Error::other("connection refused");
        let lost = Lost::new(&HttpError::new(HttpErrorKind::Connect, Outer(inner)));
        assert_eq!(lost.to_string(), "connection refused");
    }
}
