//! Drivers for S3-compatible stores, Google Cloud Storage and Azure Blob Storage.
