//! The servers that tests run against: what each needs, how it is installed without touching the system, how it is
//! started on a free loopback port, and how it is stopped.
//!
//! Nothing here needs root. Debian packages are downloaded and unpacked below `target/test-servers`, everything else
//! goes into virtual environments there. What a server writes goes into a temporary folder of the run.

mod azurite;
mod ceph;
mod debian;
mod fleet;
mod install;
mod localstack;
mod postgresql;
mod python;
mod rclone;
mod redis;
mod redis_cluster;
mod run_folder;
mod server;
mod site;

pub(crate) mod http;
pub(crate) mod valgrind;

pub(crate) use fleet::Fleet;
pub(crate) use server::ServerKind;
