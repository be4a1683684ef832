//! Several databases in one folder: which there are, and dropping one.

use serde_json::json;

use crate::sandbox::{Sandbox, names};

#[test]
fn databases_are_listed_and_dropped_by_name() {
    let sandbox = Sandbox::new();
    sandbox.run(&["databases"]).failed(1, &["there is no database at file:db"]);
    for prefix in ["shops/bern", "shops/rome", "logs"] {
        sandbox.ok(&["--prefix", prefix, "put", "t", r#"{"id":1}"#]);
    }
    let listed = sandbox.json(&["databases"]);
    let field = |name: &str| listed.as_array().unwrap().iter().map(|found| found[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("name"), ["logs", "shops/bern", "shops/rome"]);
    assert_eq!(field("prefix"), ["logs/", "shops/bern/", "shops/rome/"]);
    assert_eq!(field("dropped"), [false, false, false]);
    assert!(field("id").iter().all(|id| id.as_str().is_some_and(|id| id.len() == 32)), "{listed}");
    assert!(sandbox.ok(&["--prefix", "shops", "databases"]).contains("shops/bern"));
    assert!(!sandbox.ok(&["--prefix", "shops", "databases"]).contains("logs"));

    let drop = ["--prefix", "shops/bern", "drop"];
    sandbox.run(&drop).failed(2, &["cannot be taken back", "--name shops/bern"]);
    let error = sandbox.run(&[&["--json"], &drop[..], &["--name", "shops/rome"]].concat()).json_error(2);
    assert_eq!(error["kind"], "wrong_name", "{error}");
    assert_eq!(sandbox.ok(&["--prefix", "shops/bern", "export", "t"]), "{\"id\":1}\n");
    let named = [&drop[..], &["--name", "shops/bern"]].concat();
    let report = sandbox.json(&named);
    assert!(
        report["records_left"].as_u64().unwrap() > 0 && report["next_due_seconds"].as_f64().unwrap() > 1.0,
        "{report}"
    );
    assert_eq!(report["by_store_clock"], false, "a folder tells no time");
    let again = sandbox.ok(&named);
    assert!(
        again.contains("removed 0 objects") && again.contains("must stay for") && again.contains("--wait"),
        "{again}"
    );
    let listed = sandbox.json(&["--prefix", "shops", "databases"]);
    assert_eq!((&listed[0]["dropped"], &listed[1]["dropped"]), (&json!(true), &json!(false)));
    assert!(sandbox.ok(&["databases"]).contains("dropped"));
    for command in [&["get", "t", "1"][..], &["tables"], &["delete", "t", "1"], &["verify"]] {
        let arguments = [&["--json", "--prefix", "shops/bern"], command].concat();
        assert_eq!(sandbox.run(&arguments).json_error(1)["kind"], "dropped");
    }
    // The others are as they were, and another one takes its place.
    assert_eq!(sandbox.ok(&["--prefix", "shops/rome", "export", "t"]), "{\"id\":1}\n");
    sandbox.ok(&["--prefix", "shops/bern", "put", "t", r#"{"id":2}"#]);
    assert_eq!(sandbox.ok(&["--prefix", "shops/bern", "export", "t"]), "{\"id\":2}\n");
    sandbox.ok(&["--prefix", "shops/bern", "verify"]);
    assert_eq!(sandbox.json(&["--prefix", "shops", "databases"])[0]["dropped"], false);
}

#[test]
fn one_without_a_prefix_is_named_as_its_folder_is() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":1}"#]);
    let listed = sandbox.json(&["databases"]);
    assert_eq!((&listed[0]["name"], &listed[0]["prefix"]), (&json!("db"), &json!("")));
    sandbox.run(&["drop", "--name", "DB"]).failed(2, &[r#"named "db" and not "DB""#]);
    sandbox.ok(&["drop", "--name", "db"]);
    let logs = names(&sandbox.path("db/log"));
    assert!(!logs.is_empty() && !sandbox.path("db/head").exists(), "{logs:?}");
    sandbox.run(&["drop", "--name", "db"]).succeeded();
}
