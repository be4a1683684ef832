//! Records of the log and the transactions in them: no bytes make the decoders panic or allocate what is not there.
#![no_main]

use bucketdb_documents::Transaction;
use bucketdb_log::DatabaseId;
use bucketdb_log::format::{Checksums, decode};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    // Checksums are zero in a fuzzer's build, so that it has only to find sixteen zeros.
    if let Ok(record) = decode(&bytes, "log/00000000000000000001", &Checksums::new(DatabaseId([7; 16]))) {
        for entry in record.entries {
            let _ = Transaction::decode(entry.payload);
        }
    }
    if let Ok(transaction) = Transaction::decode(bytes) {
        let again = Transaction::decode(transaction.encode()).unwrap();
        assert_eq!(again, transaction);
    }
});
