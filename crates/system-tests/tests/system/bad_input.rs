//! Held: who opens a database with something wrong learns what within 20 seconds, in one sentence that names the place,
//! and no secret is shown.
//!
//! Catches: retries without end against what will never work; a bare "403" or a stack of causes; credentials in a URL or
//! a header that come back in an error.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::stores::{ACCESS_KEY_ID, PREFIX, SECRET_ACCESS_KEY, s3_driver, server, skip, unique_name};
use crate::support::{now, report, runtime};

const DEADLINE: Duration = Duration::from_secs(30);

/// Whatever is wrong, this is never shown.
const SECRET: &str = "hunter2-do-not-show";

/// One mistake.
struct Mistake<'a> {
    what: &'a str,
    url: String,
    secret: &'a str,
    /// What the error must name.
    names: Vec<String>,
}

impl Mistake<'_> {
    /// Makes it with a program, and checks what it says.
    fn make(&self, runtime: &Runtime, mut program: Command, input: &str) {
        let Self { what, secret, .. } = self;
        let begun = now(runtime);
        program.env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", secret);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = program.spawn().unwrap();
        // It may have ended before it reads any.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        let output = process.wait_with_output().unwrap();
        let took = now(runtime) - begun;
        let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(1), "{what}: {complaint}");
        assert!(took < DEADLINE, "{what}: it took {took:?} to say {complaint}");
        assert_eq!(complaint.trim_end().lines().count(), 1, "{what}: {complaint}");
        for name in &self.names {
            assert!(complaint.contains(name), "{what}: {name} is not named in {complaint}");
        }
        for secret in [secret, SECRET] {
            assert!(!said.contains(secret) && !complaint.contains(secret), "{what}: a secret is shown in {complaint}");
        }
        report(format_args!("{what}: after {:.1} s: {}", took.as_secs_f64(), complaint.trim_end()));
    }

    /// As a program that uses the library, and as the program itself.
    fn make_everywhere(&self, runtime: &Runtime) {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_system-test-worker"));
        worker.args(["--url", &self.url, "--prefix", PREFIX, "insert", "--worker", "0"]);
        self.make(runtime, worker, "open\n");
        if let Some(program) = program() {
            let mut program = Command::new(program);
            program.args(["--db", &self.url, "tables"]);
            self.make(runtime, program, "");
        }
    }
}

/// The program `bucketdb`, which cargo builds beside this one when it tests the whole workspace.
fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent()?.parent()?.join("bucketdb");
    if program.exists() {
        Some(program)
    } else {
        skip("the program bucketdb was not built: cargo build -p bucketdb-cli")
    }
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn place(endpoint: &str, bucket: &str) -> Vec<String> {
    vec![bucket.to_owned(), endpoint.strip_prefix("http://").unwrap().to_owned()]
}

#[test]
fn wrong_credentials() {
    let Some(endpoint) = server("BUCKETDB_TEST_CEPH") else { return };
    let runtime = runtime();
    let bucket = unique_name();
    runtime.block_on(s3_driver(&endpoint, &bucket).create_bucket()).unwrap();
    let url = format!("s3://{bucket}?endpoint={endpoint}");
    Mistake { what: "a wrong secret", url, secret: SECRET, names: place(&endpoint, &bucket) }.make_everywhere(&runtime);
}

#[test]
fn missing_bucket() {
    let runtime = runtime();
    for variable in ["BUCKETDB_TEST_CEPH", "BUCKETDB_TEST_LOCALSTACK"] {
        let Some(endpoint) = server(variable) else { continue };
        let bucket = unique_name();
        let url = format!("s3://{bucket}?endpoint={endpoint}");
        let names = place(&endpoint, &bucket);
        Mistake { what: "a missing bucket", url, secret: SECRET_ACCESS_KEY, names }.make_everywhere(&runtime);
    }
}

#[test]
fn nobody_at_the_endpoint() {
    let endpoint = format!("http://127.0.0.1:{}", closed_port());
    let url = format!("s3://bucket?endpoint={endpoint}");
    let names = place(&endpoint, "bucket");
    Mistake { what: "a closed port", url, secret: SECRET, names }.make_everywhere(&runtime());
}

#[test]
fn nobody_answers_at_the_endpoint() {
    // Connections are taken into its queue, and nobody ever looks at them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let url = format!("s3://bucket?endpoint={endpoint}");
    let names = place(&endpoint, "bucket");
    Mistake { what: "a silent server", url, secret: SECRET, names }.make_everywhere(&runtime());
}

#[test]
fn nobody_at_a_redis_url_with_a_password() {
    let address = format!("127.0.0.1:{}", closed_port());
    let url = format!("redis://app:{SECRET}@{address}/0");
    Mistake { what: "no Redis", url, secret: SECRET, names: vec![address] }.make_everywhere(&runtime());
}

#[test]
fn a_wrong_redis_password() {
    let Some(redis) = server("BUCKETDB_TEST_REDIS") else { return };
    let address = redis.strip_prefix("redis://").unwrap().to_owned();
    let url = format!("redis://app:{SECRET}@{address}/0");
    Mistake { what: "a wrong Redis password", url, secret: SECRET, names: vec![address] }.make_everywhere(&runtime());
}
