//! Where their data is: `redis`, `database`, `enhancedClient`.

use super::{ANY_COUNT, ANY_NUMBER, Foreign, holds, later, never, part, same};
use crate::key::Kind::{Any, Flag, OneOf, Secret, Text, Url, Urls};
use crate::key::{MILLIS, count};
use crate::keys::{POSTGRES, REDIS};

const BY_MONTH: &str = "partitions are made by month as events come, see docs/postgresql.md";

pub(super) const KEYS: &[Foreign] = &[
    part("redis.host", Text, "queue.url"),
    part("redis.port", count(1, 65_535, ""), "queue.url"),
    part("redis.password", Secret, "queue.url"),
    part("redis.db", count(0, 65_535, ""), "queue.url"),
    part("redis.cluster.enabled", Flag, "queue.url"),
    same("redis.url", Url(REDIS), "queue.url"),
    later("redis.connectTimeout", MILLIS),
    later("redis.commandTimeout", MILLIS),
    never(
        "redis.maxRetriesPerRequest",
        ANY_COUNT,
        "what is not acknowledged is asked again, without end",
    ),
    later("redis.retryDelayOnFailover", MILLIS),
    never(
        "redis.enableOfflineQueue",
        Flag,
        "events wait on disk while Redis is away: ingest.spoolBytesMax",
    ),
    holds(
        "redis.enableAutoPipelining",
        Flag,
        &["true"],
        "commands to Redis are always pipelined",
    ),
    holds(
        "redis.pipelining.enabled",
        Flag,
        &["true"],
        "commands to Redis are always pipelined",
    ),
    never(
        "redis.pipelining.batchSize",
        ANY_COUNT,
        "what a batch needs goes in one pipeline: batch.deliveries",
    ),
    same("database.url", Url(POSTGRES), "store.url"),
    same("database.connectionString", Url(POSTGRES), "store.url"),
    part(
        "database.poolSize",
        count(1, 10_000, ""),
        "store.maxConnections",
    ),
    same(
        "database.connectionTimeout",
        MILLIS,
        "store.connectTimeoutMs",
    ),
    same("database.queryTimeout", MILLIS, "store.statementTimeoutMs"),
    part("database.ssl", Flag, "store.url"),
    never(
        "database.maxConnectionAttempts",
        ANY_COUNT,
        "a connection is tried again without end",
    ),
    same(
        "enhancedClient.connectionString",
        Url(POSTGRES),
        "store.url",
    ),
    part(
        "enhancedClient.maxConnections",
        count(1, 10_000, ""),
        "store.maxConnections",
    ),
    same(
        "enhancedClient.connectionPool.url",
        Url(POSTGRES),
        "store.url",
    ),
    part(
        "enhancedClient.connectionPool.maxConnections",
        count(1, 10_000, ""),
        "store.maxConnections",
    ),
    part("enhancedClient.connectionPool.ssl", Flag, "store.url"),
    never(
        "enhancedClient.connectionPool.minConnections",
        ANY_COUNT,
        "connections are made when they are needed",
    ),
    later("enhancedClient.connectionPool.idleTimeout", MILLIS),
    later("enhancedClient.connectionPool.acquireTimeout", MILLIS),
    later("enhancedClient.connectionPool.validationQuery", Text),
    later("enhancedClient.connectionPool.validateConnections", Flag),
    never(
        "enhancedClient.connectionPool.retryAttempts",
        ANY_COUNT,
        "a connection is tried again without end",
    ),
    later("enhancedClient.connectionPool.retryDelay", MILLIS),
    later("enhancedClient.connectionPooling.adaptive", Flag),
    later("enhancedClient.connectionPooling.monitoringEnabled", Flag),
    later("enhancedClient.queryCacheFactory", Any),
    part(
        "enhancedClient.replication.enabled",
        Flag,
        "store.replicaUrl",
    ),
    part(
        "enhancedClient.replication.readReplicas",
        Urls(POSTGRES),
        "store.replicaUrl",
    ),
    never(
        "enhancedClient.replication.routingStrategy",
        Text,
        "there is one address for searches: store.replicaUrl",
    ),
    holds(
        "enhancedClient.replication.fallbackToMaster",
        Flag,
        &["true"],
        "the primary serves searches while the replica is away",
    ),
    holds(
        "enhancedClient.partitioning.enabled",
        Flag,
        &["true"],
        BY_MONTH,
    ),
    holds(
        "enhancedClient.partitioning.partitionBy",
        Text,
        &["month", "monthly"],
        BY_MONTH,
    ),
    holds(
        "enhancedClient.partitioning.strategy",
        OneOf(&["range", "hash", "list"]),
        &["range"],
        BY_MONTH,
    ),
    holds(
        "enhancedClient.partitioning.interval",
        OneOf(&["monthly", "quarterly", "yearly"]),
        &["monthly"],
        BY_MONTH,
    ),
    holds(
        "enhancedClient.partitioning.automaticCreation",
        Flag,
        &["true"],
        BY_MONTH,
    ),
    later("enhancedClient.partitioning.parallelPartitions", ANY_COUNT),
    later("enhancedClient.partitioning.retentionMonths", ANY_COUNT),
    later("enhancedClient.partitioning.retentionDays", ANY_COUNT),
    later("enhancedClient.partitioning.compressionEnabled", Flag),
    later(
        "enhancedClient.partitioning.compressionAfterDays",
        ANY_COUNT,
    ),
    later("enhancedClient.partitioning.tables", Any),
    later("enhancedClient.partitioning.autoMaintenance", Flag),
    later(
        "enhancedClient.partitioning.maintenanceInterval",
        ANY_NUMBER,
    ),
    never(
        "enhancedClient.circuitBreaker",
        Any,
        "there is one breaker, before the store: breaker.*",
    ),
    later("enhancedClient.monitoring", Any),
    later("partitioning", Any),
];
