//! How they work events off: `worker`, `reliableProcessor`, `retry`, `performance`, and the keys of their questions and answers.

use super::{ANY_COUNT, ANY_NUMBER, Foreign, holds, later, never, part, same};
use crate::key::Kind::{Any, Flag, Text, Texts};
use crate::key::{MILLIS, count, millis};

const IN_BATCHES: &str = "events are always taken in batches";
const GROWS: &str = "a batch grows with the queue unless batch.deliveries is set";
const AT_ONCE: &str = "a lane takes what is there and does not wait for a batch to fill";
const LANES: &str = "lanes work side by side, one batch each: lanes";
const KEPT: &str = "an event is tried until the store has it or refuses it, without a count";
const DEAD: &str = "dead letters are kept in the store";

pub(super) const KEYS: &[Foreign] = &[
    part("worker.port", count(1, 65_535, ""), "listen"),
    never("worker.concurrency", ANY_COUNT, LANES),
    never(
        "worker.queueName",
        Text,
        "reliableProcessor.queueName is the one that counts",
    ),
    holds(
        "worker.gracefulShutdown",
        Flag,
        &["true"],
        "a process always ends in order",
    ),
    same(
        "worker.shutdownTimeout",
        millis(1_000, 300_000),
        "shutdown.graceMs",
    ),
    same("reliableProcessor.queueName", Text, "queue.queueName"),
    // A number or `auto`.
    never("reliableProcessor.concurrency", Any, LANES),
    holds(
        "reliableProcessor.persistentStorage",
        Flag,
        &["true"],
        "an event is on disk before it is acknowledged",
    ),
    holds(
        "reliableProcessor.durabilityGuarantees",
        Flag,
        &["true"],
        "an event is on disk before it is acknowledged",
    ),
    holds(
        "reliableProcessor.batchProcessing.enabled",
        Flag,
        &["true"],
        IN_BATCHES,
    ),
    same(
        "reliableProcessor.batchProcessing.batchSize",
        count(1, 10_000, ""),
        "batch.deliveries",
    ),
    never(
        "reliableProcessor.batchProcessing.maxBatchWaitMs",
        MILLIS,
        AT_ONCE,
    ),
    never(
        "reliableProcessor.batchProcessing.parallelBatches",
        ANY_COUNT,
        LANES,
    ),
    holds(
        "reliableProcessor.batchProcessing.adaptiveBatching",
        Flag,
        &["true"],
        GROWS,
    ),
    later("reliableProcessor.autoScaling.enabled", Flag),
    later("reliableProcessor.autoScaling.strategy", Text),
    later(
        "reliableProcessor.autoScaling.thresholds.scaleUp",
        ANY_NUMBER,
    ),
    later(
        "reliableProcessor.autoScaling.thresholds.scaleDown",
        ANY_NUMBER,
    ),
    later(
        "reliableProcessor.autoScaling.thresholds.maxConcurrency",
        ANY_COUNT,
    ),
    same(
        "reliableProcessor.circuitBreakerConfig.failureThreshold",
        count(1, 100, ""),
        "breaker.failures",
    ),
    same(
        "reliableProcessor.circuitBreakerConfig.recoveryTimeout",
        millis(1_000, 300_000),
        "breaker.pauseMs",
    ),
    never(
        "reliableProcessor.circuitBreakerConfig.monitoringPeriod",
        ANY_COUNT,
        "outages in a row are counted, whenever they were",
    ),
    never(
        "reliableProcessor.circuitBreakerConfig.minimumThroughput",
        ANY_COUNT,
        "outages in a row are counted, however many calls there were",
    ),
    never("reliableProcessor.deadLetterConfig.queueName", Text, DEAD),
    same(
        "reliableProcessor.deadLetterConfig.alertThreshold",
        count(1, 1_000, ""),
        "alerts.system.deadLetters",
    ),
    later(
        "reliableProcessor.deadLetterConfig.maxRetentionDays",
        count(1, 365, ""),
    ),
    later(
        "reliableProcessor.deadLetterConfig.processingInterval",
        ANY_NUMBER,
    ),
    later(
        "reliableProcessor.deadLetterConfig.archiveAfterDays",
        ANY_COUNT,
    ),
    never("reliableProcessor.retryConfig.maxRetries", ANY_COUNT, KEPT),
    later("reliableProcessor.retryConfig.backoffStrategy", Text),
    later("reliableProcessor.retryConfig.baseDelay", MILLIS),
    later("reliableProcessor.retryConfig.maxDelay", MILLIS),
    later(
        "reliableProcessor.retryConfig.backoffMultiplier",
        ANY_NUMBER,
    ),
    later("reliableProcessor.retryConfig.jitter", Flag),
    never("reliableProcessor.retryConfig.retryableErrors", Texts, KEPT),
    never("retry.maxRetries", ANY_COUNT, KEPT),
    later("retry.baseDelay", MILLIS),
    later("retry.maxDelay", MILLIS),
    later("retry.backoffStrategy", Text),
    never("retry.retryableErrors", Texts, KEPT),
    holds("batchProcessing.enabled", Flag, &["true"], IN_BATCHES),
    same(
        "batchProcessing.batchSize",
        count(1, 10_000, ""),
        "batch.deliveries",
    ),
    never("batchProcessing.maxBatchWaitMs", MILLIS, AT_ONCE),
    never("batchProcessing.parallelBatches", ANY_COUNT, LANES),
    holds("batchProcessing.adaptiveBatching", Flag, &["true"], GROWS),
    later("autoScaling", Any),
    same(
        "performance.batchSize",
        count(1, 10_000, ""),
        "batch.deliveries",
    ),
    never("performance.flushInterval", MILLIS, AT_ONCE),
    never("performance.maxRetries", ANY_COUNT, KEPT),
];
