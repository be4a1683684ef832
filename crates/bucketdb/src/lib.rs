//! A document database whose only server is an object-storage bucket.
