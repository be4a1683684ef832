//! The commands that tell a story: the demo, the doctor, and the document about all of them.

use crate::sandbox::Sandbox;
use serde_json::json;

#[test]
fn the_demo_runs_twice_and_says_what_it_took() {
    let sandbox = Sandbox::new();
    let first = sandbox.bare(&["demo"]).succeeded();
    for part in
        ["28,298 new", "Laguna Choclococha", "Akureyri", "Bern Belp", "\"visits\":1", "Amazon S3", "--prefix demo"]
    {
        assert!(first.contains(part), "{part:?} is not in {first}");
    }
    assert!(!first.contains('\u{1b}'), "no colours in a pipe");
    let second = sandbox.bare(&["--json", "demo"]).succeeded();
    let second: serde_json::Value = serde_json::from_str(&second).unwrap();
    assert_eq!(second["steps"][1]["result"]["unchanged"], 28_298, "{second}");
    assert!(second["requests"]["put"].as_u64() < Some(10), "{second}");
    assert!(second["usd_per_month"][0]["usd"]["small web app"].as_f64() > Some(0.1));

    // What it says to try next works.
    let next = sandbox.bare(&["--db", ".local-db", "--prefix", "demo", "--json", "tables"]).succeeded();
    let tables: serde_json::Value = serde_json::from_str(&next).unwrap();
    assert_eq!((&tables[0]["name"], &tables[0]["documents"]), (&json!("airports"), &json!(28_298)));
}

#[test]
fn the_demo_runs_on_any_database() {
    let sandbox = Sandbox::new();
    sandbox.bare(&["--db", "memory:", "demo"]).succeeded();
    sandbox.run(&["demo"]).succeeded();
    assert!(sandbox.path("db").exists() && !sandbox.path(".local-db").exists());
}

#[test]
fn a_doctor_leaves_no_object_behind() {
    let sandbox = Sandbox::new();
    let found = sandbox.json(&["doctor", "--quick"]);
    assert_eq!((&found["create_only"]["honoured"], &found["database"]), (&json!(true), &json!(null)), "{found}");
    assert!(found["latencies"]["put"]["p50_ms"].as_f64() > Some(0.0), "{found}");
    assert_eq!(found["latencies"]["list"]["requests"], 20);
    sandbox.run(&["tables"]).failed(1, &["no database"]);
    sandbox.ok(&["put", "t", r#"{"id":1}"#]);
    assert_eq!(sandbox.json(&["stats"])["objects"], 3, "only the log: creation, table, document");
    let found = sandbox.json(&["doctor", "--rounds", "2", "--racers", "2"]);
    assert_eq!((&found["database"]["position"], &found["database"]["slot_names"]), (&json!(3), &json!("shared")));
    assert_eq!(sandbox.json(&["stats"])["objects"], 3);
    assert!(sandbox.ok(&["doctor", "--quick"]).contains("several nodes may share a database"));
}

#[test]
fn a_doctor_tells_that_a_database_is_broken() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":1}"#]);
    let record = sandbox.path("db/log/00000000000000000002.object");
    assert!(record.exists());
    std::fs::remove_file(record).unwrap();
    let run = sandbox.run(&["--json", "doctor", "--quick"]);
    assert_eq!(run.code, 1, "{run:?}");
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(found["database"]["message"].as_str().unwrap().contains("00000000000000000002"), "{found}");
}

/// A line of the document: `…` stands for anything.
fn matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Compares line by line; a line that is only `…` stands for any number of lines.
fn matches_text(expected: &[&str], found: &[&str]) -> bool {
    match (expected, found) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=found.len()).any(|skipped| matches_text(rest, &found[skipped..])),
        ([line, rest @ ..], [found, later @ ..]) => matches(line, found) && matches_text(rest, later),
        _ => false,
    }
}

#[test]
fn the_document_shows_what_the_program_prints() {
    let document = include_str!("../../../../docs/program.md");
    let sandbox = Sandbox::new();
    let mut checked = 0;
    for block in document.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for example in block.split("$ ").skip(1) {
            let (command, expected) = example.split_once('\n').unwrap();
            let mut shell = std::process::Command::new("sh");
            let program = std::path::Path::new(env!("CARGO_BIN_EXE_bucketdb")).parent().unwrap().to_owned();
            let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
            shell
                .args(["-c", command])
                .current_dir(sandbox.path("."))
                .env("PATH", path)
                .env("BUCKETDB_URL", "file:shop");
            let output = shell.env("LC_ALL", "C").output().unwrap();
            let found = [output.stdout, output.stderr].concat();
            let found = String::from_utf8(found).unwrap();
            let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
            let expected: Vec<_> = expected.into_iter().collect();
            assert!(matches_text(&expected, &found), "{command}\nexpected {expected:#?}\nfound {found:#?}");
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} examples were found");
}
