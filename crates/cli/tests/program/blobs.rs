//! Files in fields of documents.

use serde_json::json;

use crate::sandbox::{Sandbox, is_encrypted, names};

#[test]
fn a_file_goes_into_a_document_and_comes_back() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "people", r#"{"id":1,"name":"Ann"}"#]);
    let content: Vec<u8> = (0..9_000_000_u32).map(|at| (at / 3) as u8).collect();
    sandbox.write("photo", &content);
    sandbox.ok(&["blob", "put", "people", "1", "looks.photo", "photo"]);
    let put = sandbox.json(&["blob", "put", "people", "1", "looks.photo", "photo"]);
    assert_eq!((&put["bytes"], &put["key"]), (&json!(9_000_000), &json!("1")));
    let person = sandbox.json(&["get", "people", "1"]);
    assert_eq!(person, json!({"id": 1, "name": "Ann", "looks": {"photo": put["blob"]}}));
    let got = sandbox.command(&["blob", "get", "people", "1", "looks.photo"]).env("BUCKETDB_URL", "file:db").output();
    assert_eq!(got.unwrap().stdout, content);
    sandbox.write("copy", "what was there");
    assert_eq!(sandbox.ok(&["blob", "get", "people", "1", "looks.photo", "-o", "copy"]), "wrote 8.6 MiB to copy\n");
    assert_eq!(std::fs::read(sandbox.path("copy")).unwrap(), content);
    // What a link leads to is replaced, and a device is written to: neither becomes a file itself.
    std::os::unix::fs::symlink("copy", sandbox.path("link")).unwrap();
    std::os::unix::fs::symlink("/dev/null", sandbox.path("nothing")).unwrap();
    for name in ["link", "nothing"] {
        sandbox.ok(&["blob", "get", "people", "1", "looks.photo", "-o", name]);
        assert!(std::fs::symlink_metadata(sandbox.path(name)).unwrap().is_symlink(), "{name}");
    }
    assert_eq!(std::fs::read(sandbox.path("copy")).unwrap(), content);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());

    sandbox.feed(&["blob", "put", "people", "1", "note", "-"], "from a pipe").succeeded();
    assert_eq!(sandbox.ok(&["blob", "get", "people", "1", "note"]), "from a pipe");
    let note = sandbox.json(&["get", "people", "1"])["note"].as_str().unwrap().to_owned();
    let copied = json!({"id": 2, "note": note}).to_string();
    let refused = sandbox.run(&["--json", "put", "people", &copied]).json_error(1);
    assert_eq!(refused["kind"], "blob_taken", "{refused}");
    let reason = if is_encrypted() { "the object is encrypted" } else { "pre-signed URLs" };
    sandbox.run(&["blob", "url", "people", "1", "note"]).failed(1, &[reason]);
}

#[test]
fn nothing_is_uploaded_in_vain_and_what_was_is_swept() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["put", "people", r#"{"id":1,"name":"Ann"}"#]);
    sandbox.write("photo", "x");
    sandbox.run(&["blob", "put", "people", "2", "photo", "photo"]).failed(1, &["no document with key 2"]);
    sandbox.run(&["blob", "put", "people", "1", "a[0]", "photo"]).failed(2, &["list"]);
    sandbox.run(&["blob", "put", "people", "1", "photo", "nowhere"]).failed(1, &["nowhere"]);
    sandbox.run(&["blob", "get", "people", "1", "photo"]).failed(1, &["holds no blob"]);
    sandbox.run(&["blob", "get", "people", "1", "photo", "-o", "out"]).failed(1, &["holds no blob"]);
    assert!(!sandbox.path("out").exists());
    sandbox.ok(&["blob", "put", "people", "1", "photo", "photo"]);
    let blobs = names(&sandbox.path("db/blob"));
    assert_eq!(blobs.len(), 1, "{blobs:?}");
    // Of an upload whose process was killed.
    let orphan = "db/blob/00000000000000000001-00112233445566778899aabbccddeeff.object";
    std::fs::copy(sandbox.path("db/blob").join(&blobs[0]), sandbox.path(orphan)).unwrap();
    sandbox.ok(&["gc", "--sweep"]);
    assert_eq!(names(&sandbox.path("db/blob")), blobs);
    assert_eq!(sandbox.ok(&["blob", "get", "people", "1", "photo"]), "x");
    assert_eq!(sandbox.json(&["verify"])["findings"], json!([]));
}
