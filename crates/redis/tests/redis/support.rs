//! Redis servers that a test starts for itself, and a proxy that loses answers.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{Client, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Says that a test cannot run here; fails it if every server is required to be there.
pub(crate) fn skip(missing: &str) {
    assert!(std::env::var("BUCKETDB_TEST_REQUIRED").as_deref() != Ok("1"), "{missing}");
    eprintln!("skipped: {missing}");
}

/// A `redis-server` process of its own, on 127.0.0.1 and a free port. Killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    settings: Vec<String>,
}

impl Server {
    /// Starts a server with extra settings; `None`, after saying so, if the program is not installed.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        match launch(port, folder.path(), &settings) {
            Ok(process) => Some(Self { process, port, folder, settings }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                skip("the program redis-server is not installed");
                None
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        }
    }

    /// A node that belongs to no cluster yet.
    pub(crate) fn start_node(settings: &[&str]) -> Option<Self> {
        // By default nodes talk on their port plus 10,000, which may be none.
        let talk = free_port().to_string();
        let node = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", &talk];
        Self::start(&[&node, settings].concat())
    }

    /// Where a node talks to other nodes.
    pub(crate) fn bus_port(&self) -> u16 {
        let position = self.settings.iter().position(|setting| setting == "--cluster-port").unwrap();
        self.settings[position + 1].parse().unwrap()
    }

    /// A cluster of this one node.
    pub(crate) async fn start_cluster(settings: &[&str]) -> Option<Self> {
        let server = Self::start_node(settings)?;
        server.send("CLUSTER", &["ADDSLOTSRANGE", "0", "16383"]).await;
        server.until("CLUSTER", &["INFO"], |answer| answer.contains("cluster_state:ok")).await;
        Some(server)
    }

    /// As if the power failed.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again with the data it had.
    pub(crate) fn restart(&mut self) {
        self.process = launch(self.port, self.folder.path(), &self.settings).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command on a connection of its own.
    pub(crate) async fn try_send(&self, name: &str, arguments: &[&str]) -> redis::RedisResult<Value> {
        let client = Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }

    pub(crate) async fn send(&self, name: &str, arguments: &[&str]) -> Value {
        self.try_send(name, arguments).await.unwrap()
    }

    pub(crate) async fn number(&self, name: &str, arguments: &[&str]) -> u64 {
        redis::from_redis_value(self.send(name, arguments).await).unwrap()
    }

    pub(crate) async fn text(&self, name: &str, arguments: &[&str]) -> String {
        redis::from_redis_value(self.send(name, arguments).await).unwrap()
    }

    /// Asks until the answer is as wanted, for at most ten seconds.
    pub(crate) async fn until(&self, name: &str, arguments: &[&str], wanted: impl Fn(&str) -> bool) {
        for _ in 0..500 {
            if wanted(&self.text(name, arguments).await) {
                return;
            }
            pause(20).await;
        }
        panic!("the server at {} never came to the wanted state", self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns once the server says that it takes connections.
fn launch(port: u16, folder: &Path, settings: &[String]) -> std::io::Result<Child> {
    let program = std::env::var("BUCKETDB_TEST_REDIS_SERVER_BINARY").unwrap_or_else(|_| "redis-server".to_owned());
    let mut process = Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .arg("--dir")
        .arg(folder)
        .args(settings)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        match log.next() {
            Some(Ok(line)) if line.contains("Ready to accept connections") => break,
            Some(Ok(line)) => said.push(line),
            _ => panic!("redis-server ended: {}", said.join("\n")),
        }
    }
    // It would be stopped by a full pipe.
    std::thread::spawn(move || log.for_each(drop));
    Ok(process)
}

#[expect(clippy::disallowed_methods, reason = "a test against a real server waits in real time")]
pub(crate) async fn pause(milliseconds: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
}

/// A proxy that hands on everything, but closes the connection instead of handing on the answer to a request that has
/// the marker in it. The server has run the request by then.
pub(crate) struct LossyProxy {
    pub(crate) port: u16,
    sent: Arc<AtomicUsize>,
}

/// What a request has in it whose answer is to be lost.
pub(crate) const MARKER: &str = "<lose the answer>";

impl LossyProxy {
    #[expect(clippy::disallowed_methods, reason = "a test's own proxy runs beside it")]
    pub(crate) async fn start(server_port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server_port, count.clone()));
            }
        });
        Self { port, sent }
    }

    /// How many requests with the marker have reached the server.
    pub(crate) fn marked_requests(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

async fn forward(mut client: tokio::net::TcpStream, server_port: u16, sent: Arc<AtomicUsize>) {
    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
    let (mut request, mut answer) = ([0; 65536], [0; 65536]);
    let mut losing = false;
    loop {
        tokio::select! {
            Ok(length) = client.read(&mut request) => {
                if length == 0 {
                    return;
                }
                let marked = String::from_utf8_lossy(&request[..length]).matches(MARKER).count();
                sent.fetch_add(marked, Ordering::SeqCst);
                losing |= marked > 0;
                server.write_all(&request[..length]).await.unwrap();
            }
            Ok(length) = server.read(&mut answer) => {
                if length == 0 || losing || client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
