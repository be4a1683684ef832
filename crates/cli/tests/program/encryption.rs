//! Encrypted databases, as the program opens them.

use crate::sandbox::{Run, Sandbox};

/// Runs a command on a database whose keys are in a file.
fn with(sandbox: &Sandbox, file: &str, arguments: &[&str]) -> Run {
    sandbox.run_with(&[&["--key-file", file], arguments].concat(), |command| {
        command.env_remove("BUCKETDB_KEY");
    })
}

/// What is wrong without a key, with a wrong one, and with one too many.
#[test]
fn each_wrong_use_of_keys_says_what_to_do() {
    let sandbox = Sandbox::new();
    let (key, other) = ("11".repeat(32), "22".repeat(32));
    sandbox.write("key", format!("# the key\n{key}\n"));
    sandbox.write("other", &other);
    sandbox.write("password", "correct horse battery staple");
    with(&sandbox, "key", &["put", "notes", r#"{"id":1,"text":"hidden"}"#]).succeeded();
    assert!(with(&sandbox, "key", &["get", "notes", "1"]).succeeded().contains("hidden"));
    let by_variable = sandbox.run_with(&["get", "notes", "1"], |command| {
        command.env("BUCKETDB_KEY", &key);
    });
    assert!(by_variable.succeeded().contains("hidden"));

    let without = sandbox.run_with(&["get", "notes", "1"], |command| {
        command.env_remove("BUCKETDB_KEY");
    });
    without.failed(1, &["is encrypted: open the database with its key"]);
    with(&sandbox, "other", &["get", "notes", "1"]).failed(1, &["is encrypted with the key", "none of those given"]);
    let refused = with(&sandbox, "password", &["get", "notes", "1"]);
    refused.failed(2, &["password: this is no key", "openssl rand -hex 32"]);
    with(&sandbox, "missing", &["get", "notes", "1"]).failed(1, &["cannot read missing"]);
    let both = sandbox.run_with(&["--key-file", "key", "tables"], |command| {
        command.env("BUCKETDB_KEY", &other);
    });
    both.failed(2, &["BUCKETDB_KEY is set", "key file"]);
    for run in [&refused, &both] {
        assert!(!run.stderr.contains("horse") && !run.stderr.contains(&other), "{run:?}");
    }

    sandbox.run_with(&["--db", "file:clear", "put", "t", r#"{"id":1}"#], |command| {
        command.env_remove("BUCKETDB_KEY");
    });
    with(&sandbox, "key", &["--db", "file:clear", "tables"]).failed(1, &["is not encrypted", "without a key"]);
    let nothing = sandbox.run_with(&["--db", "file:clear", "rekey"], |command| {
        command.env_remove("BUCKETDB_KEY");
    });
    nothing.failed(2, &["no key was given", "--key-file"]);
}

#[test]
fn what_is_kept_for_the_next_command_is_encrypted_as_well() {
    let sandbox = Sandbox::new();
    sandbox.write("key", "11".repeat(32));
    with(&sandbox, "key", &["put", "notes", r#"{"id":1,"text":"hidden in the cellar"}"#]).succeeded();
    with(&sandbox, "key", &["compact"]).succeeded();
    let cached = ["--cache-dir", "cache", "get", "notes", "1"];
    with(&sandbox, "key", &cached).succeeded();
    // What is not there any more can only come from the folder.
    std::fs::remove_dir_all(sandbox.path("db").join("run")).unwrap();
    assert!(with(&sandbox, "key", &cached).succeeded().contains("hidden in the cellar"));
    let mut kept = 0;
    for folder in std::fs::read_dir(sandbox.path("cache")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let content = std::fs::read(file.unwrap().path()).unwrap();
            assert!(content.starts_with(b"BKSL") && !content.windows(6).any(|part| part == b"cellar"));
            kept += 1;
        }
    }
    assert!(kept > 0);
}

#[test]
fn a_key_is_replaced_by_another() {
    let sandbox = Sandbox::new();
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    sandbox.write("old", &old);
    sandbox.write("both", format!("{new}\n{old}\n"));
    sandbox.write("new", &new);
    for number in 0..5 {
        with(&sandbox, "old", &["put", "notes", &format!("{{\"id\":{number}}}")]).succeeded();
    }
    with(&sandbox, "old", &["compact"]).succeeded();
    let said = with(&sandbox, "both", &["rekey"]).succeeded();
    assert!(said.starts_with("looked at ") && said.contains(" anew with the key "), "{said}");
    let again: serde_json::Value =
        serde_json::from_str(&with(&sandbox, "both", &["--json", "rekey"]).succeeded()).unwrap();
    assert_eq!(again["rewritten"], 0, "{again}");
    assert_eq!(with(&sandbox, "new", &["query", "notes", "--count"]).succeeded(), "5\n");
    with(&sandbox, "old", &["tables"]).failed(1, &["is encrypted with the key"]);
    assert!(with(&sandbox, "new", &["verify"]).succeeded().contains("nothing is wrong"));
}
