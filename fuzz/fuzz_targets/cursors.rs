//! Cursors of pages and of feeds: no text makes them panic, and what is read prints as it was.
#![no_main]

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bucketdb::{Cursor, PageCursor};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    Text(String),
    /// What a cursor says, as text.
    Bytes(Vec<u8>),
}

fuzz_target!(|input: Input| {
    let text = match input {
        Input::Text(text) => text,
        Input::Bytes(bytes) => URL_SAFE_NO_PAD.encode(bytes),
    };
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>().ok(), Some(cursor));
    }
    if let Ok(cursor) = text.parse::<PageCursor>() {
        assert_eq!(cursor.to_string().parse::<PageCursor>().ok(), Some(cursor));
    }
});
