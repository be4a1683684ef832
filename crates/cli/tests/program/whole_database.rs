//! A whole database as one stream, and back.

use bucketdb::{Database, FieldType, FileDriver, KeyType, Schema};
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, is_encrypted, lines};

async fn fill(db: &Database) {
    let sales = Schema::builder("sales")
        .version(3)
        .field_of_type("shop", FieldType::Uuid)
        .field_of_type("number", FieldType::U64)
        .field_of_type("at", FieldType::Timestamp)
        .field_of_type("day", FieldType::Date)
        .field_of_type("price", FieldType::Decimal)
        .field_of_type("weight", FieldType::F32)
        .field_of_type("seal", FieldType::Bytes)
        .field_of_type("note", FieldType::Text)
        .default_value("none")
        .field_of_type("more", FieldType::Any)
        .key(&["shop", "number"])
        .finish()
        .with_key_types(&[KeyType::Uuid, KeyType::Integer])
        .with_index("at desc")
        .with_ttl("ends");
    let sales = db.create_collection(sales).await.unwrap();
    for number in [0, 1, u64::MAX] {
        let sale = json!({
            "shop": "0a000000-0000-0000-0000-000000000001", "number": number, "at": "2026-01-01T00:00:00.5Z",
            "day": "2026-01-01", "price": "1.50", "weight": 0.25, "seal": [1, 2, 255], "note": "größer\n\"",
            "more": {"list": [1, null, -1.5, "x"], "deep": {"big": i64::MIN}}, "ends": 4_000_000_000_u64,
        });
        sales.insert(&sale).await.unwrap();
    }
    sales.insert(&json!({"shop": "0b000000-0000-0000-0000-000000000001", "number": 1, "at": "soon"})).await.unwrap();
    let people = db.collection("people");
    for id in ["b", "a", "ä"] {
        people.insert(&json!({"id": id, "mail": format!("{id}@x"), "document": {"table": "people"}})).await.unwrap();
    }
    people.create_unique_index("mail").await.unwrap();
    people.create_index("document.table, id").await.unwrap();
    db.create_collection(Schema::open("empty", "key", KeyType::Integer)).await.unwrap();
    db.build_indexes().await.unwrap();
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

#[test]
fn a_database_comes_back_whole() {
    let sandbox = Sandbox::new();
    block_on(async {
        let db = sandbox.library().open().await.unwrap();
        fill(&db).await;
        db.close().await.unwrap();
    });
    let report = sandbox.json(&["export", "-o", "all.ndjson.gz"]);
    assert_eq!(report, json!({"tables": ["empty", "people", "sales"], "documents": 7, "file": "all.ndjson.gz"}));
    let stream = sandbox.ok(&["export", "--format", "ndjson"]);
    let written = lines(&stream);
    assert_eq!((written.len(), &written[0]["bucketdb_export"]), (1 + 3 + 7 + 1, &json!(1)));
    assert_eq!(written.last().unwrap(), &json!({"documents": 7}));

    let restored = sandbox.json(&["--db", "file:other", "import", "--database", "all.ndjson.gz"]);
    assert_eq!((&restored["documents"], &restored["tables"]), (&json!(7), &report["tables"]));
    let without_moment = |text: &str| {
        let mut lines = lines(text);
        lines[0]["position"] = Value::Null;
        lines
    };
    let again = sandbox.ok(&["--db", "file:other", "export"]);
    assert_eq!(without_moment(&again), without_moment(&stream), "schemas, indexes, ttl and documents");
    for table in ["sales", "people", "empty"] {
        let schema = ["schema", table];
        assert_eq!(sandbox.json(&[&["--db", "file:other"], &schema[..]].concat()), sandbox.json(&schema));
    }
    // A program that knows the schema finds it as it left it, and unique is unique.
    block_on(async {
        let driver = FileDriver::new(sandbox.path("other")).unwrap();
        let mut builder = Database::builder().driver(driver);
        if is_encrypted() {
            builder = builder.encryption("08".repeat(32).parse().unwrap());
        }
        let db = builder.open().await.unwrap();
        let people = db.collection("people");
        assert!(people.insert(&json!({"id": "c", "mail": "a@x"})).await.is_err());
        assert_eq!(db.ttl("sales").unwrap().as_deref(), Some("ends"));
    });
    // From a pipe too.
    let mut command = sandbox.command(&["--db", "file:piped", "import", "--database", "-"]);
    command.stdin(
        std::fs::File::open({
            sandbox.write("stream", &stream);
            sandbox.path("stream")
        })
        .unwrap(),
    );
    assert!(command.output().unwrap().status.success());
    assert_eq!(without_moment(&sandbox.ok(&["--db", "file:piped", "export"])), without_moment(&stream));
}

#[test]
fn many_documents_go_the_way_of_bulk_loads() {
    let sandbox = Sandbox::new();
    let rows: String = (0..12_000).map(|id| json!({"id": id, "text": "x".repeat(20)}).to_string() + "\n").collect();
    sandbox.write("rows.ndjson", rows);
    sandbox.ok(&["import", "t", "rows.ndjson"]);
    sandbox.ok(&["export", "-o", "all.ndjson"]);
    assert_eq!(sandbox.json(&["--db", "file:other", "import", "--database", "all.ndjson"])["documents"], 12_000);
    assert_eq!(sandbox.ok(&["--db", "file:other", "export", "t"]), sandbox.ok(&["export", "t"]));
}

#[test]
fn what_is_not_whole_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "a", r#"{"id":1}"#]);
    sandbox.ok(&["put", "b", r#"{"id":1}"#]);
    let stream = sandbox.ok(&["export"]);
    let whole: Vec<&str> = stream.lines().collect();
    assert_eq!(whole.len(), 6);
    let mut number = 0;
    let mut fails = |text: String, part: &str| {
        number += 1;
        sandbox.write("cut.ndjson", text);
        let url = format!("file:other{number}");
        sandbox.run(&["--db", &url, "import", "--database", "cut.ndjson"]).failed(1, &[part]);
    };
    for cut in 0..whole.len() {
        let expected = if cut == 0 { "it is empty" } else { "its last line is missing" };
        fails(whole[..cut].join("\n"), expected);
        let mut without = whole.clone();
        without.remove(cut);
        let expected = match cut {
            0 => "not what `export` writes",
            5 => "its last line is missing",
            1 | 3 => "neither a table nor a document",
            _ => "missing before it",
        };
        fails(without.join("\n"), expected);
    }
    fails(stream.clone() + "{}\n", "goes on behind its end");
    fails(stream.replace("\"bucketdb_export\":1", "\"bucketdb_export\":2"), "newer version");
    fails(stream.replace("\"documents\":2", "\"documents\":3"), "missing before it");
    sandbox.write("all.ndjson", &stream);
    sandbox.run(&["import", "--database", "all.ndjson"]).failed(1, &["into an empty one", "table a"]);
    sandbox.run(&["import", "--database", "all.ndjson", "t", "u"]).failed(2, &["cannot be used with"]);
    sandbox.run(&["import", "t"]).failed(2, &["FILE"]);
    let other = ["--db", "file:none", "import", "--database", "all.ndjson", "--key", "id"];
    sandbox.run(&other).failed(2, &["nothing is said of it"]);
}

#[test]
fn blobs_are_refused_rather_than_lost() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "a", r#"{"id":1,"text":"blob:alike"}"#]);
    assert_eq!(lines(&sandbox.ok(&["export"])).len(), 4);
    sandbox.write("photo", "x");
    sandbox.ok(&["blob", "put", "a", "1", "deep.photo", "photo"]);
    let error = sandbox.run(&["--json", "export", "-o", "all.ndjson"]).json_error(1);
    assert_eq!((&error["kind"], &error["table"]), (&json!("unsupported"), &json!("a")), "{error}");
    assert!(!sandbox.path("all.ndjson").exists());
    assert_eq!(sandbox.documents("a").len(), 1, "the table by itself");
}
