//! One module for every command.

mod dispatch;

mod backup;
mod blob;
mod blob_folder;
mod blob_import;
mod branch;
mod compact;
mod computed;
mod databases;
mod delete;
mod demo;
mod demo_report;
mod doctor;
mod doctor_trial;
mod doctor_verdict;
mod drop_database;
mod export;
mod export_database;
mod export_sql;
mod found;
mod gc;
mod get;
mod import;
mod import_database;
mod index;
mod output_file;
mod pages;
mod patch;
mod put;
mod query;
mod rekey;
mod schema;
mod schema_history;
mod schema_infer;
mod snapshot;
mod stats;
mod table;
mod tables;
mod ttl;
mod update;
mod verify;
mod watch;

pub(crate) use dispatch::run;
