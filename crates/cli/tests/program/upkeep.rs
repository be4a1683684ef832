//! The commands that look after a database: compact, gc, verify, and what stats and tables tell of its runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::sandbox::Sandbox;
use serde_json::{Value, json};

/// A database with two tables: one is written in several commits, of which some write the same documents again.
fn written() -> Sandbox {
    let sandbox = Sandbox::new();
    for round in 0..3 {
        let lines: String =
            (round * 50..round * 50 + 100).map(|id| format!("{{\"id\":{id},\"n\":{round}}}\n")).collect();
        sandbox.write("a.ndjson", lines);
        sandbox.ok(&["import", "t", "a.ndjson", "--batch-size", "40"]);
    }
    sandbox.ok(&["put", "u", r#"{"id":"x"}"#]);
    sandbox.ok(&["delete", "t", "0", "1"]);
    sandbox
}

#[test]
fn compacting_leaves_one_tier_and_the_same_documents() {
    let sandbox = written();
    let before = sandbox.documents("t");
    let tables = sandbox.json(&["tables"]);
    assert_eq!((&tables[0]["documents"], &tables[0]["exact"]), (&json!(198), &json!(true)), "{tables}");
    assert_eq!(sandbox.json(&["stats"])["checkpoint"], Value::Null);

    let report = sandbox.json(&["compact"]);
    assert!(report["pieces"].as_u64() >= Some(1) && report["written_bytes"].as_u64() > Some(0), "{report}");
    assert_eq!(report["runs"], 1, "{report}");
    let stats = sandbox.json(&["stats"]);
    assert_eq!(stats["checkpoint"], report["checkpoint"], "{stats}");
    assert_eq!(stats["tiers"].as_array().unwrap().len(), 1, "{stats}");
    assert_eq!(stats["tiers"][0]["bytes"], report["run_bytes"], "{stats}");
    assert!(stats["tail"]["records"].as_u64() <= Some(1), "only the checkpoint's own record: {stats}");
    assert_eq!(sandbox.documents("t"), before);

    // Tables are counted without being read.
    sandbox.ok(&["put", "t", r#"{"id":5,"n":9}"#]);
    let tables = sandbox.ok(&["tables"]);
    assert!(tables.contains("| t     | about 199 | about ") && tables.contains("| u     |         1 | "), "{tables}");
    assert_eq!(sandbox.json(&["query", "t", "--count"])["count"], 198);
    let text = sandbox.ok(&["compact"]);
    assert!(text.starts_with("compacted in ") && text.contains("; now 1 run, "), "{text}");
    assert!(!sandbox.ok(&["tables"]).contains("about"));
    assert_eq!(sandbox.json(&["tables"])[0]["documents"], 198);
    let text = sandbox.ok(&["stats"]);
    for part in ["checkpoint up to position ", "log tail   1 record, ", "runs       1 in 1 tier, ", "memory     "] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn nothing_is_removed_before_the_grace_has_passed() {
    let sandbox = Sandbox::new();
    // Nobody will ask for the past.
    sandbox.ok(&["--history", "0s", "put", "t", r#"{"id":1}"#]);
    assert_eq!(sandbox.json(&["gc"])["next_due_seconds"], Value::Null);
    assert_eq!(sandbox.ok(&["gc"]), "nothing removed; nothing is left that nobody needs\n");
    sandbox.ok(&["compact"]);
    sandbox.ok(&["put", "t", r#"{"id":2}"#]);
    sandbox.ok(&["compact"]);
    let objects = sandbox.json(&["stats"])["objects"].clone();
    let report = sandbox.json(&["gc"]);
    assert_eq!((&report["objects"], &report["records"], &report["swept"]), (&json!(0), &json!(0), &Value::Null));
    let due_seconds = report["next_due_seconds"].as_f64().unwrap();
    assert!((3_500.0..=3_600.0).contains(&due_seconds), "{report}");
    assert_eq!(sandbox.ok(&["gc"]), "nothing removed; more is due in 60 min: --wait waits for it\n");
    assert_eq!(sandbox.json(&["stats"])["objects"], objects);
    sandbox.ok(&["verify"]);
}

#[test]
fn waiting_removes_what_is_not_needed_as_soon_as_it_may() {
    let sandbox = Sandbox::new();
    let grace = Duration::from_millis(1_500);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let builder = sandbox.library().grace(grace).history(Duration::ZERO);
        builder.open().await.unwrap().close().await.unwrap();
    });
    for id in 1..4 {
        sandbox.ok(&["put", "t", &json!({"id": id}).to_string()]);
        sandbox.ok(&["compact"]);
    }
    let objects = sandbox.json(&["stats"])["objects"].as_u64().unwrap();
    // A command that ends at once has not seen the grace pass, however long ago the objects were given up (H20).
    assert_eq!(sandbox.json(&["gc"])["objects"], 0);
    let report = sandbox.json(&["gc", "--wait"]);
    let removed = report["objects"].as_u64().unwrap() + report["records"].as_u64().unwrap();
    assert!(report["objects"].as_u64() >= Some(2) && report["records"].as_u64() >= Some(2), "{report}");
    assert_eq!(report["next_due_seconds"], Value::Null);
    assert_eq!(sandbox.json(&["stats"])["objects"].as_u64().unwrap(), objects - removed);
    assert_eq!(sandbox.documents("t").len(), 3);
    sandbox.ok(&["verify"]);
    // The change that it was is given up, its position is not taken for one that never was.
    sandbox.run(&["query", "t", "--at", "2"]).failed(1, &["oldest"]);
}

#[test]
fn a_sweep_removes_what_belongs_to_nothing_and_nothing_else() {
    let sandbox = written();
    sandbox.ok(&["compact"]);
    let before = sandbox.documents("t");
    // What a checkpoint leaves that lost to another, or whose process was killed.
    let orphan = sandbox.path("db/run/00000000000000000003-0123456789abcdef0123456789abcdef.object");
    let runs: Vec<PathBuf> =
        std::fs::read_dir(sandbox.path("db/run")).unwrap().map(|entry| entry.unwrap().path()).collect();
    std::fs::copy(&runs[0], &orphan).unwrap();
    let foreign = sandbox.path("db/run/notes.object");
    std::fs::write(&foreign, "mine").unwrap();
    assert_eq!(sandbox.json(&["gc"])["swept"], Value::Null);
    assert!(orphan.exists(), "only --sweep sweeps");
    let report = sandbox.json(&["gc", "--sweep"]);
    assert_eq!(report["swept"]["removed"], 1, "{report}");
    assert!(!orphan.exists() && foreign.exists() && runs[0].exists());
    assert!(sandbox.ok(&["gc", "--sweep"]).contains("removed 0 objects that belonged to nothing"));
    assert_eq!(sandbox.documents("t"), before);
    sandbox.ok(&["verify"]);
}

#[test]
fn what_is_as_it_was_written_is_clean() {
    let sandbox = written();
    let found = sandbox.json(&["verify"]);
    assert_eq!((&found["clean"], &found["findings"]), (&json!(true), &json!([])), "{found}");
    assert!(found["records"].as_u64() > Some(8) && found["runs"] == 0, "{found}");
    sandbox.ok(&["compact"]);
    sandbox.ok(&["put", "t", r#"{"id":5,"n":9}"#]);
    let found = sandbox.json(&["verify"]);
    assert!(found["runs"] == 1 && found["compared_rows"] == 199, "{found}");
    let text = sandbox.ok(&["verify"]);
    assert!(text.contains("1 checkpoint and 1 run (") && text.ends_with(": nothing is wrong\n"), "{text}");
}

/// Changes one byte in the middle of the only object in a folder.
fn damage(sandbox: &Sandbox, folder: &str) -> String {
    let folder = sandbox.path("db").join(folder);
    let mut objects: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    objects.sort();
    let mut bytes = std::fs::read(&objects[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&objects[0], bytes).unwrap();
    objects[0].file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn damage_is_found_and_named() {
    for folder in ["run", "log"] {
        let sandbox = written();
        sandbox.ok(&["compact"]);
        let object = damage(&sandbox, folder);
        let run = sandbox.run(&["--json", "verify"]);
        assert_eq!(run.code, 1, "{run:?}");
        let found: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(found["clean"], false, "{found}");
        let what = found["findings"][0]["what"].as_str().unwrap();
        assert!(what.contains(&object), "{object} is not in {what}");
        assert!(found["findings"][0]["remedy"].as_str().unwrap().contains("restore"), "{found}");
        let error: Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["kind"], "damaged");
        let run = sandbox.run(&["verify"]);
        assert_eq!(run.code, 1);
        assert!(run.stdout.starts_with("1. ") && run.stdout.contains(&object), "{run:?}");
        assert!(run.stderr.starts_with("error: the database is not as it was written: 1 finding"), "{run:?}");
    }
}

#[test]
fn a_bulk_import_is_verified_with_each_checkpoint_that_covers_it() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ndjson", "{\"id\":1}\n{\"id\":2}\n");
    sandbox.ok(&["import", "t", "a.ndjson", "--bulk"]);
    assert_eq!(sandbox.json(&["verify"])["runs"], 1);
    let object = damage(&sandbox, "run");
    let run = sandbox.run(&["verify"]);
    assert!(run.code == 1 && run.stdout.contains(&object), "{run:?}");
    let sandbox = Sandbox::new();
    sandbox.write("a.ndjson", "{\"id\":1}\n{\"id\":2}\n");
    sandbox.ok(&["import", "t", "a.ndjson", "--bulk"]);
    sandbox.ok(&["compact"]);
    // One that the import left, and one of the merge.
    let found = sandbox.json(&["verify"]);
    assert_eq!((&found["runs"], &found["compared_rows"], &found["clean"]), (&json!(2), &json!(4), &json!(true)));
}

#[test]
fn a_database_that_cannot_be_opened_is_a_finding() {
    let sandbox = written();
    let object = damage(&sandbox, "log");
    sandbox.run(&["tables"]).failed(1, &[&object]);
    let run = sandbox.run(&["verify"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.starts_with("1. ") && run.stdout.contains(&object), "{run:?}");
    assert!(run.stdout.contains("no process can open the database"), "{run:?}");
    let missing = Sandbox::new();
    for command in ["verify", "compact", "gc"] {
        assert_eq!(missing.run(&["--json", command]).json_error(1)["kind"], "no_database");
    }
    assert!(!missing.path("db").exists());
}

#[test]
fn memory_and_history_are_options() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["--history", "7d", "--max-memory", "16MiB", "put", "t", r#"{"id":1}"#]);
    let stats = sandbox.json(&["stats"]);
    assert_eq!((&stats["history_seconds"], &stats["grace_seconds"]), (&json!(604_800.0), &json!(3_600.0)), "{stats}");
    assert!(sandbox.ok(&["stats"]).contains("past       from position 1 on; kept for 7.0 d"));
    sandbox.run(&["--max-memory", "1MiB", "tables"]).failed(2, &["max_memory", "too few"]);
    sandbox.run(&["--max-memory", "much", "tables"]).failed(2, &["--max-memory", "64MiB"]);
    sandbox.run(&["--history", "7", "tables"]).failed(2, &["--history", "12h"]);
}

#[test]
fn what_was_read_is_kept_in_a_folder_for_the_next_command() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":1}"#]);
    sandbox.ok(&["compact"]);
    let get = ["get", "t", "1"];
    let cached = ["--cache-dir", "cache", "--cache-size", "16MiB", "get", "t", "1"];
    sandbox.ok(&cached);
    // What is not there any more can only come from the folder.
    std::fs::remove_dir_all(sandbox.path("db").join("run")).unwrap();
    assert!(sandbox.ok(&cached).contains("\"id\""));
    sandbox.run(&get).failed(1, &["run/"]);
}
