use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it stood on the wire. Header names are in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn is_conditional(&self) -> bool {
        self.header("if-none-match").is_some() || self.header("if-match").is_some()
    }
}

/// Status, further headers, body.
pub(crate) type Response = (u16, Vec<(&'static str, String)>, String);

pub(crate) fn response(status: u16, headers: &[(&'static str, &str)], body: impl Into<String>) -> Response {
    (status, headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), body.into())
}

/// An S3 error document.
pub(crate) fn refusal(status: u16, code: &str) -> Response {
    response(status, &[], format!("<Error><Code>{code}</Code><Message>A fake refusal.</Message></Error>"))
}

/// An HTTP server that answers as a test tells it, and remembers what it was asked.
pub(crate) struct FakeServer {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeServer {
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), requests.clone());
        spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (answer, seen) = (answer.clone(), seen.clone());
                spawn(async move { serve(connection, &*answer, &seen).await.unwrap_or_default() });
            }
        });
        Self { endpoint, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own server, outside of every simulation")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn serve(
    mut connection: TcpStream,
    answer: &(impl Fn(&Request, usize) -> Response + Sync),
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let head_end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if connection.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while buffer.len() < head_end + length {
            if connection.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = buffer[head_end..head_end + length].to_vec();
        buffer.drain(..head_end + length);
        let request = Request { method, target, headers, body };
        let earlier = seen.lock().len();
        seen.lock().push(request.clone());
        let (status, headers, body) = answer(&request, earlier);
        let mut reply = format!("HTTP/1.1 {status} Fake\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            reply.push_str(&format!("{name}: {value}\r\n"));
        }
        reply.push_str("\r\n");
        if request.method != "HEAD" {
            reply.push_str(&body);
        }
        connection.write_all(reply.as_bytes()).await?;
    }
}
