//! What their file says of itself, and their API server, which has nothing of this worker.

use super::{ANY_NUMBER, Foreign, later, never};
use crate::key::Kind::{Any, OneOf, Text};
use crate::key::count;

const OTHER: &str = "the settings of an API server, which this is not";

pub(super) const KEYS: &[Foreign] = &[
    never(
        "environment",
        OneOf(&["development", "staging", "production", "test"]),
        "defaults are the same everywhere",
    ),
    never("version", Text, "a file is known by its content"),
    never("lastUpdated", Text, "a file is known by its content"),
    never("server.port", count(1, 65_535, ""), OTHER),
    never("server.host", Text, OTHER),
    never("server.environment", Text, OTHER),
    never("server.timeout", ANY_NUMBER, OTHER),
    never("server.cors", Any, OTHER),
    later("server.rateLimit", Any),
    never("server.auth", Any, OTHER),
    never("server.inngest", Any, OTHER),
    never("server.monitoring.enableMetrics", Any, OTHER),
    never("server.monitoring.metricsPath", Text, OTHER),
    never("server.monitoring.healthCheckPath", Text, OTHER),
    later("server.monitoring.enableTracing", Any),
    later("server.monitoring.tracingEndpoint", Text),
    never("server.security", Any, OTHER),
    never("server.performance", Any, OTHER),
    never("server.api", Any, OTHER),
    never("server.externalServices", Any, OTHER),
];
