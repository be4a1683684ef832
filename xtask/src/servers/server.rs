use anyhow::Result;

use crate::servers::site::{Server, Site};
use crate::servers::{azurite, ceph, localstack, postgresql, rclone, redis, redis_cluster};

/// Name of the key that the S3 servers know. It opens nothing but them, on this machine, for the length of a run.
pub(super) const ACCESS_KEY: &str = "AKIDTEST";
/// What belongs to [`ACCESS_KEY`].
pub(super) const SECRET_KEY: &str = "SECRETTEST";

/// A server that tests can run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum ServerKind {
    /// One Redis server.
    Redis,
    /// A Redis Cluster of three nodes.
    RedisCluster,
    /// Ceph's object gateway.
    Ceph,
    /// LocalStack's S3.
    Localstack,
    /// rclone serving S3, which ignores conditions.
    Rclone,
    /// The emulator of Azure Blob Storage.
    Azurite,
    /// PostgreSQL, and SQLite's program beside it.
    Postgresql,
}

impl ServerKind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Redis, Self::RedisCluster, Self::Ceph, Self::Localstack, Self::Rclone, Self::Azurite, Self::Postgresql];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::Ceph => "ceph",
            Self::Localstack => "localstack",
            Self::Rclone => "rclone",
            Self::Azurite => "azurite",
            Self::Postgresql => "postgresql",
        }
    }

    /// Installs what it needs, if need be, and starts it.
    pub(super) fn start(self, site: &Site<'_>) -> Result<Server> {
        match self {
            Self::Redis => redis::start(site),
            Self::RedisCluster => redis_cluster::start(site),
            Self::Ceph => ceph::start(site),
            Self::Localstack => localstack::start(site),
            Self::Rclone => rclone::start(site),
            Self::Azurite => azurite::start(site),
            Self::Postgresql => postgresql::start(site),
        }
    }
}
