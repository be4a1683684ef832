//! Wrong usage, stores that cannot be used, and what machines are told about it.

use std::io::Read;
use std::net::TcpListener;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::Command;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;
use serde_json::json;

#[test]
fn wrong_usage_ends_with_2() {
    let sandbox = Sandbox::new();
    for arguments in [&["unknown"][..], &["get", "t"], &["query", "t", "--limit", "x"], &["delete", "t"], &["--nope"]] {
        assert_eq!(sandbox.bare(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(sandbox.bare(&["--json", "unknown"]).json_error(2)["kind"], "usage");
    assert_eq!(sandbox.bare(&["--help"]).code, 0);
    assert!(sandbox.bare(&["--version"]).stdout.starts_with("bucketdb "));

    sandbox.bare(&["tables"]).failed(2, &["--db", "BUCKETDB_URL"]);
    sandbox.bare(&["--db", "ftp://x", "tables"]).failed(2, &["ftp", "none of"]);
    sandbox.bare(&["--db", "file:", "tables"]).failed(2, &["path is empty"]);
    for (option, value, part) in
        [("--node-id", "256", "0 to 255"), ("--ring-size", "0", "1 and 256"), ("--ring-size", "257", "1 and 256")]
    {
        sandbox.run(&[option, value, "put", "t", "{}"]).failed(2, &[option, value, part]);
        sandbox.run(&[option, value, "doctor"]).failed(2, &[option, value, part]);
        assert_eq!(sandbox.run(&["--json", option, value, "demo"]).json_error(2)["kind"], "usage");
    }
    assert!(!sandbox.path("db").exists(), "wrong usage must not leave a folder");
    sandbox.run(&["--node-id", "1", "put", "t", r#"{"id":1}"#]).failed(2, &["node 1", "ring of 1"]);
    sandbox.run(&["--prefix", "a//b", "put", "t", r#"{"id":1}"#]).failed(2, &["\"a//b\""]);
}

#[test]
fn the_ring_size_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["--ring-size", "3", "--node-id", "2", "put", "t", r#"{"id":1}"#]);
    sandbox.ok(&["--node-id", "1", "put", "t", r#"{"id":2}"#]);
    sandbox.run(&["--ring-size", "2", "tables"]).failed(2, &["ring_size"]);
    assert_eq!(sandbox.json(&["stats"])["ring_size"], 3);
}

#[test]
fn a_database_that_does_not_exist_is_not_made_by_reading() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["tables"][..],
        &["stats"],
        &["get", "t", "1"],
        &["query", "t"],
        &["export", "t"],
        &["watch"],
        &["delete", "t", "1"],
    ] {
        sandbox.run(arguments).failed(1, &["there is no database at file:db"]);
    }
    assert!(!sandbox.path("db").exists());
    std::fs::create_dir(sandbox.path("db")).unwrap();
    let error = sandbox.run(&["--json", "tables"]).json_error(1);
    assert_eq!((&error["kind"], &error["retryable"]), (&json!("no_database"), &json!(false)));
    sandbox.write("file", "");
    sandbox.bare(&["--db", "file", "put", "t", r#"{"id":1}"#]).failed(1, &["file", "not a folder"]);
}

#[test]
fn one_folder_holds_several_databases_and_none_inside_another() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["--prefix", "a", "put", "t", r#"{"id":1}"#]);
    sandbox.ok(&["--prefix", "b", "put", "t", r#"{"id":2}"#]);
    assert_eq!(sandbox.ok(&["--prefix", "b", "export", "t"]), "{\"id\":2}\n");
    for prefix in ["a/inner", ""] {
        let error = sandbox.run(&["--json", "--prefix", prefix, "put", "t", r#"{"id":3}"#]).json_error(1);
        assert_eq!(error["kind"], "nested_prefix", "{error}");
    }
}

#[test]
fn two_prefixes_are_one_too_many() {
    let sandbox = Sandbox::new();
    let url = "s3://bucket/here?endpoint=http://127.0.0.1:1";
    let mut command = sandbox.command(&["--db", url, "--prefix", "there", "tables"]);
    let output = command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--prefix \"there\""));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::new();
    let lines: String = (0..20_000).map(|id| json!({"id": id, "text": "x".repeat(50)}).to_string() + "\n").collect();
    sandbox.write("a.ndjson", lines);
    sandbox.ok(&["import", "t", "a.ndjson", "--batch-size", "10000"]);
    for arguments in [&["export", "t"][..], &["query", "t"], &["watch"], &["query", "t", "--format", "csv"]] {
        let mut command = sandbox.command(arguments);
        let mut child =
            command.env("BUCKETDB_URL", "file:db").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{arguments:?}");
    }
}

/// Runs a command on an S3 store at an address, and checks that it gives up in time.
#[track_caller]
fn fails_in_time(address: &str, arguments: &[&str], part: &str) {
    let sandbox = Sandbox::new();
    let url = format!("s3://bucket?endpoint=http://{address}&region=us-east-1");
    let mut command = sandbox.command(&[&["--json", "--db", &url], arguments].concat());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "hunter2");
    #[expect(clippy::disallowed_methods, reason = "a user's patience is measured by a real clock")]
    let started = Instant::now();
    let output = command.output().unwrap();
    let took = started.elapsed();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let error: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["retryable"]), (&json!("store_unreachable"), &json!(true)));
    assert!(stderr.contains(part) && !stderr.contains("hunter2"), "{stderr}");
    assert!(took < Duration::from_secs(20), "it took {took:?}");
}

#[test]
fn a_store_that_is_not_there_is_reported_in_seconds() {
    fails_in_time("127.0.0.1:1", &["tables"], "127.0.0.1:1");
    fails_in_time("127.0.0.1:1", &["put", "t", r#"{"id":1}"#], "127.0.0.1:1");
    fails_in_time("127.0.0.1:1", &["doctor"], "127.0.0.1:1");
}

#[test]
fn a_store_that_never_answers_is_given_up() {
    // It takes connections, as the operating system does for it, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fails_in_time(&listener.local_addr().unwrap().to_string(), &["tables"], "gave no answer within 12 s");
}

/// An empty file system in memory, until it is dropped.
#[cfg(target_os = "linux")]
struct Mount {
    folder: PathBuf,
}

#[cfg(target_os = "linux")]
impl Mount {
    /// `None` where mounting is not allowed.
    fn new(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let arguments = ["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(&folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("skipped: mounting a file system needs root");
        None
    }

    fn make_read_only(&self) {
        let mut remount = Command::new("mount");
        assert!(remount.args(["-o", "remount,ro"]).arg(&self.folder).status().unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.folder.display());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_can_be_read() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::new(sandbox.path("db"), "10m") else { return };
    let put = sandbox.run(&["put", "t", r#"{"id":1}"#]);
    mount.make_read_only();
    let read = sandbox.run(&["export", "t"]);
    sandbox.write("a.ndjson", r#"{"id":2}"#);
    let runs = [&["put", "t", r#"{"id":2}"#][..], &["delete", "t", "1"], &["import", "t", "a.ndjson"], &["doctor"]]
        .map(|arguments| sandbox.run(&[&["--json"], arguments].concat()));
    let new = sandbox.bare(&["--db", "file:db/new", "put", "t", r#"{"id":1}"#]);
    drop(mount);
    put.succeeded();
    assert_eq!(read.succeeded(), "{\"id\":1}\n");
    for run in runs {
        let error = run.json_error(1);
        assert_eq!(error["kind"], "denied", "{error}");
        assert!(error["message"].as_str().unwrap().contains("ead-only"), "{error}");
    }
    new.failed(1, &["db/new", "ead-only"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_nothing_acknowledged_is_lost() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::new(sandbox.path("db"), "6m") else { return };
    // Text that does not compress.
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:016x}", state ^ (state >> 29))
    };
    let lines: String = (0..16_000)
        .map(|id| json!({"id": id, "text": (0..32).map(|_| noise()).collect::<String>()}).to_string() + "\n")
        .collect();
    sandbox.write("a.ndjson", lines);
    let run = sandbox.run(&["--json", "import", "t", "a.ndjson", "--batch-size", "1000"]);
    let stored = sandbox.run(&["export", "t"]);
    drop(mount);
    let error = run.json_error(1);
    assert_eq!(error["kind"], "no_space", "{error}");
    let stored = stored.succeeded().lines().count() as u64;
    assert!(stored >= 1000, "{error}");
    assert_eq!(error["stored"].as_u64(), Some(stored), "{error}");
}
