//! A driver that keeps objects in Redis or a Redis Cluster.
