//! Importing and exporting files.

use std::io::Write;

use crate::sandbox::{Sandbox, names};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const AIRPORTS: &[u8] = include_bytes!("../../data/airports.csv.gz");

#[test]
fn the_airports_take_a_handful_of_puts_and_repeating_takes_none() {
    let sandbox = Sandbox::new();
    sandbox.write("airports.csv.gz", AIRPORTS);
    let first = sandbox.json(&["import", "airports", "airports.csv.gz", "--key", "icao"]);
    assert_eq!((first["imported"].as_u64(), first["replaced"].as_u64()), (Some(28_298), Some(0)), "{first}");
    assert!(first["commits"].as_u64() <= Some(4) && first["requests"].as_u64() < Some(10), "{first}");

    let again = sandbox.json(&["import", "airports", "airports.csv.gz"]);
    assert_eq!((again["unchanged"].as_u64(), again["commits"].as_u64()), (Some(28_298), Some(0)), "{again}");

    let bern = sandbox.json(&["get", "airports", "LSZB"]);
    assert_eq!((&bern["elevation"], &bern["lat"]), (&json!(1674), &json!(46.9141)));
    assert_eq!(bern.get("lid"), None, "an empty cell is a missing field");
    let code = sandbox.json(&["get", "airports", "00AA"]);
    assert_eq!(code["lid"], "00AA");
}

