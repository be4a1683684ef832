//! What is exported as SQL is loaded by the real PostgreSQL and SQLite, and compared value by value.
//!
//! `cargo xtask test` starts the one and finds the other; without, a test says that it did nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use bucketdb::{Database, FieldType, KeyType, Schema};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// The value of a variable that `cargo xtask test` sets.
fn given(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    let is_required = std::env::var("BUCKETDB_TEST_REQUIRED").is_ok_and(|required| required == "1");
    assert!(value.is_some() || !is_required, "{variable} is not set, but BUCKETDB_TEST_REQUIRED=1 asks for it");
    if value.is_none() {
        eprintln!("{variable} is not set: nothing is tested");
    }
    value
}

fn in_library(sandbox: &Sandbox, act: impl AsyncFnOnce(Database)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = sandbox.library().open().await.unwrap();
        act(db.clone()).await;
        db.close().await.unwrap();
    });
}

/// The fields of a table in the order of its columns.
type Tables = BTreeMap<&'static str, Vec<String>>;

const ODD_TABLE: &str = "Select-1";

/// Fills a database with everything that has a type, and with everything that might be taken for SQL.
fn fill(sandbox: &Sandbox, nul: &str) -> Tables {
    let typed: Vec<(&str, FieldType, Vec<Value>)> = vec![
        ("flag", FieldType::Bool, vec![json!(true), json!(false)]),
        ("small", FieldType::I16, vec![json!(-32768), json!(32767)]),
        ("int", FieldType::I32, vec![json!(i32::MIN), json!(i32::MAX)]),
        ("big", FieldType::I64, vec![json!(i64::MIN), json!(i64::MAX)]),
        ("huge", FieldType::U64, vec![json!(u64::MAX), json!(0)]),
        ("tiny_u", FieldType::U8, vec![json!(255)]),
        ("double", FieldType::F64, vec![json!(0.1), json!(-1e300), json!(5e-324), json!(3.0)]),
        ("text", FieldType::Text, vec![json!("plain"), json!("")]),
        ("bytes", FieldType::Bytes, vec![json!([0, 39, 92, 255]), json!([])]),
        ("id16", FieldType::Uuid, vec![json!("0190a8b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b")]),
        ("moment", FieldType::Timestamp, vec![json!("2024-02-29T23:59:59.123456Z"), json!("1969-12-31T00:00:00Z")]),
        ("instant", FieldType::Timestamp, vec![json!("2024-02-29T23:59:59.123456789Z")]),
        ("day", FieldType::Date, vec![json!("2024-02-29"), json!("0001-01-01")]),
        ("price", FieldType::Decimal, vec![json!("12345678901234567890.50"), json!("-0.10")]),
        ("unkept", FieldType::Date, vec![json!("2024-02-29"), json!("tomorrow")]),
        ("unused", FieldType::I64, vec![]),
    ];
    let odd = [
        json!("it's \"quoted\" \\' ''; DROP TABLE typed; --"),
        json!("$1 :name ?1 $$ \\. \\copy %s\n\\.\n.quit\n-- x /* y\r\n"),
        json!("ünï \u{1F980} \u{FEFF} \t \u{1}"),
        json!(nul),
        json!(""),
    ];
    let odd_fields = ["id", "Name", "name", "a \"b\"", "select", "ctid", "é'`", "mixed", "nested", "n", "u"];
    in_library(sandbox, async |db| {
        let mut schema = Schema::builder("typed").field_of_type("id", FieldType::Text).key(&["id"]);
        for (name, field_type, _) in &typed {
            schema = schema.field_of_type(name, *field_type);
        }
        let schema = schema.version(1).finish().with_key_types(&[KeyType::Text]);
        let table = db.create_collection(schema.with_index("big desc, day").with_unique("small")).await.unwrap();
        for row in 0..4 {
            let mut document = json!({"id": format!("row {row}")});
            for (name, _, values) in &typed {
                if let Some(value) = values.get(row) {
                    document[*name] = value.clone();
                }
            }
            table.put(&document).await.unwrap();
        }
        let table = db.collection(ODD_TABLE);
        for (row, text) in odd.iter().enumerate() {
            let mixed = [json!(1), json!("1"), json!(true), json!(null), json!([1.5])];
            let document = json!({
                "id": row, "Name": text, "name": text, "a \"b\"": text, "select": text, "ctid": row, "é'`": text,
                "mixed": mixed[row], "nested": {"t": text, "l": [null, 0.1, u64::MAX]}, "n": row as f64 / 3.0,
                "u": u64::MAX - row as u64,
            });
            table.put(&document).await.unwrap();
        }
        db.create_index(ODD_TABLE, "nested.t").await.unwrap();
        db.create_index(ODD_TABLE, "\"Name\" desc").await.unwrap();
        db.collection("empty").put(&json!({"id": 1})).await.unwrap();
        db.collection("empty").delete(&json!(1)).await.unwrap();
    });
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut lines = String::new();
    for id in 0..3000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (any, usual) = (f64::from_bits(random ^ random >> 29), (random >> 20) as f64 / 1e5);
        let any = if any.is_finite() { any } else { 0.5 };
        lines.push_str(&format!("{}\n", json!({"id": id, "x": any, "y": usual})));
    }
    sandbox.write("floats.ndjson", lines);
    sandbox.ok(&["import", "floats", "floats.ndjson"]);
    let of = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let typed = typed.iter().map(|(name, ..)| *name);
    Tables::from([
        ("typed", of(&["id"].into_iter().chain(typed).collect::<Vec<_>>())),
        (ODD_TABLE, of(&odd_fields)),
        ("floats", of(&["id", "x", "y"])),
        ("empty", of(&["id"])),
    ])
}

fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(value: &Value) -> Vec<u8> {
    value.as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect()
}

/// Compares all rows of a table with its documents. `row` gives the SQL for a list of what is in a column; `is_same` compares
/// a value, null if it is missing, with what the column has.
fn compare(
    sandbox: &Sandbox,
    (table, fields): (&str, &[String]),
    columns: &[String],
    ask: impl Fn(&str) -> String,
    shown: impl Fn(&str) -> String,
    is_same: impl Fn(&str, &Value, &Value) -> bool,
) {
    assert_eq!(columns.len(), fields.len(), "{table}: {columns:?}");
    let documents = sandbox.documents(table);
    let all: Vec<String> = columns.iter().map(|column| shown(&quoted(column))).collect();
    let found =
        ask(&format!("SELECT {} FROM {} ORDER BY {};", all.join("||','||"), quoted(table), quoted(&columns[0])));
    let rows: Vec<Value> = found.lines().map(|line| serde_json::from_str(&format!("[{line}]")).unwrap()).collect();
    assert_eq!(rows.len(), documents.len(), "{table}");
    for (document, row) in documents.iter().zip(&rows) {
        for (field, there) in fields.iter().zip(row.as_array().unwrap()) {
            let here = document.get(field).unwrap_or(&Value::Null);
            assert!(is_same(field, here, there), "{table}.{field}: {here} became {there}");
        }
    }
}

#[test]
fn sqlite_has_the_same_values() {
    let Some(program) = given("BUCKETDB_TEST_SQLITE") else { return };
    let sandbox = Sandbox::new();
    let tables = fill(&sandbox, "a\0b");
    sandbox.ok(&["export", "--format", "sql", "--dialect", "sqlite", "--output", "all.sql"]);
    let database = sandbox.path("all.db");
    let sqlite = |sql: &str| run(Command::new(&program).arg("-batch").arg("-bail").arg(&database), sql);
    assert_eq!(sqlite(&sandbox.read("all.sql")), "");
    // Once more, in the shell's own way of reading a file.
    let again = sandbox.path("again.db");
    run(Command::new(&program).arg(&again).arg(".read all.sql").current_dir(sandbox.path(".")), "");

    for (table, fields) in &tables {
        let named = format!("SELECT name FROM pragma_table_info('{}');", table.replace('\'', "''"));
        let columns: Vec<String> = sqlite(&named).lines().map(str::to_owned).collect();
        let shown = |column: &str| {
            format!(
                "json_array(typeof({column}), CASE typeof({column}) WHEN 'real' THEN hex(ieee754_to_blob({column})) \
                 WHEN 'text' THEN hex(CAST({column} AS BLOB)) WHEN 'blob' THEN hex({column}) \
                 ELSE CAST({column} AS TEXT) END)"
            )
        };
        compare(&sandbox, (table, fields), &columns, sqlite, shown, |field, here, there| {
            let (kind, text) = (there[0].as_str().unwrap(), there[1].as_str().unwrap_or_default());
            let is_text = |text: &str, expected: &str| text.eq_ignore_ascii_case(&hex(expected.as_bytes()));
            match (field, here) {
                (_, Value::Null) if field != "mixed" => kind == "null",
                ("mixed" | "nested", _) if here.is_null() => kind == "null",
                ("mixed" | "nested", _) => kind == "text" && is_text(text, &here.to_string()),
                ("bytes", _) => kind == "blob" && text.eq_ignore_ascii_case(&hex(&bytes_of(here))),
                ("huge" | "u", _) => kind == "text" && is_text(text, &here.to_string()),
                ("double" | "n" | "x" | "y", _) => {
                    let bits = here.as_f64().unwrap().to_bits();
                    kind == "real" && u64::from_str_radix(text, 16).unwrap() == bits
                }
                (_, Value::Bool(truth)) => kind == "integer" && text == if *truth { "1" } else { "0" },
                (_, Value::Number(number)) => kind == "integer" && text == number.to_string(),
                (_, Value::String(expected)) => kind == "text" && is_text(text, expected),
                _ => false,
            }
        });
    }
    let keys = sqlite("SELECT name FROM pragma_table_info('typed') WHERE pk > 0;");
    assert_eq!(keys, "id\n");
    let indexes = sqlite("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name;");
    assert!(indexes.contains("UNIQUE INDEX \"typed_small_idx\""), "{indexes}");
    assert!(indexes.contains("(\"big\" DESC, \"day\")"), "{indexes}");
    assert!(indexes.contains("(\"Name\" DESC)"), "{indexes}");
    assert!(sandbox.read("all.sql").contains("-- The index on nested.t is left out: it is over what is nested"));
}

