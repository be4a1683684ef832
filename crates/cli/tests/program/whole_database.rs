//! A whole database as one stream, and back.

use bucketdb::{Database, FieldType, FileDriver, KeyType, Schema, SchemaBuilder};
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, is_encrypted, lines, names};

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

/// Tables whose earlier versions say what the newest does not.
async fn fill_versions(db: &Database) {
    let with_key = |schema: SchemaBuilder| schema.key(&["id"]).finish().with_key_types(&[KeyType::Integer]);
    let orders = |version| Schema::builder("orders").version(version).field_of_type("id", FieldType::U64);
    let first = orders(1)
        .field_of_type("lines", FieldType::Any)
        .nested_of_type("lines[*].price", FieldType::Decimal)
        .field_of_type("at", FieldType::Timestamp)
        .field_of_type("discount", FieldType::Decimal);
    let second = orders(2)
        .field_of_type("lines", FieldType::Any)
        .field_of_type("happened", FieldType::Timestamp)
        .renamed_from("at")
        .removed("discount");
    let document = |id: u64, at: &str| {
        json!({
            "id": id, "lines": [{"price": "9.50"}, {"price": "100"}], at: "2026-01-01T00:00:00Z", "discount": "1.10",
        })
    };
    let table = db.create_collection(with_key(first)).await.unwrap();
    table.insert(&document(1, "at")).await.unwrap();
    let table = db.create_collection(with_key(second)).await.unwrap();
    table.insert(&document(2, "happened")).await.unwrap();

    // One whose documents take a step of a program's own, which is behind them, and one that is half way.
    for (name, last) in [("stepped", 2), ("halfway", 3)] {
        let version = |version: u32| Schema::builder(name).version(version).field_of_type("id", FieldType::U64);
        db.create_collection(with_key(version(1).field_of_type("name", FieldType::Text))).await.unwrap();
        let second = version(2).field_of_type("given", FieldType::Text).with_step();
        let table = db.create_collection(with_key(second)).await.unwrap();
        db.finish_migration(name, |_| {}).await.unwrap();
        if last == 3 {
            let third = version(3).field_of_type("given", FieldType::Text).field_of_type("more", FieldType::Text);
            db.create_collection(with_key(third.optional())).await.unwrap();
        }
        table.insert(&json!({"id": 1, "given": "Ada"})).await.unwrap();
    }
}

