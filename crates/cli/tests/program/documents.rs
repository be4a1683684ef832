//! Single documents, queries and what a database tells about itself.

use crate::sandbox::{Sandbox, lines};
use serde_json::{Value, json};

fn with_people() -> Sandbox {
    let sandbox = Sandbox::new();
    for document in [
        r#"{"id":"ann","age":41,"tags":["a","b"],"address":{"city":"Bern"}}"#,
        r#"{"id":"bob","age":17,"address":{"city":"Zürich"}}"#,
        r#"{"id":"eve","age":65,"tags":[],"note":null}"#,
    ] {
        sandbox.ok(&["put", "people", document]);
    }
    sandbox
}

#[test]
fn documents_are_put_got_and_deleted() {
    let sandbox = with_people();
    assert_eq!(sandbox.json(&["get", "people", "eve"]), json!({"id": "eve", "age": 65, "tags": [], "note": null}));
    assert_eq!(sandbox.json(&["put", "people", r#"{"id":"eve","age":66}"#])["table"], "people");
    assert_eq!(sandbox.json(&["get", "people", "eve"])["age"], 66);
    assert!(sandbox.ok(&["get", "people", "eve"]).contains("\n  \"age\": 66\n"), "indented for people");

    sandbox.run(&["put", "people", "--insert", r#"{"id":"eve"}"#]).failed(1, &["people", "\"eve\"", "already"]);
    assert_eq!(sandbox.json(&["get", "people", "eve"])["age"], 66);

    assert_eq!(sandbox.ok(&["delete", "people", "ann", "bob"]), "deleted 2 documents from people\n");
    sandbox.run(&["get", "people", "ann"]).failed(1, &["people", "ann"]);
    sandbox.run(&["delete", "people", "eve", "ann"]).failed(1, &["ann"]);
    assert_eq!(sandbox.documents("people").len(), 1, "a missing key must be found before anything is deleted");
    assert_eq!(sandbox.ok(&["delete", "people", "eve", "eve"]), "deleted 1 document from people\n");
}

#[test]
fn documents_come_from_standard_input() {
    let sandbox = Sandbox::new();
    sandbox.feed(&["put", "t"], r#"{"id": 7}"#).succeeded();
    sandbox.feed(&["put", "t", "-"], r#"{"id": 8}"#).succeeded();
    assert_eq!(sandbox.documents("t"), [json!({"id": 7}), json!({"id": 8})]);
    assert_eq!(sandbox.json(&["get", "t", "8"]), json!({"id": 8}));
}

#[test]
fn keys_can_have_other_names_and_several_fields() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "seats", "--key", "row,number", r#"{"row":"A","number":3,"who":"ann"}"#]);
    sandbox.ok(&["put", "seats", r#"{"row":"A","number":4}"#]);
    assert_eq!(sandbox.json(&["get", "seats", r#"["A", 3]"#])["who"], "ann");
    assert_eq!(sandbox.json(&["tables"])[0]["key"], json!(["row", "number"]));
    sandbox.run(&["put", "seats", "--key", "row", "{}"]).failed(2, &["row,number", "--key"]);
    sandbox.ok(&["delete", "seats", r#"["A", 3]"#]);
    assert_eq!(sandbox.documents("seats").len(), 1);
}

#[test]
fn what_cannot_be_a_document_or_a_key_is_wrong_usage() {
    let sandbox = with_people();
    sandbox.run(&["put", "people", "{"]).failed(2, &["not JSON"]);
    sandbox.run(&["put", "people", "[1]"]).failed(2, &["must be a JSON object"]);
    sandbox.run(&["put", "people", r#"{"age": 1}"#]).failed(2, &["people", "\"id\"", "missing"]);
    sandbox.run(&["put", "people", r#"{"id": 1}"#]).failed(2, &["people", "1 is not of type text"]);
    sandbox.run(&["put", "new", r#"{"id": 1.5}"#]).failed(2, &["new", "\"id\""]);
    sandbox.run(&["put", "no name", r#"{"id": 1}"#]).failed(2, &["\"no name\""]);
    sandbox.run(&["get", "nobody", "x"]).failed(1, &["no table nobody"]);
    sandbox.ok(&["put", "numbers", r#"{"id": 1}"#]);
    sandbox.run(&["get", "numbers", "x"]).failed(2, &["numbers", "\"x\" is not of type integer"]);
    sandbox.run(&["delete", "numbers", "x"]).failed(2, &["numbers", "\"x\" is not of type integer"]);
}

#[test]
fn queries_filter_order_and_select() {
    let sandbox = with_people();
    let ids = |arguments: &[&str]| {
        let found = sandbox.json(&[&["query", "people"], arguments].concat());
        found.as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), ["ann", "bob", "eve"]);
    assert_eq!(ids(&["--where", "age >= 18", "--where", "tags exists"]), ["ann", "eve"]);
    assert_eq!(ids(&["--order", "age desc", "--limit", "2"]), ["eve", "ann"]);
    assert_eq!(ids(&["--offset", "1", "--strict"]), ["bob", "eve"]);
    let selected = sandbox.json(&["query", "people", "--select", "address.city", "--where", "id = 'bob'"]);
    assert_eq!(selected, json!([{"address": {"city": "Zürich"}}]));
    assert_eq!(sandbox.ok(&["query", "people", "--count", "--where", "age < 50"]), "2\n");
    assert_eq!(sandbox.json(&["query", "people", "--count"]), json!({"count": 3}));
}

#[test]
fn sums_and_groups_are_computed() {
    let sandbox = with_people();
    let rows = |arguments: &[&str]| sandbox.json(&[&["query", "people"], arguments].concat());
    let ages: Vec<u64> = rows(&[]).as_array().unwrap().iter().map(|person| person["age"].as_u64().unwrap()).collect();
    let sum: u64 = ages.iter().sum();
    assert_eq!(rows(&["--sum", "age", "--count"]), json!({"count": 3, "sum(age)": sum}));
    assert_eq!(rows(&["--max", "age", "--min", "id"]), json!({"min(id)": "ann", "max(age)": ages.iter().max()}));
    assert_eq!(rows(&["--sum", "age", "--limit", "2"]), json!({"sum(age)": ages[0] + ages[1]}), "of two documents");
    let tags = rows(&["--group-by", "tags[*]", "--count", "--order", "count desc, tags[*]", "--limit", "5"]);
    let tags = tags.as_array().unwrap();
    assert!(tags.len() > 1 && tags.iter().all(|tag| tag["tags[*]"].is_string()), "{tags:?}");
    assert!(tags.is_sorted_by(|first, second| first["count"].as_u64() >= second["count"].as_u64()), "{tags:?}");
    let csv = sandbox.ok(&["query", "people", "--group-by", "id", "--sum", "age", "--format", "csv", "--offset", "2"]);
    assert_eq!(csv, format!("id,sum(age)\neve,{}\n", ages[2]));
    let distinct = sandbox.ok(&["query", "people", "--distinct", "id", "--order", "id desc", "--format", "ndjson"]);
    assert_eq!(distinct, "{\"id\":\"eve\"}\n{\"id\":\"bob\"}\n{\"id\":\"ann\"}\n");
    assert_eq!(rows(&["--sum", "age", "--where", "false"]), json!({"sum(age)": 0}));
    assert_eq!(rows(&["--group-by", "id", "--where", "false"]), json!([]));
    let explained = rows(&["--avg", "age", "--explain"]);
    assert_eq!((&explained["found"], &explained["plan"]["covering"]), (&json!(1), &json!(false)), "{explained}");
    sandbox.run(&["query", "people", "--sum", "a b"]).failed(2, &["--sum", "column 3"]);
    sandbox.run(&["query", "people", "--sum", "age", "--select", "id"]).failed(2, &["--select"]);
    sandbox.run(&["query", "people", "--sum", "id"]).failed(1, &["\"ann\"", "field id is \"ann\""]);
    let order = ["query", "people", "--group-by", "id", "--order", "age"];
    sandbox.run(&order).failed(2, &["--order", "no column age; it has id"]);
}

#[test]
fn columns_have_names_of_their_own() {
    let sandbox = with_people();
    let (odd, quoted) = (r#"{"id": "odd", "odd name": 7, "count": 3}"#, r#""odd name""#);
    sandbox.ok(&["put", "people", odd]);
    let query = ["query", "people", "--group-by", quoted, "--count", "--order", r#""odd name" desc"#];
    assert_eq!(sandbox.json(&query)[0], json!({ quoted: 7, "count": 1 }));
    let query = ["query", "people", "--group-by", "tags[*]", "--sum", "age", "--order", r#""sum(age)""#];
    assert!(sandbox.json(&query).is_array());
    sandbox.run(&["query", "people", "--group-by", "count", "--count"]).failed(2, &["two columns count"]);
    assert_eq!(sandbox.json(&["query", "people", "--group-by", "count", "--sum", "age"])[0]["count"], json!(null));
    sandbox.run(&["query", "people", "--page-size", "0"]).failed(2, &["--page-size"]);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let sandbox = with_people();
    let page = |arguments: &[&str]| sandbox.json(&[&["query", "people", "--order", "age"], arguments].concat());
    let first = page(&["--page-size", "2"]);
    let next = first["next"].as_str().unwrap();
    let second = page(&["--page-size", "2", "--after", next]);
    let whole = page(&[]);
    let both = [first["documents"].as_array().unwrap().as_slice(), second["documents"].as_array().unwrap()].concat();
    assert_eq!((json!(both), &second["next"]), (whole, &json!(null)));
    let run = sandbox.run(&["query", "people", "--order", "age", "--page-size", "1", "--format", "ndjson"]);
    assert_eq!(run.stdout.lines().count(), 1);
    assert!(run.stderr.starts_with("next page: --after "), "{run:?}");
    sandbox.run(&["query", "people", "--page-size", "2", "--after", next]).failed(1, &["another query"]);
    sandbox.run(&["query", "people", "--page-size", "2", "--after", "x"]).failed(2, &["--after"]);
    sandbox.run(&["query", "people", "--after", next]).failed(2, &["--page-size"]);
}

#[test]
fn results_have_four_formats() {
    let sandbox = with_people();
    let query = |format| sandbox.ok(&["query", "people", "--select", "id, age", "--limit", "2", "--format", format]);
    assert_eq!(query("table"), "| id  | age |\n|-----|-----|\n| ann |  41 |\n| bob |  17 |\n");
    assert_eq!(query("csv"), "id,age\nann,41\nbob,17\n");
    assert_eq!(query("json"), "[\n{\"id\":\"ann\",\"age\":41},\n{\"id\":\"bob\",\"age\":17}\n]\n");
    assert_eq!(query("ndjson"), "{\"id\":\"ann\",\"age\":41}\n{\"id\":\"bob\",\"age\":17}\n");
    let csv = sandbox.ok(&["query", "people", "--format", "csv"]);
    assert_eq!(csv.lines().next(), Some("id,age,tags,address,note"), "a field that turns up late has a column too");
    assert_eq!(sandbox.ok(&["query", "people", "--where", "false"]), "no documents\n");
}

#[test]
fn documents_are_changed_and_removed_by_what_is_in_them() {
    let sandbox = with_people();
    assert_eq!(
        sandbox.ok(&["update", "people", "--where", "age < 60", "--set", "age=50", "--set", r#"address.zip="3000""#]),
        "updated 2 documents of people\n"
    );
    let updated = sandbox.json(&["update", "people", "--where", "true", "--patch", r#"{"note":null}"#, "--in-pieces"]);
    assert_eq!(updated, json!({"table": "people", "updated": 3}));
    let documents = sandbox.documents("people");
    assert_eq!((&documents[0]["age"], &documents[1]["address"]["zip"]), (&json!(50), &json!("3000")));
    assert!(documents.iter().all(|document| document.get("note").is_none()));
    let patched = sandbox.json(&["patch", "people", "bob", r#"{"age": 7, "address": null}"#]);
    assert_eq!(patched["document"], json!({"id": "bob", "age": 7}));

    let run = |arguments: &[&str], code, part| sandbox.run(arguments).failed(code, &[part]);
    run(&["update", "people", "--where", "true", "--set", "role=admin"], 2, "double quotes");
    run(&["update", "people", "--where", "true", "--set", "id=1"], 2, "invalid key");
    run(&["update", "people", "--where", "true"], 2, "--set");
    run(&["update", "people", "--set", "age=1"], 2, "--where");
    run(&["update", "nobody", "--where", "true", "--set", "age=1"], 1, "no table nobody");
    run(&["patch", "people", "zoe", "{}"], 1, "no document with key \"zoe\"");
    run(&["patch", "people", "bob", "[]"], 2, "must be a JSON object");
    run(&["delete", "people"], 2, "--where");
    run(&["delete", "people", "bob", "--where", "true"], 2, "--where");
    run(&["delete", "people", "bob", "--limit", "1"], 2, "--limit");
    run(&["delete", "people", "--where", "age =~ 3"], 2, "column 5");

    let oldest = ["delete", "people", "--where", "age > 0", "--order", "age desc", "--limit", "1"];
    assert_eq!(sandbox.json(&oldest), json!({"table": "people", "deleted": 1}));
    assert_eq!(sandbox.ok(&["delete", "people", "--where", "true"]), "deleted 2 documents from people\n");
    assert_eq!(sandbox.ok(&["query", "people", "--count"]), "0\n");
}

#[test]
fn a_filter_that_is_not_understood_points_at_the_place() {
    let sandbox = Sandbox::new();
    // The database does not even exist: the filter is read first.
    let run = sandbox.run(&["query", "people", "--where", "age =~ 3"]);
    run.failed(2, &["--where", "unknown operator \"=~\" at column 5", "\n  age =~ 3\n      ^\n"]);
    let error = sandbox.run(&["--json", "query", "people", "--order", "age sideways"]).json_error(2);
    assert_eq!((error["kind"].as_str(), error["option"].as_str()), (Some("parse"), Some("--order")));
    assert!(error["column"].is_u64());
}

#[test]
fn tables_and_stats_tell_what_is_there() {
    let sandbox = with_people();
    let tables = sandbox.json(&["tables"]);
    assert_eq!((tables[0]["name"].as_str(), tables[0]["documents"].as_u64()), (Some("people"), Some(3)));
    let shown = sandbox.ok(&["tables"]);
    assert!(shown.contains("| people") && !shown.contains('\u{1b}'), "{shown}");

    let stats = sandbox.json(&["stats"]);
    assert_eq!((stats["position"].as_u64(), stats["objects"].as_u64()), (Some(5), Some(5)));
    assert!(stats["requests"]["get"]["requests"].as_u64() >= Some(2) && stats["requests"].get("put").is_none());
    assert!(stats["requests"]["get"]["p99_ms"].is_f64());
    let s3 = &stats["prices"][0];
    assert!(s3["store"].as_str().unwrap().contains("S3") && s3["usd"]["this command"].as_f64().unwrap() > 0.0, "{s3}");
    assert!(sandbox.ok(&["stats"]).contains("Requests of this command"));

    sandbox.write(
        "prices.json",
        r#"[{"store": "Mine", "date": "2026-01", "source": "me", "put_per_1000_usd": 0,
        "list_per_1000_usd": 0, "get_per_1000_usd": 1000, "gb_month_usd": 0}]"#,
    );
    let mine = sandbox.json(&["stats", "--prices", "prices.json"]);
    let gets = mine["requests"]["get"]["requests"].as_f64().unwrap();
    assert_eq!(mine["prices"][0]["usd"]["this command"].as_f64(), Some(gets));
    sandbox.run(&["stats", "--prices", "no.json"]).failed(1, &["no.json"]);
}

#[test]
fn changes_are_watched_from_any_place() {
    let sandbox = with_people();
    sandbox.ok(&["put", "numbers", r#"{"id": 18446744073709551615}"#]);
    sandbox.ok(&["delete", "people", "bob"]);
    let all = lines(&sandbox.ok(&["watch"]));
    let seen: Vec<_> = all.iter().map(|change| (change["kind"].as_str().unwrap(), change["key"].clone())).collect();
    let put = |key: Value| ("put", key);
    let expected =
        [put(json!("ann")), put(json!("bob")), put(json!("eve")), put(json!(u64::MAX)), ("delete", json!("bob"))];
    assert_eq!(seen, expected);
    assert_eq!(all[0]["document"]["address"]["city"], "Bern");
    assert!(all[0]["time"].as_str().unwrap().ends_with('Z'));

    let rest = |since: &str| lines(&sandbox.ok(&["watch", "--since", since]));
    assert_eq!(rest(all[1]["cursor"].as_str().unwrap()), all[2..]);
    assert_eq!(rest(&all[3]["seq"].to_string()), all[4..]);
    assert!(rest("now").is_empty());
    assert_eq!(lines(&sandbox.ok(&["watch", "numbers"])), [all[3].clone()]);
    sandbox.run(&["watch", "nobody"]).failed(1, &["no table nobody"]);
    sandbox.run(&["watch", "--since", "yesterday"]).failed(2, &["yesterday"]);
    sandbox.run(&["watch", "--since", "1000"]).failed(1, &["the log ends at position 8"]);
}

#[test]
fn what_was_loaded_in_bulk_is_watched_from_any_place() {
    let sandbox = with_people();
    let numbers: Vec<u64> = (0..10_000).map(|place| place * 7_919 % 10_000).collect();
    let documents: Vec<String> = numbers.iter().map(|id| format!("{{\"id\": {id}}}")).collect();
    sandbox.write("a.ndjson", documents.join("\n"));
    assert_eq!(sandbox.json(&["import", "numbers", "a.ndjson"])["commits"], 1);
    sandbox.ok(&["put", "numbers", r#"{"id": 5, "again": true}"#]);
    let all = lines(&sandbox.ok(&["watch", "numbers"]));
    let keys: Vec<u64> = all.iter().map(|change| change["key"].as_u64().unwrap()).collect();
    assert_eq!(keys, (0..10_000).chain([5]).collect::<Vec<_>>());
    assert!(all[1..10_000].iter().all(|change| change["seq"] == all[0]["seq"] && change["kind"] == "put"));
    assert_eq!((&all[7]["document"], &all[7]["previous"]), (&json!({"id": 7}), &Value::Null));
    assert!(all[7].as_object().unwrap().contains_key("previous"));
    assert_eq!(all[10_000]["previous"], json!({"id": 5}));
    for place in [0, 4_999, 9_998, 9_999] {
        let rest = lines(&sandbox.ok(&["watch", "--since", all[place]["cursor"].as_str().unwrap()]));
        assert_eq!(rest, all[place + 1..], "{place}");
    }
}

#[cfg(unix)]
#[test]
fn following_ends_with_ctrl_c_and_tells_where_to_go_on() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let sandbox = with_people();
    let mut watch = sandbox.command(&["watch", "people", "--follow", "--since", "now"]);
    watch.env("BUCKETDB_URL", "file:db").stdout(Stdio::piped()).stderr(Stdio::piped());
    // A change is only new to a watcher that has opened the database; the first of several is certain to be followed
    // by one that is.
    let mut child = watch.spawn().unwrap();
    let mut seen = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        seen.read_line(&mut line).unwrap();
        (line, seen)
    });
    let mut written = 0;
    while !reader.is_finished() {
        written += 1;
        assert!(written < 1000, "no change was ever seen");
        sandbox.ok(&["put", "people", r#"{"id":"zoe"}"#]);
    }
    let (line, mut seen) = reader.join().unwrap();
    assert_eq!(lines(&line)[0]["key"], "zoe");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    seen.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{message}");
    let cursor = message.trim_end().rsplit(' ').next().unwrap();
    assert!(message.starts_with("stopped; go on with --since "), "{message}");
    let given = 1 + rest.lines().count();
    let left = lines(&sandbox.ok(&["watch", "people", "--since", cursor])).len();
    let first = lines(&line)[0]["seq"].as_u64().unwrap();
    let all = lines(&sandbox.ok(&["watch", "people", "--since", &(first - 1).to_string()])).len();
    assert_eq!(given + left, all, "nothing may be lost or given twice");
}

#[test]
fn the_past_can_be_read_by_position_and_by_time() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "people", r#"{"id": 1, "age": 20}"#]);
    sandbox.ok(&["put", "people", r#"{"id": 1, "age": 21}"#]);
    sandbox.ok(&["put", "people", r#"{"id": 2, "age": 22}"#]);
    let changes = lines(&sandbox.ok(&["watch"]));
    assert_eq!(changes[0]["previous"], Value::Null);
    assert!(changes[0].as_object().unwrap().contains_key("previous"));
    assert_eq!(changes[1]["previous"], json!({"id": 1, "age": 20}));
    let seq = changes[0]["seq"].to_string();
    let then = lines(&sandbox.ok(&["query", "people", "--at", &seq, "--format", "ndjson"]));
    assert_eq!(then, [json!({"id": 1, "age": 20})]);
    assert!(sandbox.ok(&["get", "people", "1", "--at", &seq]).contains("20"));
    sandbox.run(&["get", "people", "2", "--at", &seq]).failed(1, &["no document with key 2"]);
    let time = changes[2]["time"].as_str().unwrap();
    assert_eq!(sandbox.ok(&["query", "people", "--at", time, "--count"]).trim(), "2");
    sandbox.run(&["query", "people", "--at", "1000"]).failed(1, &["the log ends at position"]);
    sandbox.run(&["query", "people", "--at", "2001-01-01"]).failed(1, &["created after that time"]);
    sandbox.run(&["query", "people", "--at", "9001-01-01"]).failed(1, &["lies in the future"]);
    sandbox.run(&["query", "people", "--at", "yesterday"]).failed(1, &["no snapshot named \"yesterday\""]);
    sandbox.run(&["query", "people", "--at", "2", "--strict"]).failed(2, &["--strict"]);
}

#[test]
fn a_snapshot_is_read_by_its_name_until_that_is_dropped() {
    let sandbox = with_people();
    let count = |at: &[&str]| sandbox.ok(&[&["query", "people", "--count"], at].concat()).trim().to_owned();
    let before = count(&[]);
    let created = sandbox.json(&["snapshot", "create", "first"]);
    sandbox.run(&["snapshot", "create", "first"]).failed(1, &["\"first\"", "already"]);
    for name in ["7", "2026-01-01"] {
        sandbox.run(&["snapshot", "create", name]).failed(2, &["choose another name"]);
    }
    sandbox.ok(&["delete", "people", "--where", "age > 0"]);
    sandbox.ok(&["compact"]);
    assert_ne!(count(&[]), before);
    assert_eq!(count(&["--at", "first"]), before);
    assert_eq!(sandbox.json(&["snapshot", "list"]), json!([created]));
    sandbox.ok(&["snapshot", "drop", "first"]);
    sandbox.run(&["snapshot", "drop", "first"]).failed(1, &["no snapshot named \"first\""]);
    assert_eq!(sandbox.ok(&["snapshot", "list"]).trim(), "no snapshots");
}

#[test]
fn indexes_are_created_used_shown_and_dropped() {
    let sandbox = with_people();
    let created = sandbox.json(&["index", "create", "people", "address.city, age desc"]);
    assert_eq!((&created["index"], &created["done"]), (&json!("address.city, age desc"), &json!("created")));
    sandbox.run(&["index", "create", "people", "note.", "--unique"]).failed(2, &["note.", "does not read"]);
    sandbox.ok(&["index", "create", "people", "age", "--unique"]);
    let schema = sandbox.json(&["schema", "people"]);
    assert_eq!(schema["indexes"][0]["fields"], "address.city, age desc");
    assert_eq!(schema["indexes"][1]["unique"], true);
    assert!(schema["indexes"].as_array().unwrap().iter().all(|index| index["usable"] == true), "{schema}");
    assert!(sandbox.ok(&["schema", "people"]).contains("address.city, age desc"));

    sandbox
        .run(&["put", "people", r#"{"id":"ned","age":17}"#])
        .failed(1, &["people", "\"ned\"", "\"bob\"", "age is unique"]);
    let explained = sandbox.json(&["query", "people", "--where", "age = 17", "--explain"]);
    assert_eq!((&explained["found"], &explained["plan"]["documents"]), (&json!(1), &json!(3)));
    assert_eq!(explained["alternatives"][0]["by"], "unique index on age, age given");
    // What is shown of documents is part of how they are read.
    let explained = sandbox.json(&["query", "people", "--select", "id", "--explain"]);
    assert_eq!(explained["found"], json!(3));
    let text = sandbox.ok(&["query", "people", "--where", "id = \"bob\"", "--explain"]);
    assert!(
        text.contains("reads by the primary key: about 1 documents") && text.contains("found 1 document"),
        "{text}"
    );

    sandbox.ok(&["index", "drop", "people", "age"]);
    sandbox.run(&["index", "drop", "people", "age"]).failed(1, &["people", "no index on age"]);
    sandbox.ok(&["put", "people", r#"{"id":"ned","age":17}"#]);
    sandbox.ok(&["verify"]);
}
