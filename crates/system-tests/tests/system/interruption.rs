//! Held: when answers are lost in the middle of the work, or the store stops for a while, increments are still counted
//! exactly once.
//!
//! Catches: a repeated request that loses to its own first attempt and is taken for somebody else's; a commit that is
//! reported as failed and lands later; a commit whose outcome is unknown and that moves to another position.

use std::time::Duration;

use bucketdb_system_tests::Line;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::counting::{Outcome, WORKERS};
use crate::history::History;
use crate::proxy::LossyProxy;
use crate::stores::{Store, on_stores, skip, unique_name};
use crate::support::{alone, let_pass, report, runtime};
use crate::workers::{Worker, side_by_side};

/// How long the store stops: longer than a request and than a commit is waited for.
const STOPPED: Duration = Duration::from_secs(3);

/// The store stops when a worker has said so much: the last time when it, or another one, is about to close the database.
const STOPS_AT: [usize; 3] = [30, 60, OPERATIONS as usize];

const OPERATIONS: u64 = 100;

on_stores!(answers_are_lost: localstack, ceph);

fn answers_are_lost(runtime: &Runtime, store: &Store) -> String {
    let proxy = LossyProxy::start(runtime, store.port());
    let store = store.by_way_of(proxy.port);
    let db = runtime.block_on(store.open_with_counter());
    proxy.lose_answers(true);
    let said = side_by_side(0..WORKERS, |worker| start(&store, worker, &[]).succeed());
    proxy.lose_answers(false);
    let history = runtime.block_on(History::of(&db));
    assert_eq!(history.len(), u64::from(WORKERS) * OPERATIONS);
    Outcome::check(&history, &said, OPERATIONS);
    assert!(proxy.lost() > OPERATIONS / 4, "only {} answers were lost: that shows nothing", proxy.lost());
    format!("; {} answers to puts were lost", proxy.lost())
}

fn start(store: &Store, worker: u32, options: &[&str]) -> Worker {
    let (worker, operations) = (worker.to_string(), OPERATIONS.to_string());
    let role = ["count", "--worker", &worker, "--operations", &operations];
    Worker::start(store, &[options, &role].concat())
}

#[test]
fn a_stopped_redis_goes_on() {
    let _alone = alone();
    let runtime = runtime();
    let Some(server) = RedisServer::start() else { return };
    // What a stopped server has got in its socket it executes when it goes on: long after everyone has given up.
    let url = format!("redis://127.0.0.1:{}/0?namespace={}&timeout_ms=700", server.port, unique_name());
    let store = runtime.block_on(Store::redis_at("redis", url));
    let db = runtime.block_on(store.open_with_counter());
    let options = ["--request-timeout-ms", "1000", "--commit-timeout-ms", "1500"];
    let said = side_by_side(0..WORKERS, |worker| {
        let mut process = start(&store, worker, &options);
        if worker > 0 {
            return process.succeed();
        }
        let mut lines: Vec<Line> = Vec::new();
        for stop_at in STOPS_AT {
            while lines.len() < stop_at {
                lines.push(process.line().unwrap());
            }
            server.signal(Signal::STOP);
            let_pass(STOPPED);
            server.signal(Signal::CONT);
        }
        lines.extend(process.succeed());
        lines
    });
    let history = runtime.block_on(History::of(&db));
    assert_eq!(history.len(), u64::from(WORKERS) * OPERATIONS);
    let outcome = Outcome::check(&history, &said, OPERATIONS);
    assert!(outcome.unknown > 0, "no commit was under way when the store stopped: that shows nothing");
    report(format_args!("a stopped redis: {} outcomes were unknown, and all were settled", outcome.unknown));
}

/// A server that may be stopped without harm to anybody else's tests.
struct RedisServer {
    process: std::process::Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl RedisServer {
    fn start() -> Option<Self> {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let program = std::env::var("BUCKETDB_TEST_REDIS_SERVER_BINARY").unwrap_or_else(|_| "redis-server".to_owned());
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(folder.path());
        let mut process = match command.stdout(Stdio::piped()).spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return skip("the program redis-server is not installed");
            }
            started => started.unwrap(),
        };
        let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = log.by_ref().find(|line| line.as_ref().unwrap().contains("Ready to accept connections"));
        assert!(ready.is_some(), "redis-server ended at once");
        // It would be stopped by a full pipe.
        std::thread::spawn(move || log.for_each(drop));
        Some(Self { process, port, _folder: folder })
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL reaches a stopped process too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