#[test]
fn what_earlier_versions_of_a_schema_say_comes_along() {
    let sandbox = Sandbox::new();
    block_on(async {
        let db = sandbox.library().open().await.unwrap();
        fill_versions(&db).await;
        db.close().await.unwrap();
    });
    sandbox.ok(&["export", "-o", "all.ndjson"]);
    sandbox.ok(&["--db", "file:other", "import", "--database", "all.ndjson"]);
    sandbox.ok(&["--db", "file:other", "export", "-o", "again.ndjson"]);
    let others = |arguments: &[&str]| sandbox.json(&[&["--db", "file:other"], arguments].concat());
    for filter in [
        "lines[*].price = 9.5",
        "lines[*].price < 10",
        "lines[*].price > 99.5",
        "at = '2026-01-01T01:00:00+01:00'",
        "happened = '2026-01-01T01:00:00+01:00'",
        "discount = 1.1",
        "discount < 1.05",
    ] {
        let query = ["query", "orders", "--where", filter];
        let found = sandbox.json(&query);
        assert_eq!(others(&query), found, "{filter}");
        assert_eq!(found.as_array().map_or(0, Vec::len) > 0, filter != "discount < 1.05", "{filter}: {found}");
    }
    for table in ["orders", "stepped", "halfway"] {
        let history = |mut told: Value| {
            // Documents are written anew, under the newest version.
            let versions = told["versions"].as_array_mut().unwrap();
            versions.iter_mut().for_each(|version| version["documents"] = Value::Null);
            told
        };
        let arguments = ["schema", table, "--history"];
        assert_eq!(history(others(&arguments)), history(sandbox.json(&arguments)), "{table}");
    }
    let without_moment = |file: &str| {
        let mut lines = lines(&sandbox.read(file));
        lines[0]["position"] = Value::Null;
        lines
    };
    assert_eq!(without_moment("again.ndjson"), without_moment("all.ndjson"));
    // What says nothing of earlier versions is read as ever.
    let old = sandbox.read("all.ndjson").replace("\"earlier\":", "\"unknown\":").replace("\"accepts\":", "\"new\":");
    sandbox.write("old.ndjson", old);
    sandbox.ok(&["--db", "file:old", "import", "--database", "old.ndjson"]);
    let without = sandbox.json(&["--db", "file:old", "query", "orders", "--where", "lines[*].price < 10"]);
    assert_eq!(without, json!([]), "texts, without the earlier versions");
    sandbox.write("bad.ndjson", sandbox.read("all.ndjson").replace("\"earlier\":[", "\"earlier\":3,\"unknown\":["));
    sandbox.run(&["--db", "file:bad", "import", "--database", "bad.ndjson"]).failed(1, &["earlier versions"]);
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
    fails(stream.replace("\"bucketdb_export\":1", "\"bucketdb_export\":3"), "newer version");
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
    for arguments in [&["export", "-o", "all.ndjson"][..], &["export", "-o", "all.sql", "--dialect", "sqlite"]] {
        let error = sandbox.run(&[&["--json"], arguments].concat()).json_error(1);
        assert_eq!((&error["kind"], &error["table"]), (&json!("unsupported"), &json!("a")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("--blobs FOLDER"), "{error}");
        assert!(!sandbox.path(arguments[2]).exists());
    }
    assert_eq!(sandbox.documents("a").len(), 1, "the table by itself");
    sandbox.run(&["export", "a", "--blobs", "files"]).failed(2, &["--blobs goes with a whole database"]);
    sandbox.run(&["import", "a", "photo", "--blobs", "files"]).failed(2, &["--database"]);
}

/// What the blobs in a field of all documents of a table hold.
fn contents(url: &str, sandbox: &Sandbox, table: &str) -> Vec<Vec<Vec<u8>>> {
    block_on(async {
        let mut builder = Database::builder().driver(FileDriver::new(sandbox.path(url)).unwrap());
        if is_encrypted() {
            builder = builder.encryption("08".repeat(32).parse().unwrap());
        }
        let db = builder.open().await.unwrap();
        let mut all = Vec::new();
        for document in db.collection(table).query().fetch().await.unwrap() {
            let mut found = Vec::new();
            for blob in db.blobs().find_in(&document.to_string()) {
                found.push(db.blobs().open(&blob).unwrap().bytes().await.unwrap().to_vec());
            }
            found.sort();
            all.push(found);
        }
        all
    })
}

/// Documents with blobs wherever they can be, of which some hold the same.
fn fill_blobs(sandbox: &Sandbox) -> Vec<Vec<Vec<u8>>> {
    let large: Vec<u8> = (0..9_000_000_u32).map(|at| (at / 5) as u8).collect();
    block_on(async {
        let db = sandbox.library().open().await.unwrap();
        let upload = async |content: &[u8]| db.blobs().upload(content.to_vec()).await.unwrap();
        let notes = db.collection("notes");
        let (small, empty, inside) = (upload(b"same").await, upload(b"").await, upload(b"inside").await);
        let text = format!("see {inside}.");
        notes.insert(&json!({"id": 1, "a": small, "list": [{"empty": empty}], "text": text})).await.unwrap();
        notes.insert(&json!({"id": 2, "a": upload(b"same").await, "again": upload(&large).await})).await.unwrap();
        notes.insert(&json!({"id": 3, "a": "blob:none"})).await.unwrap();
        let twice = upload(b"twice").await;
        db.collection("more")
            .insert(&json!({"id": 1, "x": twice, "y": twice, "of": {"z": upload(b"").await}}))
            .await
            .unwrap();
        db.close().await.unwrap();
    });
    vec![vec![b"".to_vec(), b"inside".to_vec(), b"same".to_vec()], vec![large, b"same".to_vec()], vec![]]
}

#[test]
fn what_blobs_hold_travels_in_a_folder() {
    let sandbox = Sandbox::new();
    let held = fill_blobs(&sandbox);
    assert_eq!(contents("db", &sandbox, "notes"), held);
    let export = ["export", "-o", "all.ndjson", "--blobs", "files"];
    sandbox.ok(&export);
    let files = names(&sandbox.path("files"));
    assert_eq!(files.len(), 5, "each content once: {files:?}");
    let stream = sandbox.read("all.ndjson");
    let exported = lines(&stream);
    assert_eq!(exported[0]["bucketdb_export"], 2, "a program that does not know of it refuses it");
    let first = exported.iter().find(|line| line["table"] == "notes" && line["document"]["id"] == 1).unwrap();
    assert_eq!(first["blobs"].as_array().unwrap().len(), 3);
    for blob in first["blobs"].as_array().unwrap() {
        let content = std::fs::read(sandbox.path("files").join(blob["file"].as_str().unwrap())).unwrap();
        assert_eq!(blob["hash"], blake3::hash(&content).to_hex().as_str());
        assert_eq!(blob["length"], content.len());
    }
    // What is right is not written again, and what is not is.
    let changed = |file: &String| std::fs::metadata(sandbox.path("files").join(file)).unwrap().modified().unwrap();
    let before: Vec<_> = files.iter().map(changed).collect();
    for (file, content) in [(&files[0], "damaged"), (&files[1], "")] {
        sandbox.write(&format!("files/{file}"), content);
    }
    sandbox.ok(&export);
    assert_eq!((names(&sandbox.path("files")), sandbox.read("all.ndjson")), (files.clone(), stream.clone()));
    assert_eq!(files[2..].iter().map(changed).collect::<Vec<_>>(), before[2..]);
    for file in &files {
        let content = std::fs::read(sandbox.path("files").join(file)).unwrap();
        assert_eq!(file, blake3::hash(&content).to_hex().as_str());
    }

    let other = |arguments: &[&str]| sandbox.run(&[&["--db", "file:other"], arguments].concat());
    other(&["import", "--database", "all.ndjson"]).failed(1, &["--blobs FOLDER"]);
    other(&["import", "--database", "all.ndjson", "--blobs", "nowhere"]).failed(1, &["nowhere is no folder"]);
    let report = other(&["--json", "import", "--database", "all.ndjson", "--blobs", "files"]).succeeded();
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["documents"], 4);
    assert_eq!((contents("other", &sandbox, "notes"), contents("other", &sandbox, "more").len()), (held, 1));
    other(&["gc", "--sweep"]).succeeded();
    let verified: Value = serde_json::from_str(&other(&["--json", "verify"]).succeeded()).unwrap();
    assert_eq!(verified["findings"], json!([]), "{verified}");
    // The text of one is another in each database, and everything else the same.
    other(&["export", "-o", "again.ndjson", "--blobs", "others"]).succeeded();
    let without_texts = |name: &str| -> Vec<Value> {
        let mut lines = lines(&sandbox.read(name));
        lines[0]["position"] = Value::Null;
        for line in &mut lines {
            let mut document = line["document"].to_string();
            let mut told = line["blobs"].as_array().cloned().unwrap_or_default();
            for blob in &mut told {
                document = document.replace(blob["blob"].take().as_str().unwrap(), blob["hash"].as_str().unwrap());
            }
            told.sort_by_key(Value::to_string);
            (line["document"], line["blobs"]) = (document.into(), told.into());
        }
        lines
    };
    assert_eq!(without_texts("again.ndjson"), without_texts("all.ndjson"));
    assert_eq!(names(&sandbox.path("others")), files);
}

