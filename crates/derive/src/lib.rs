//! The derive macro behind bucketdb::Document.