#[test]
fn a_malformed_line_7_ends_an_import_that_keeps_what_stands_before() {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = (1..=9).map(|id| format!(r#"{{"id": {id}}}"#)).collect();
    let broken = |replacement: &str| {
        let mut lines = lines.clone();
        replacement.clone_into(&mut lines[6]);
        lines
    };
    sandbox.write("a.ndjson", broken(r#"{"id": 7,, }"#).join("\n"));
    let run = sandbox.run(&["import", "a", "a.ndjson"]);
    run.failed(1, &["a.ndjson, line 7, column 10", "6 documents before it are stored"]);
    assert_eq!(sandbox.documents("a").len(), 6);

    sandbox.write("b.json", format!("[{}]", broken("{oops}").join(",\n")));
    let error = sandbox.run(&["--json", "import", "b", "b.json"]).json_error(1);
    assert_eq!((&error["line"], &error["column"], &error["stored"]), (&json!(7), &json!(2), &json!(6)));
    assert_eq!(sandbox.documents("b").len(), 6);

    let cells: Vec<String> = std::iter::once("id,n".to_owned()).chain((1..=8).map(|id| format!("{id},x"))).collect();
    let mut cells = cells;
    "6,x,y".clone_into(&mut cells[6]);
    sandbox.write("c.csv", cells.join("\n"));
    sandbox.run(&["import", "c", "c.csv"]).failed(1, &["c.csv, line 7", "3 cells"]);
    assert_eq!(sandbox.documents("c").len(), 5);

    sandbox.write("d.ndjson", broken(r#"{"name": "no key"}"#).join("\n"));
    sandbox.run(&["import", "d", "d.ndjson"]).failed(1, &["d.ndjson, line 7", "\"id\"", "missing"]);
    assert_eq!(sandbox.documents("d").len(), 6);

    sandbox.write("e.ndjson", broken(r#"{"id": "seven"}"#).join("\n"));
    sandbox.run(&["import", "e", "e.ndjson"]).failed(1, &["e.ndjson, line 7", "\"seven\"", "integer"]);
    assert_eq!(sandbox.documents("e").len(), 6);
}

#[test]
fn a_document_over_the_limit_is_named_by_its_line() {
    let sandbox = Sandbox::new();
    let large = "x".repeat(9 << 20);
    sandbox.write("a.ndjson", format!("{{\"id\":1}}\n{{\"id\":2,\"x\":\"{large}\"}}\n{{\"id\":3}}\n"));
    sandbox.run(&["import", "t", "a.ndjson"]).failed(1, &["a.ndjson, line 2", "bytes"]);
    assert_eq!(sandbox.documents("t"), [json!({"id": 1})]);
}

#[test]
fn large_documents_are_spread_over_commits() {
    let sandbox = Sandbox::new();
    let text = "x".repeat(1 << 20);
    let lines: Vec<String> = (0..20).map(|id| json!({"id": id, "x": text}).to_string()).collect();
    sandbox.write("a.jsonl", lines.join("\n"));
    let report = sandbox.json(&["import", "t", "a.jsonl", "--batch-size", "1000"]);
    assert_eq!((&report["imported"], &report["commits"]), (&json!(20), &json!(3)), "{report}");
    let report = sandbox.json(&["import", "t", "a.jsonl", "--batch-size", "2"]);
    assert_eq!(report["unchanged"], 20);
    let report = sandbox.json(&["import", "u", "a.jsonl", "--batch-size", "2"]);
    assert_eq!(report["commits"], 10);
}

#[test]
fn repeating_writes_only_what_has_changed() {
    let sandbox = Sandbox::new();
    sandbox.write("a.json", r#"[{"id": "a", "n": 1}, {"id": "b", "n": 1}, {"id": "c"}]"#);
    sandbox.ok(&["import", "t", "a.json"]);
    sandbox.write("a.json", r#"[{"n": 1, "id": "a"}, {"id": "b", "n": 1.0}, {"id": "c"}, {"id": "d"}]"#);
    let report = sandbox.json(&["import", "t", "a.json"]);
    let counts = ["imported", "replaced", "unchanged", "commits"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 2, 1], "{report}");
    assert_eq!(sandbox.json(&["get", "t", "b"])["n"], json!(1.0));
}

#[test]
fn of_documents_with_one_key_the_last_counts() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ndjson", "{\"id\":1,\"n\":1}\n{\"id\":2}\n{\"id\":1,\"n\":2}\n{\"id\":1,\"n\":3}\n");
    for batch_size in ["1", "100"] {
        let table = format!("t{batch_size}");
        let report = sandbox.json(&["import", &table, "a.ndjson", "--batch-size", batch_size]);
        assert_eq!((&report["imported"], &report["duplicates"]), (&json!(2), &json!(2)), "{report}");
        assert_eq!(sandbox.json(&["get", &table, "1"])["n"], 3);
    }
    let report = sandbox.json(&["import", "t100", "a.ndjson"]);
    assert_eq!((&report["unchanged"], &report["commits"]), (&json!(2), &json!(0)), "{report}");
}

#[test]
fn inserting_stops_at_a_key_that_exists() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":3}"#]);
    sandbox.write("a.ndjson", "{\"id\":1}\n{\"id\":2}\n{\"id\":3,\"n\":1}\n{\"id\":4}\n");
    let run = sandbox.run(&["import", "t", "a.ndjson", "--mode", "insert"]);
    run.failed(1, &["a.ndjson, line 3", "key 3", "already", "2 documents before it are stored"]);
    assert_eq!(sandbox.documents("t"), [json!({"id": 1}), json!({"id": 2}), json!({"id": 3})]);
    sandbox.write("b.ndjson", "{\"id\":7}\n{\"id\":7}\n");
    sandbox.run(&["import", "t", "b.ndjson", "--mode", "insert"]).failed(1, &["line 2", "second time"]);
}

#[test]
fn csv_columns_are_typed_by_all_their_cells() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", "id,zip,phone,n,mixed,yes,none\n01,007,+4412,1,1,true,\n2,8000,0,2.5,x,false,\n");
    sandbox.ok(&["import", "t", "a.csv"]);
    assert_eq!(
        sandbox.documents("t"),
        [
            json!({"id": "01", "zip": "007", "phone": "+4412", "n": 1, "mixed": "1", "yes": true}),
            json!({"id": "2", "zip": "8000", "phone": "0", "n": 2.5, "mixed": "x", "yes": false}),
        ]
    );
    // A table whose key is text takes codes that happen to look like numbers.
    sandbox.write("b.csv", "id\n3\n4\n");
    sandbox.ok(&["import", "t", "b.csv"]);
    assert_eq!(sandbox.json(&["get", "t", "3"]), json!({"id": "3"}));
    sandbox.write("c.tsv", "id\tn\na\t1\n");
    sandbox.ok(&["import", "u", "c.tsv", "--csv-types", "text"]);
    assert_eq!(sandbox.documents("u"), [json!({"id": "a", "n": "1"})]);
}

#[test]
fn standard_input_is_read_once() {
    let sandbox = Sandbox::new();
    let read = |text: &str, format| sandbox.feed(&["import", "t", "-", "--input-format", format], text);
    read("id,n\n1,5\n", "csv").succeeded();
    read(r#"{"id":2} {"id":3}"#, "json").succeeded();
    assert_eq!(sandbox.documents("t"), [json!({"id": 1, "n": 5}), json!({"id": 2}), json!({"id": 3})]);
    sandbox.feed(&["import", "t", "-"], "").failed(2, &["standard input", "--input-format"]);

    // What is behind the part that was looked at cannot change what its columns are.
    let filler = "x".repeat(1 << 20);
    let mut text = "id,n,x\n".to_owned();
    for id in 0..9 {
        text.push_str(&format!("{id},{id},{filler}\n"));
    }
    text.push_str("9,nine,\n");
    let error = sandbox.feed(&["--json", "import", "big", "-", "--input-format", "csv"], &text).json_error(1);
    assert_eq!((&error["line"], &error["stored"]), (&json!(11), &json!(9)), "{error}");
    assert!(error["message"].as_str().unwrap().contains("--csv-types text"), "{error}");
    sandbox.write("big.csv", text);
    sandbox.ok(&["import", "big2", "big.csv"]);
    assert_eq!(sandbox.json(&["get", "big2", "1"])["n"], "1");
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let sandbox = Sandbox::new();
    sandbox.run(&["import", "t", "no.json"]).failed(1, &["no.json", "No such file"]);
    sandbox.write("a.txt", "");
    sandbox.run(&["import", "t", "a.txt"]).failed(2, &["a.txt", "--input-format"]);
    assert!(!sandbox.path("db").exists(), "a file is looked at before a database is created");
    let mut cut = AIRPORTS.to_vec();
    cut.truncate(cut.len() / 2);
    sandbox.write("cut.csv.gz", cut);
    sandbox.run(&["import", "t", "cut.csv.gz", "--key", "icao"]).failed(1, &["cannot read cut.csv.gz"]);
    sandbox.write("empty.json", "");
    let report = sandbox.json(&["import", "t", "empty.json"]);
    assert_eq!(report["read"], 0);
    sandbox.run(&["import", "no name", "empty.json"]).failed(2, &["\"no name\""]);
    sandbox.write("twice.csv", "id,id\n1,2\n");
    sandbox.run(&["import", "t", "twice.csv"]).failed(1, &["twice.csv, line 1", "\"id\""]);
}

#[test]
fn files_are_exported_whole_or_not_at_all() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":"a","n":{"x":[1,null]},"t":"é,\""}"#]);
    sandbox.ok(&["put", "t", r#"{"id":"b","late":true}"#]);
    assert_eq!(sandbox.ok(&["export", "t", "--output", "a.json"]), "wrote 2 documents to a.json\n");
    assert_eq!(serde_json::from_str::<Vec<Value>>(&sandbox.read("a.json")).unwrap(), sandbox.documents("t"));
    assert_eq!(sandbox.json(&["export", "t", "-o", "a.csv"])["documents"], 2);
    assert_eq!(sandbox.read("a.csv"), "id,n,t,late\na,\"{\"\"x\"\":[1,null]}\",\"é,\"\"\",\nb,,,true\n");
    sandbox.ok(&["export", "t", "-o", "a.ndjson.gz"]);
    sandbox.ok(&["import", "u", "a.ndjson.gz"]);
    assert_eq!(sandbox.documents("u"), sandbox.documents("t"));

    sandbox.run(&["export", "nobody", "-o", "b.json"]).failed(1, &["no table nobody"]);
    sandbox.run(&["export", "t", "-o", "no/folder.json"]).failed(1, &["no/folder.json"]);
    std::fs::create_dir(sandbox.path("taken")).unwrap();
    sandbox.run(&["export", "t", "-o", "taken"]).failed(1, &["taken"]);
    assert_eq!(names(&sandbox.path(".")), ["a.csv", "a.json", "a.ndjson.gz", "db", "taken"], "nothing is left behind");
}

/// A file renamed over a device or a pipe would destroy it, and over a link would part it from its file.
#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_written_to_and_not_replaced() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":"a"}"#]);
    std::fs::write(sandbox.path("file"), "old").unwrap();
    std::fs::set_permissions(sandbox.path("file"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("file", sandbox.path("link")).unwrap();
    sandbox.ok(&["export", "t", "-o", "link"]);
    assert!(std::fs::symlink_metadata(sandbox.path("link")).unwrap().is_symlink());
    assert_eq!(sandbox.read("file"), "{\"id\":\"a\"}\n");
    assert_eq!(std::fs::metadata(sandbox.path("file")).unwrap().permissions().mode() & 0o777, 0o600);

    let pipe = sandbox.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    sandbox.ok(&["export", "t", "-o", "pipe"]);
    assert_eq!(reader.join().unwrap(), "{\"id\":\"a\"}\n");
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

fn any_value() -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter("JSON has no other", |number| number.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![Just(u64::MAX), Just(1 << 53)].prop_map(Value::from),
        finite.prop_map(Value::from),
        prop_oneof![Just(1.0), Just(-0.0), Just(1e300), Just(5e-324)].prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

#[test]
fn what_is_exported_and_imported_again_is_the_same() {
    let sandbox = Sandbox::new();
    // Running the program is slow: many documents a time, few times.
    let mut runner = TestRunner::new(Config { cases: 3, failure_persistence: None, ..Config::default() });
    let strategy = prop::collection::vec(prop::collection::vec((any::<String>(), any_value()), 0..5), 200);
    let case = std::cell::Cell::new(0);
    let test = |bodies: Vec<Vec<(String, Value)>>| {
        case.set(case.get() + 1);
        let document = |(id, fields): (usize, Vec<(String, Value)>)| {
            let mut document: serde_json::Map<String, Value> = fields.into_iter().collect();
            document.insert("id".to_owned(), json!(id));
            Value::Object(document)
        };
        let documents: Vec<Value> = bodies.into_iter().enumerate().map(document).collect();
        let mut file = GzEncoder::new(Vec::new(), Compression::fast());
        for document in &documents {
            writeln!(file, "{document}").unwrap();
        }
        sandbox.write("in.ndjson.gz", file.finish().unwrap());
        let (first, second) = (format!("first{}", case.get()), format!("second{}", case.get()));
        sandbox.ok(&["import", &first, "in.ndjson.gz"]);
        sandbox.ok(&["export", &first, "-o", "out.json"]);
        sandbox.ok(&["import", &second, "out.json"]);
        prop_assert_eq!(&sandbox.documents(&first), &documents);
        prop_assert_eq!(&sandbox.documents(&second), &documents);
        Ok(())
    };
    runner.run(&strategy, test).unwrap();
}

/// A file of documents whose keys come in an order of their own.
fn many(count: u64, version: u64) -> String {
    let line = |place: u64| {
        let id = place * 7_919 % count;
        // Every hundredth document is another one from version to version.
        let version = if id.is_multiple_of(100) { version } else { 0 };
        format!("{{\"id\":{id},\"version\":{version},\"text\":\"{:032x}\"}}\n", u128::from(id) * 0x9E37_79B9)
    };
    (0..count).map(line).collect()
}

#[test]
fn many_documents_appear_at_once_and_repeating_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ndjson", many(12_000, 1));
    let counts = |report: &Value| {
        ["imported", "replaced", "unchanged", "duplicates", "commits"].map(|name| report[name].as_u64().unwrap())
    };
    let first = sandbox.json(&["import", "t", "a.ndjson"]);
    assert_eq!((counts(&first), &first["bulk"]), ([12_000, 0, 0, 0, 1], &json!(true)), "{first}");
    assert!(first["requests"].as_u64() < Some(12), "{first}");
    let stored = sandbox.documents("t");
    assert_eq!(stored.len(), 12_000);
    assert!((0..).zip(&stored).all(|(id, document): (u64, _)| document["id"] == id && document["text"].is_string()));

    let again = sandbox.json(&["import", "t", "a.ndjson"]);
    assert_eq!(counts(&again), [0, 0, 12_000, 0, 0], "{again}");
    assert_eq!(sandbox.documents("t"), stored);

    sandbox.write("b.ndjson", many(12_500, 2));
    let changed = sandbox.json(&["import", "t", "b.ndjson"]);
    let [imported, replaced, unchanged, ..] = counts(&changed);
    assert_eq!((imported, imported + replaced + unchanged), (500, 12_500), "{changed}");
    assert_eq!(sandbox.documents("t").len(), 12_500);
    assert_eq!(sandbox.json(&["get", "t", "100"])["version"], 2);
    sandbox.ok(&["compact"]);
    let again = sandbox.ok(&["import", "t", "b.ndjson"]);
    assert!(again.contains("0 new, 0 replaced, 12,500 unchanged"), "{again}");
    assert_eq!(sandbox.json(&["query", "t", "--count"])["count"], 12_500);
    sandbox.ok(&["verify"]);
}

#[test]
fn how_many_documents_are_bulk_is_what_was_read_and_what_was_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write("few.ndjson", many(9_999, 1));
    sandbox.write("many.ndjson", many(10_000, 1));
    let large = "x".repeat(1 << 20);
    let lines: String = (0..17).map(|id| format!("{{\"id\":{id},\"x\":\"{large}\"}}\n")).collect();
    sandbox.write("large.ndjson", lines);
    sandbox.write("one.ndjson", "{\"id\":1}\n");
    for (table, arguments, bulk, commits) in [
        ("a", &["few.ndjson"][..], false, 1),
        ("b", &["many.ndjson"], true, 1),
        ("c", &["large.ndjson"], true, 1),
        ("d", &["one.ndjson", "--bulk"], true, 1),
        ("e", &["many.ndjson", "--batch-size", "4000"], false, 3),
    ] {
        let report = sandbox.json(&[&["import", table], arguments].concat());
        let found = (report["bulk"].as_bool(), report["commits"].as_u64());
        assert_eq!(found, (Some(bulk), Some(commits)), "{arguments:?}: {report}");
        assert_eq!(sandbox.documents(table).len() as u64, report["read"].as_u64().unwrap());
    }
    sandbox.run(&["import", "f", "one.ndjson", "--bulk", "--batch-size", "5"]).failed(2, &["--bulk", "--batch-size"]);
    assert!(sandbox.ok(&["import", "g", "one.ndjson", "--bulk"]).contains("1 commit of all at once in "));
}

/// The last document of a key counts, and what is stored must not make an earlier one of them the last.
#[test]
fn a_key_that_comes_again_in_a_bulk_import_is_the_last_one() {
    let sandbox = Sandbox::new();
    let filler = |from: u64| -> String { (from..from + 6_000).map(|id| format!("{{\"id\":{id}}}\n")).collect() };
    sandbox.ok(&["put", "t", r#"{"id":1000000,"n":2}"#]);
    let text = format!(
        "{{\"id\":1000000,\"n\":1}}\n{}{{\"id\":1000000,\"n\":2}}\n{}{{\"id\":6000,\"n\":3}}\n",
        filler(0),
        filler(6_000)
    );
    sandbox.write("a.ndjson", text);
    let report = sandbox.json(&["import", "t", "a.ndjson"]);
    assert_eq!((&report["bulk"], &report["duplicates"]), (&json!(true), &json!(2)), "{report}");
    assert_eq!((&report["imported"], &report["replaced"]), (&json!(12_000), &json!(1)), "{report}");
    assert_eq!(sandbox.json(&["get", "t", "1000000"])["n"], 2);
    assert_eq!(sandbox.json(&["get", "t", "6000"])["n"], 3);
    let report = sandbox.json(&["import", "t", "a.ndjson"]);
    assert_eq!(report["unchanged"], 11_999, "what has several documents is written again: {report}");
    assert_eq!(sandbox.json(&["get", "t", "1000000"])["n"], 2);
    assert_eq!(sandbox.json(&["query", "t", "--count"])["count"], 12_001);
}

#[test]
fn a_mistake_in_a_bulk_import_keeps_what_stands_before() {
    let sandbox = Sandbox::new();
    let mut text = many(11_000, 1);
    text.push_str("{\"id\": oops}\n");
    text.push_str(&many(11_000, 2));
    sandbox.write("a.ndjson", text);
    let error = sandbox.run(&["--json", "import", "t", "a.ndjson"]).json_error(1);
    assert_eq!((&error["line"], &error["stored"]), (&json!(11_001), &json!(11_000)), "{error}");
    assert_eq!(sandbox.documents("t").len(), 11_000);

    // Inserting: the same, at the first key that exists.
    sandbox.ok(&["put", "u", r#"{"id":7919}"#]);
    sandbox.write("b.ndjson", many(11_000, 1));
    let error = sandbox.run(&["--json", "import", "u", "b.ndjson", "--mode", "insert"]).json_error(1);
    assert_eq!((&error["kind"], &error["line"], &error["stored"]), (&json!("already_exists"), &json!(2), &json!(1)));
    assert_eq!(sandbox.documents("u"), [json!({"id": 0, "version": 1, "text": "0".repeat(32)}), json!({"id": 7919})]);
    let report = sandbox.json(&["import", "v", "b.ndjson", "--mode", "insert"]);
    assert_eq!((&report["imported"], &report["bulk"]), (&json!(11_000), &json!(true)), "{report}");
    let error = sandbox.run(&["--json", "import", "v", "b.ndjson", "--mode", "insert"]).json_error(1);
    assert_eq!((&error["line"], &error["stored"]), (&json!(1), &json!(0)), "{error}");
}

/// An import that is killed leaves nothing that is visible, and is simply run again.
#[cfg(unix)]
#[test]
fn an_interrupted_bulk_import_leaves_nothing_visible() {
    use std::io::Read;
    use std::process::Stdio;

    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "t", r#"{"id":-1}"#]);
    let text = many(30_000, 1);
    // It gets as much as makes it begin, and waits for the rest.
    let arguments = ["--max-memory", "8MiB", "import", "t", "-", "--input-format", "ndjson"];
    let mut command = sandbox.command(&arguments);
    command.env("BUCKETDB_URL", "file:db").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    let runs = sandbox.path("db/run");
    while !runs.exists() || names(&runs).is_empty() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        pause();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(sandbox.documents("t"), [json!({"id": -1})]);
    sandbox.ok(&["verify"]);
    let report = sandbox.feed(&["--json", "import", "t", "-", "--input-format", "ndjson"], &text).succeeded();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["imported"], &report["unchanged"]), (&json!(30_000), &json!(0)), "{report}");
    assert_eq!(sandbox.json(&["query", "t", "--count"])["count"], 30_001);
}

/// An import that is killed goes on behind what was saved, and what comes out is what one of one piece makes.
#[cfg(unix)]
#[test]
fn an_import_that_was_killed_goes_on_where_it_was_saved() {
    use std::process::Stdio;

    const RUNS: usize = 4;
    let sandbox = Sandbox::new();
    let filler = "x".repeat(1 << 20);
    let line = |place: u64| format!("{{\"id\":{},\"n\":{place},\"x\":\"{filler}\"}}\n", place * 7 % 151);
    let text: String = (0..200).map(line).collect();
    sandbox.write("whole.ndjson", &text);
    let whole = sandbox.json(&["import", "whole", "whole.ndjson"]);
    let expected = sandbox.documents("whole");
    let counts = |report: &Value| {
        ["read", "imported", "replaced", "unchanged", "duplicates", "commits"]
            .map(|name| report[name].as_u64().unwrap())
    };

    // It gets all but the last lines and waits for them, while somebody sees that it has saved.
    let input = ["import", "t", "-", "--input-format", "ndjson", "--resume", "nightly"];
    let mut command = sandbox.command(&[&["--max-memory", "8MiB"], &input[..]].concat());
    command.env("BUCKETDB_URL", "file:db").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&text.as_bytes()[..180 * (filler.len() + 20)]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sandbox.documents("t"), [] as [Value; 0]);
    assert!(names(&sandbox.path("db/run")).len() > RUNS);

    let other = sandbox.run(&["import", "u", "whole.ndjson", "--resume", "nightly"]);
    other.failed(2, &["nightly", "another table"]);
    let short = sandbox.feed(&input, &text[..100 * (filler.len() + 20)]);
    short.failed(1, &["nightly", "not the same input"]);
    let report = sandbox.feed(&[&["--json"], &input[..]].concat(), &text).succeeded();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!((128..180).contains(&report["resumed"].as_u64().unwrap()), "{report}");
    assert_eq!(counts(&report), counts(&whole));
    assert!(sandbox.documents("t") == expected, "it comes to something else");
    sandbox.ok(&["gc", "--sweep"]);
    sandbox.ok(&["verify"]);

    // Nothing is left to go on with.
    let again = sandbox.feed(&[&["--json"], &input[..]].concat(), &text).succeeded();
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["resumed"], 0);
}

#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "there is nothing to be woken by when another process has written a file"
)]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(2));
}