#[test]
fn postgresql_has_the_same_values() {
    let (Some(url), Some(program)) = (given("BUCKETDB_TEST_POSTGRESQL"), given("BUCKETDB_TEST_PSQL")) else { return };
    let sandbox = Sandbox::new();
    let tables = fill(&sandbox, "no nul");
    sandbox.ok(&["export", "--format", "sql", "--dialect", "postgresql", "--output", "all.sql.gz"]);
    let script = run(Command::new("gzip").args(["-dc"]).arg(sandbox.path("all.sql.gz")), "");
    // A schema of its own: several runs may share the server.
    let schema = format!("test_{}", std::process::id());
    let psql = |sql: &str| {
        let sql = format!("SET search_path TO {schema};\nSET TimeZone TO 'UTC';\n{sql}");
        run(Command::new(&program).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url]), &sql)
    };
    psql(&format!("CREATE SCHEMA {schema};"));
    assert_eq!(psql(&script), "");

    for (table, fields) in &tables {
        let of_table = format!("table_schema = '{schema}' AND table_name = '{}'", table.replace('\'', "''"));
        let named =
            format!("SELECT column_name FROM information_schema.columns WHERE {of_table} ORDER BY ordinal_position;");
        let columns: Vec<String> = psql(&named).lines().map(str::to_owned).collect();
        let shown = |column: &str| format!("coalesce(to_json({column}::text)::text, 'null')");
        compare(&sandbox, (table, fields), &columns, psql, shown, |field, here, there| {
            let Some(text) = there.as_str() else { return here.is_null() };
            match (field, here) {
                (_, Value::Null) => false,
                ("mixed" | "nested", _) => serde_json::from_str::<Value>(text).unwrap() == *here,
                ("bytes", _) => text == format!("\\x{}", hex(&bytes_of(here))),
                ("double" | "n" | "x" | "y", _) => {
                    text.parse::<f64>().unwrap().to_bits() == here.as_f64().unwrap().to_bits()
                }
                ("moment", _) => text.replace(' ', "T").replace("+00", "Z") == here.as_str().unwrap(),
                (_, Value::String(expected)) => text == expected,
                (_, here) => {
                    let digits = here.to_string();
                    text == digits
                }
            }
        });
    }
    let types = psql(&format!(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}' AND table_name = 'typed';"
    ));
    for expected in [
        "id|text",
        "flag|boolean",
        "small|smallint",
        "int|integer",
        "big|bigint",
        "huge|numeric",
        "tiny_u|smallint",
        "double|double precision",
        "text|text",
        "bytes|bytea",
        "id16|uuid",
        "moment|timestamp with time zone",
        "instant|text",
        "day|date",
        "price|numeric",
        "unkept|text",
        "unused|bigint",
    ] {
        assert!(types.lines().any(|line| line == expected), "{expected} is not in {types}");
    }
    let indexes = psql(&format!("SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}';"));
    for expected in ["UNIQUE INDEX typed_pkey", "UNIQUE INDEX typed_small_idx", "(big DESC, day)", "(\"Name\" DESC)"] {
        assert!(indexes.contains(expected), "{expected} is not in {indexes}");
    }
    psql(&format!("SET client_min_messages TO error; DROP SCHEMA {schema} CASCADE;"));
}

#[test]
fn a_nul_stops_an_export_for_postgresql_and_names_the_document() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "a\0b");
    let export = |dialect| ["export", "--format", "sql", "--dialect", dialect, "-o", "out.sql"];
    let refused = sandbox.run(&export("postgresql"));
    refused.failed(1, &["document [3]", "has a text with a NUL character", "PostgreSQL cannot store"]);
    assert!(!sandbox.path("out.sql").exists());
    sandbox.ok(&export("sqlite"));
}

