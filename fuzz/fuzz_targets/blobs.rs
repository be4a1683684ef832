//! References to blobs, and whom blobs belong to: no bytes make the readers panic, what is read is written as it was, and a
//! reference is found wherever it stands.
#![no_main]

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bucketdb_documents::{
    Blob, BlobClaim, ClaimRow, EncodedKey, KeyPart, KeyType, Layouts, MAX_BLOB_BYTES, Schema, TableId, blob_name,
    blobs_in, blobs_of_row, new_blob, row,
};
use bucketdb_log::{DatabaseId, Layout, ObjectKind, Seq};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    text: String,
    /// What the letters of a reference say.
    stored: [u8; 36],
    stored_end: [u8; 36],
    upload: Upload,
    claim: Claim,
    around: (String, String),
}

#[derive(Arbitrary, Debug)]
struct Upload {
    seq: u64,
    id: [u8; 16],
    len: u64,
    hash: [u8; 32],
}

#[derive(Arbitrary, Debug)]
struct Claim {
    table: u32,
    key: Vec<u8>,
    is_released: bool,
}

const DATABASE: DatabaseId = DatabaseId([7; 16]);

/// A text of the one length that a reference has.
const TEXT_BYTES: usize = 5 + 96;

fuzz_target!(|input: Input| {
    search(&input.bytes);
    search(input.text.as_bytes());
    parse(&input.text);
    let letters = format!("blob:{}", URL_SAFE_NO_PAD.encode([input.stored, input.stored_end].concat()));
    parse(&letters);
    uploaded(&input.upload, &input.around);
    if let Some(blob) = new_blob(DATABASE, &input.text, input.upload.len, input.upload.hash) {
        assert_eq!(blob_name(&blob), input.text);
    }
    claims(Bytes::from(input.bytes), &input.claim, input.text);
});

/// What looks like a reference stands there as it is printed; and of each that a row has there is one.
fn search(bytes: &[u8]) {
    let found: Vec<Blob> = blobs_in(bytes).collect();
    for blob in &found {
        assert!(blob.len() <= MAX_BLOB_BYTES);
        assert!(bytes.windows(TEXT_BYTES).any(|window| window == blob.to_string().as_bytes()), "{blob}");
    }
    let of_row = blobs_of_row(bytes, DATABASE);
    for (index, blob) in of_row.iter().enumerate() {
        assert!(blob.is_of(DATABASE) && found.contains(blob) && !of_row[..index].contains(blob), "{blob}");
    }
    assert!(found.iter().all(|blob| !blob.is_of(DATABASE) || of_row.contains(blob)));
}

/// A text is a reference in one form only, alone, in JSON, and among other bytes.
fn parse(text: &str) {
    let parsed = text.parse::<Blob>();
    let json = Value::String(text.to_owned());
    assert_eq!(serde_json::from_value::<Blob>(json).ok(), parsed.clone().ok());
    match parsed {
        Ok(blob) => {
            assert_eq!(blob.to_string(), text);
            assert_eq!(serde_json::to_value(blob).unwrap(), text);
            assert_eq!(blobs_in(text.as_bytes()).collect::<Vec<_>>(), [blob]);
        }
        Err(_) => assert!(text.len() != TEXT_BYTES || blobs_in(text.as_bytes()).next().is_none(), "{text}"),
    }
}

fn uploaded(upload: &Upload, (before, behind): &(String, String)) {
    let name = Layout::unique_name(ObjectKind::Blob, Seq(upload.seq), upload.id);
    let blob = new_blob(DATABASE, &name, upload.len, upload.hash);
    assert_eq!(blob.is_some(), upload.len <= MAX_BLOB_BYTES);
    let Some(blob) = blob else { return };
    assert_eq!((blob.len(), blob.hash(), blob_name(&blob)), (upload.len, upload.hash, name));
    assert!(blob.is_of(DATABASE));
    assert_eq!(blob.to_string().parse(), Ok(blob));
    let text = format!("{before}{blob}{behind}");
    assert!(blobs_of_row(text.as_bytes(), DATABASE).contains(&blob), "{text}");
    let layouts = Layouts::of_schema(&Schema::open("t", "id", KeyType::Text));
    let document = json!({"id": before, "texts": [{"text": text}]});
    let row = row::encode(&document, &layouts).unwrap();
    assert!(blobs_of_row(&row, DATABASE).contains(&blob), "{document}");
    let claim = ClaimRow::of(&blob);
    let key = claim.key().unwrap();
    assert_eq!(ClaimRow::of_key(&key), Some(claim));
}

fn claims(bytes: Bytes, claim: &Claim, name: String) {
    if let Ok(claim) = BlobClaim::decode(bytes.clone()) {
        assert_eq!(BlobClaim::decode(claim.encode()), Ok(claim));
    }
    if let Some((key, row)) =
        EncodedKey::from_bytes(bytes).ok().and_then(|key| Some((key.clone(), ClaimRow::of_key(&key)?)))
    {
        assert_eq!(row.key(), Some(key));
    }
    let table = TableId(claim.table);
    if let Ok(key) = EncodedKey::new(&[KeyPart::Bytes(claim.key.clone())]) {
        let claim = BlobClaim { table, key, is_released: claim.is_released };
        assert_eq!(BlobClaim::decode(claim.encode()), Ok(claim));
    }
    for row in [ClaimRow::Claim(name.clone()), ClaimRow::Released(name), ClaimRow::Table(table)] {
        if let Some(key) = row.key() {
            assert_eq!(ClaimRow::of_key(&key), Some(row));
        }
    }
}
