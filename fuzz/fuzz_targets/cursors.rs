//! Cursors of pages and of feeds, and what is remembered of a bulk load: no text makes them panic, and what is read prints as
//! it was.
#![no_main]

use bucketdb::{Cursor, PageCursor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>().ok(), Some(cursor));
    }
    if let Ok(cursor) = text.parse::<PageCursor>() {
        assert_eq!(cursor.to_string().parse::<PageCursor>().ok(), Some(cursor));
    }
});
