//! Branches from the shell.

use serde_json::json;

use crate::sandbox::{Sandbox, lines};

#[test]
fn a_branch_is_created_changed_compared_and_deleted() {
    let sandbox = Sandbox::new();
    for id in 1..=3 {
        sandbox.ok(&["put", "t", &json!({"id": id, "n": id}).to_string()]);
    }
    let created = sandbox.json(&["branch", "create", "staging"]);
    assert_eq!(created["name"], "staging");
    assert!(sandbox.ok(&["branch", "list"]).contains("staging"));
    sandbox.ok(&["--branch", "staging", "put", "t", r#"{"id":2,"n":20}"#]);
    sandbox.ok(&["--branch", "staging", "put", "t", r#"{"id":4,"n":4}"#]);
    sandbox.ok(&["--branch", "staging", "delete", "t", "3"]);
    sandbox.ok(&["put", "t", r#"{"id":5,"n":5}"#]);
    assert_eq!(sandbox.json(&["get", "t", "2"]), json!({"id": 2, "n": 2}));
    let shown = sandbox.ok(&["branch", "diff", "staging"]);
    assert_eq!(
        shown.lines().collect::<Vec<&str>>(),
        [
            r#"~ t 2 {"id":2,"n":20}"#,
            r#"- t 3 {"id":3,"n":3}"#,
            r#"+ t 4 {"id":4,"n":4}"#,
            "1 added, 1 changed, 1 removed"
        ]
    );
    let shown = sandbox.ok(&["branch", "diff", "staging", "--from-parent"]);
    assert!(shown.contains("- t 5") && shown.ends_with("1 added, 1 changed, 2 removed\n"), "{shown}");
    let first = lines(&sandbox.ok(&["--json", "branch", "diff", "staging"])).remove(0);
    assert_eq!(first, json!({"table": "t", "key": "2", "before": {"id": 2, "n": 2}, "after": {"id": 2, "n": 20}}));

    sandbox.ok(&["--branch", "staging", "branch", "create", "fix"]);
    sandbox.ok(&["--branch", "staging/fix", "put", "t", r#"{"id":6,"n":6}"#]);
    sandbox.ok(&["--branch", "staging/fix", "verify"]);
    assert!(sandbox.ok(&["branch", "delete", "staging"]).contains("its own branches, fix, stays"));
    assert_eq!(sandbox.run(&["--json", "--branch", "staging", "tables"]).json_error(1)["kind"], "dropped");
    assert!(sandbox.ok(&["--branch", "staging/fix", "export", "t"]).contains(r#"{"id":6,"n":6}"#));
    let name = "branch/staging/branch/fix";
    sandbox.ok(&["--branch", "staging/fix", "drop", "--name", name]);
    assert_eq!(sandbox.ok(&["branch", "list"]).trim(), "no branches");
    assert_eq!(sandbox.run(&["--json", "--branch", "staging", "tables"]).json_error(1)["kind"], "no_database");
    let errors = [
        (&["branch", "delete", "staging"][..], 1, "unknown_branch"),
        (&["branch", "create", "a/b"], 2, "invalid_branch"),
        (&["--branch", "../x", "tables"], 2, "invalid_branch"),
    ];
    for (arguments, code, kind) in errors {
        assert_eq!(sandbox.run(&[&["--json"], arguments].concat()).json_error(code)["kind"], kind, "{arguments:?}");
    }
    // One database, whatever it has of branches.
    sandbox.ok(&["branch", "create", "other"]);
    assert_eq!(sandbox.json(&["databases"]).as_array().unwrap().len(), 1);
    sandbox.ok(&["verify"]);
}
