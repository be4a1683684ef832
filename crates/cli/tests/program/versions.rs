//! What the program tells of the versions of a schema, which only applications make.

use bucketdb::{Database, Document};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::sandbox::Sandbox;

#[derive(Serialize, Deserialize, Document)]
#[document(table = "users", version = 1)]
struct First {
    #[document(key)]
    id: u32,
    name: String,
    age: u8,
    nick: String,
}

#[derive(Serialize, Deserialize, Document)]
#[document(table = "users", version = 2, removed(nick = "none"))]
struct Second {
    #[document(key)]
    id: u32,
    #[document(index, renamed_from = "name")]
    full_name: String,
    age: u32,
    #[document(default = "unknown")]
    email: String,
}

#[derive(Serialize, Deserialize, Document)]
#[document(table = "users", version = 3, migrate_from = Second, with = |old| Third { id: old.id })]
struct Third {
    #[document(key)]
    id: u32,
}

fn applications(sandbox: &Sandbox, act: impl AsyncFnOnce(Database)) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let db = sandbox.library().open().await.unwrap();
        act(db.clone()).await;
        db.close().await.unwrap();
    });
}

#[test]
fn the_versions_of_a_schema_and_the_end_of_a_migration() {
    let sandbox = Sandbox::new();
    applications(&sandbox, async |db| {
        let old = db.table::<First>().await.unwrap();
        for id in 0..3 {
            let name = format!("a{id}");
            old.insert(&First { id, name: name.clone(), age: 7, nick: name }).await.unwrap();
        }
        db.table::<Second>().await.unwrap();
        let fresh = Second { id: 9, full_name: "b".into(), age: 1_000, email: "b@x".into() };
        db.table::<Second>().await.unwrap().insert(&fresh).await.unwrap();
    });
    let history = sandbox.json(&["schema", "users", "--history"]);
    assert_eq!((&history["accepts"], &history["finished"]), (&json!(0), &json!(false)), "{history}");
    assert_eq!(history["versions"][0]["documents"], 3, "{history}");
    let changes = json!([
        "full_name text, was name text",
        "age u32, was u8",
        "+ email text, \"unknown\" where it is missing",
        "- nick, \"none\" to earlier programs"
    ]);
    assert_eq!(history["versions"][1]["changes"], changes, "{history}");
    assert_eq!(sandbox.json(&["schema", "users", "--versions"]), history);
    let text = sandbox.ok(&["schema", "users", "--history"]);
    // As in docs/program.md.
    let expected = r#"
| version | documents | change                                      |
|---------|-----------|---------------------------------------------|
| 1       | 3         | + id u32                                    |
|         |           | + name text                                 |
|         |           | + age u8                                    |
|         |           | + nick text                                 |
| 2       | 1         | full_name text, was name text               |
|         |           | age u32, was u8                             |
|         |           | + email text, "unknown" where it is missing |
|         |           | - nick, "none" to earlier programs          |
programs of all versions read and write; `--finish` ends that in favour of version 2
"#;
    assert_eq!(text, expected.trim_start());
    let old = sandbox.json(&["query", "users", "--where", "name = 'a1'"]);
    assert_eq!(old[0], json!({"id": 1, "full_name": "a1", "age": 7, "nick": "a1", "email": "unknown"}));

    let done = sandbox.json(&["schema", "users", "--finish"]);
    assert_eq!((&done["version"], &done["documents"], &done["rewritten"]), (&json!(2), &json!(4), &json!(3)), "{done}");
    let text = sandbox.ok(&["schema", "users", "--history"]);
    assert!(text.contains("all documents are of version 2; programs below version 2 are refused"), "{text}");
    assert!(sandbox.ok(&["schema", "users", "--finish"]).contains("0 written again"));
    let new = sandbox.json(&["get", "users", "1"]);
    assert_eq!(new, json!({"id": 1, "full_name": "a1", "age": 7, "email": "unknown"}));
    assert_eq!(sandbox.json(&["verify"])["findings"], json!([]));

    applications(&sandbox, async |db| {
        assert!(db.table::<First>().await.unwrap_err().to_string().contains("version 1 of the schema"));
        db.table::<Third>().await.unwrap();
    });
    let error = sandbox.run(&["schema", "users", "--finish"]);
    error.failed(2, &["only a program's own step leads to version 3"]);
    sandbox.run(&["schema", "users", "--finish", "--versions"]).failed(2, &["cannot be used with"]);
    for other in [&["schema", "users", "--finish", "--history"][..], &["get", "users", "1", "--history"]] {
        sandbox.run(other).failed(2, &["--history needs a time"]);
    }
}

#[test]
fn a_schema_is_inferred_shown_and_registered() {
    let sandbox = Sandbox::new();
    for id in 0..5 {
        let day = if id > 2 { ",\"day\":\"2026-01-31\"" } else { "" };
        sandbox.ok(&["put", "events", &format!("{{\"id\":{id},\"kind\":\"a\"{day}}}")]);
    }
    let text = sandbox.ok(&["schema", "events", "--infer"]);
    let expected = r#"
| field | type | optional | documents | declared |
|-------|------|----------|-----------|----------|
| id    | i64  |          | 5         |          |
| kind  | text |          | 5         |          |
| day   | date | yes      | 2         |          |
of 5 documents; `--apply` registers it as version 1
"#;
    assert_eq!(text, expected.trim_start());
    assert_eq!(sandbox.json(&["schema", "events"])["version"], 0, "it is shown only");
    let applied = sandbox.json(&["schema", "events", "--infer", "--sample", "4", "--apply"]);
    assert_eq!((&applied["documents"], &applied["registered"]), (&json!(4), &json!(true)), "{applied}");
    let day = json!({"name": "day", "type": "date", "optional": true, "documents": 1, "declared": false});
    assert_eq!(applied["fields"][2], day);
    let schema = sandbox.json(&["schema", "events"]);
    assert_eq!((&schema["version"], &schema["fields"][2]["type"]), (&json!(1), &json!("date")), "{schema}");
    let text = sandbox.ok(&["schema", "events", "--infer", "--apply"]);
    assert!(text.ends_with("of 5 documents; version 1 declares all of it\n"), "{text}");
    assert_eq!(sandbox.json(&["query", "events", "--where", "day = '2026-01-31'", "--count"])["count"], 2);
    sandbox.run(&["schema", "events", "--apply"]).failed(2, &["--infer"]);
    sandbox.run(&["schema", "events", "--infer", "--history"]).failed(2, &["--history"]);
    sandbox.run(&["schema", "nothing", "--infer"]).failed(1, &["nothing"]);
}