#[test]
fn all_tables_are_of_one_moment_and_named_tables_only_these() {
    let sandbox = Sandbox::new();
    for table in ["a", "b", "c"] {
        sandbox.ok(&["put", table, r#"{"id":1,"t":"x"}"#]);
    }
    let some = sandbox.ok(&["export", "b", "a", "--format", "sql", "--dialect", "sqlite"]);
    let expected = "\
        -- Tables of a BucketDB database, as of position … of its log.\n\
        BEGIN;\n\n\
        CREATE TABLE \"b\" (\n    \"id\" INTEGER NOT NULL,\n    \"t\" TEXT,\n    PRIMARY KEY (\"id\")\n);\n\
        INSERT INTO \"b\" (\"id\", \"t\") VALUES\n(1,'x');\n\n\
        CREATE TABLE \"a\" (\n    \"id\" INTEGER NOT NULL,\n    \"t\" TEXT,\n    PRIMARY KEY (\"id\")\n);\n\
        INSERT INTO \"a\" (\"id\", \"t\") VALUES\n(1,'x');\n\n\
        COMMIT;\n";
    let (first, rest) = some.split_once('\n').unwrap();
    assert!(first.starts_with("-- Tables of a BucketDB database, as of position "), "{first}");
    assert_eq!(rest, expected.split_once('\n').unwrap().1);
    let report = sandbox.json(&["export", "--format", "sql", "--dialect", "sqlite", "-o", "all.sql"]);
    assert_eq!(report, json!({"tables": ["a", "b", "c"], "documents": 3, "file": "all.sql"}));
    for (arguments, part) in [
        (&["export", "a", "--format", "sql"][..], "--dialect postgresql or sqlite"),
        (&["export", "-o", "x.sql"], "--dialect postgresql or sqlite"),
        (&["export", "a", "--dialect", "sqlite"], "goes with --format sql"),
        (&["export", "--format", "csv"], "name the table"),
        (&["export", "--format", "json"], "name the table"),
        (&["export", "a", "b"], "one table goes into one file"),
    ] {
        sandbox.run(arguments).failed(2, &[part]);
    }
    sandbox.run(&["export", "z", "--format", "sql", "--dialect", "sqlite"]).failed(1, &["no table z"]);
}

/// A table says in which file of the folder it is what a blob holds.
#[test]
fn sqlite_finds_what_blobs_hold() {
    let Some(program) = given("BUCKETDB_TEST_SQLITE") else { return };
    let sandbox = Sandbox::new();
    fill_photos(&sandbox);
    sandbox.ok(&["export", "--dialect", "sqlite", "-o", "all.sql", "--blobs", "files"]);
    let sqlite = |sql: &str| run(Command::new(&program).arg("-batch").arg("-bail").arg(sandbox.path("all.db")), sql);
    assert_eq!(sqlite(&sandbox.read("all.sql")), "");
    check_photos(&sandbox, sqlite);
}

#[test]
fn postgresql_finds_what_blobs_hold() {
    let (Some(url), Some(program)) = (given("BUCKETDB_TEST_POSTGRESQL"), given("BUCKETDB_TEST_PSQL")) else { return };
    let sandbox = Sandbox::new();
    fill_photos(&sandbox);
    sandbox.ok(&["export", "--dialect", "postgresql", "-o", "all.sql", "--blobs", "files"]);
    let schema = format!("test_blobs_{}", std::process::id());
    let psql = |sql: &str| {
        let sql = format!("SET search_path TO {schema};\n{sql}");
        run(Command::new(&program).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url]), &sql)
    };
    psql(&format!("CREATE SCHEMA {schema};"));
    assert_eq!(psql(&sandbox.read("all.sql")), "");
    check_photos(&sandbox, psql);
    psql(&format!("SET client_min_messages TO error; DROP SCHEMA {schema} CASCADE;"));
}

fn fill_photos(sandbox: &Sandbox) {
    // A table of the name that would be taken.
    sandbox.ok(&["put", "blobs", r#"{"id":1,"t":"not theirs"}"#]);
    for (id, content) in [("1", "one"), ("2", "same"), ("3", "same")] {
        sandbox.ok(&["put", "photos", &json!({"id": id}).to_string()]);
        sandbox.write("photo", content);
        sandbox.ok(&["blob", "put", "photos", id, "image", "photo"]);
    }
}

fn check_photos(sandbox: &Sandbox, ask: impl Fn(&str) -> String) {
    let found =
        ask("SELECT photos.id, blobs_2.length, blobs_2.file FROM photos JOIN blobs_2 ON blobs_2.blob = photos.image \
         WHERE blobs_2.hash = blobs_2.file ORDER BY photos.id;");
    let rows: Vec<Vec<&str>> = found.lines().map(|line| line.split('|').collect()).collect();
    assert_eq!(rows.len(), 3, "{found}");
    for (row, expected) in rows.iter().zip(["one", "same", "same"]) {
        assert_eq!(row[1], expected.len().to_string());
        assert_eq!(sandbox.read(&format!("files/{}", row[2])), expected);
    }
    assert_eq!(ask("SELECT t FROM blobs;"), "not theirs\n");
}