#[test]
fn a_file_that_is_not_what_it_was_is_told_with_its_document() {
    let sandbox = Sandbox::new();
    fill_blobs(&sandbox);
    sandbox.ok(&["export", "-o", "all.ndjson", "--blobs", "files"]);
    let file = format!("files/{}", blake3::hash(b"twice").to_hex());
    let import = ["--json", "--db", "file:other", "import", "--database", "all.ndjson", "--blobs", "files"];
    for (content, part) in
        [(Some("twicE"), "its hash is another one"), (Some("once"), "4 bytes"), (None, "cannot read")]
    {
        match content {
            Some(content) => sandbox.write(&file, content),
            None => std::fs::remove_file(sandbox.path(&file)).unwrap(),
        }
        let error = sandbox.run(&import).json_error(1);
        let message = error["message"].as_str().unwrap();
        for part in [part, &*file, "table more, document 1", "drop the database", "line 3"] {
            assert!(message.contains(part), "{part} is not in {error}");
        }
        std::fs::remove_dir_all(sandbox.path("other")).unwrap();
    }
}

#[test]
fn documents_with_blobs_come_beside_a_bulk_load() {
    let sandbox = Sandbox::new();
    let rows: String = (0..12_000).map(|id| json!({"id": id, "text": "x".repeat(20)}).to_string() + "\n").collect();
    sandbox.write("rows.ndjson", rows);
    sandbox.ok(&["import", "t", "rows.ndjson"]);
    block_on(async {
        let db = sandbox.library().open().await.unwrap();
        for id in (0..12_000_u32).step_by(150) {
            let blob = db.blobs().upload(format!("of {id}")).await.unwrap();
            db.collection("t").patch(&json!(id), &json!({"blob": blob})).await.unwrap();
        }
        db.close().await.unwrap();
    });
    sandbox.ok(&["export", "-o", "all.ndjson.gz", "--blobs", "files"]);
    let import = ["--db", "file:other", "import", "--database", "all.ndjson.gz", "--blobs", "files"];
    assert_eq!(sandbox.json(&import)["documents"], 12_000);
    let held = contents("other", &sandbox, "t");
    assert_eq!((held.len(), held.iter().filter(|blobs| !blobs.is_empty()).count()), (12_000, 80));
    assert_eq!(held[150], [b"of 150".to_vec()]);
}
