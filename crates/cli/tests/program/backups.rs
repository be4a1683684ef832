//! backup and restore.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, is_encrypted};

fn written() -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: String = (0..300).map(|id| format!("{{\"id\":{id},\"n\":{}}}\n", id % 7)).collect();
    sandbox.write("a.ndjson", lines);
    sandbox.ok(&["import", "t", "a.ndjson", "--batch-size", "40", "--index", "n"]);
    sandbox.write("photo.jpg", "a photo");
    sandbox.ok(&["blob", "put", "t", "7", "photo", "photo.jpg"]);
    sandbox.ok(&["compact"]);
    sandbox
}

/// Restores to a folder, and gives the documents of the table that are there then.
fn restored(sandbox: &Sandbox, folder: &str, arguments: &[&str]) -> Vec<Value> {
    let url = format!("file:{folder}");
    let report = sandbox.json(&[&["--db", &url, "restore", "file:bak"], arguments].concat());
    assert_eq!(report["copied_objects"], report["objects"], "{report}");
    assert_eq!(sandbox.json(&["--db", &url, "verify"])["clean"], true);
    let text = sandbox.ok(&["--db", &url, "export", "t"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_backup_restores_to_its_moment_and_the_next_one_copies_little() {
    let sandbox = written();
    let before = sandbox.documents("t");
    let first = sandbox.json(&["backup", "file:bak"]);
    assert_eq!(first["copied_objects"], first["objects"], "{first}");
    sandbox.ok(&["delete", "t", "1", "2"]);
    let after = sandbox.documents("t");
    let text = sandbox.ok(&["backup", "file:bak"]);
    assert!(text.starts_with("backed up position ") && text.contains(" there already\n"), "{text}");
    let listed = sandbox.json(&["backup", "file:bak", "--list"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["position"]), (2, &first["position"]), "{listed}");
    let third = sandbox.json(&["backup", "file:bak"]);
    assert!(
        third["copied_objects"].as_u64() < Some(8) && third["copied_bytes"].as_u64() < first["bytes"].as_u64(),
        "{third}"
    );
    assert_eq!(sandbox.ok(&["snapshot", "list"]), "no snapshots\n");

    std::fs::rename(sandbox.path("db"), sandbox.path("gone")).unwrap();
    let (position, time) = (first["position"].to_string(), listed[0]["time"].as_str().unwrap());
    assert_eq!(restored(&sandbox, "one", &["--at", &position]), before);
    assert_eq!(restored(&sandbox, "two", &["--at", time]), before);
    assert_eq!(restored(&sandbox, "three", &[]), after);
    assert_eq!(sandbox.ok(&["--db", "file:one", "blob", "get", "t", "7", "photo"]), "a photo");
    // It has nothing to do with the backup any more.
    std::fs::remove_dir_all(sandbox.path("bak")).unwrap();
    sandbox.ok(&["--db", "file:one", "put", "t", r#"{"id":1000}"#]);
    sandbox.ok(&["--db", "file:one", "compact"]);
    assert_eq!(sandbox.json(&["--db", "file:one", "query", "t", "--count"])["count"], 301);
    let text = sandbox.ok(&["--db", "file:one", "backup", "file:again"]);
    assert!(text.contains("; 0 objects there already"), "{text}");
}

#[test]
fn what_cannot_be_restored_is_said() {
    let sandbox = written();
    sandbox.run(&["--db", "file:new", "restore", "file:bak"]).failed(1, &["there is no backup at file:bak"]);
    sandbox.run(&["backup", "file:bak", "--list"]).failed(1, &["there is no backup at file:bak"]);
    sandbox.run(&["backup", "file:db"]).failed(1, &["it is the place of the database itself"]);
    let position = sandbox.json(&["backup", "file:bak"])["position"].to_string();
    sandbox.run(&["restore", "file:bak"]).failed(1, &["to an empty place only", "has the object"]);
    let restore = |at: &str| sandbox.run(&["--db", "file:new", "restore", "file:bak", "--at", at]);
    restore("1").failed(1, &["there is no backup of position 1, but of ", &position]);
    restore("1999-01-01").failed(1, &["the first backup was made after that time"]);
    if is_encrypted() {
        let run = sandbox.run_with(&["--db", "file:new", "restore", "file:bak"], |command| {
            command.env_remove("BUCKETDB_KEY");
        });
        run.failed(1, &["is encrypted: open the database with its key"]);
    }
    // One byte of one object of the backup.
    let mut objects: Vec<_> =
        std::fs::read_dir(sandbox.path("bak/objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
    objects.sort();
    let run = objects.iter().find(|path| path.display().to_string().contains("run-")).unwrap();
    let mut bytes = std::fs::read(run).unwrap();
    bytes[70] ^= 1;
    std::fs::write(run, bytes).unwrap();
    let name = format!("objects/{}", run.file_stem().unwrap().to_str().unwrap());
    restore(&position).failed(1, &["is damaged", &name]);
    sandbox.run(&["--db", "file:new", "tables"]).failed(1, &["a restore to ", "has not finished"]);
    let found = sandbox.run(&["--json", "backup", "file:bak", "--verify"]);
    let report: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!((found.code, &report["clean"], report["findings"].as_array().unwrap().len()), (1, &json!(false), 1));
    assert!(report["findings"][0]["what"].as_str().unwrap().contains(&name), "{report}");
    // As it says: without the copy, the next backup copies the object again, and the restore goes on.
    std::fs::remove_file(run).unwrap();
    sandbox.ok(&["backup", "file:bak"]);
    assert!(sandbox.ok(&["backup", "file:bak", "--verify"]).ends_with(" read: nothing is wrong\n"));
    assert!(restore(&position).succeeded().starts_with("restored position "));
    assert_eq!(sandbox.json(&["--db", "file:new", "query", "t", "--count"])["count"], 300);
}
