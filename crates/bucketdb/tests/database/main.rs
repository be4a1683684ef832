//! The database as applications use it.

mod batches;
mod collections;
mod damage;
mod feeds;
mod freshness;
mod model;
mod processes;
mod queries;
mod requests;
mod support;
mod tables;
