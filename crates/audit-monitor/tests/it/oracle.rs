//! The plain evaluator against the correlation engine of `rsigma-eval`, event by event, where both mean the same.
//!
//! They do not, and are not compared:
//! - percentiles: its engine raises whatever the condition says;
//! - a temporal correlation without a condition: it is satisfied with one of the rules, where Sigma wants all; so the number of rules is
//!   stated for it;
//! - an event that two rules match: it counts it twice;
//! - an event without the field that is counted: it judges the window again, we do not look at it;
//! - events that arrive out of order, or parts of seconds: it knows neither.

use proptest::prelude::*;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};
use serde_json::json;

use crate::plain::{Happening, Kind, Plain, correlations, happenings};

/// Which events its engine raises at.
fn raised_by_the_other(plain: &Plain, events: &[Happening]) -> Vec<u64> {
    let mut yaml = plain.yaml();
    if matches!(plain.kind, Kind::Temporal | Kind::TemporalOrdered) {
        yaml.push_str("    condition:\n        gte: 3\n");
    }
    let collection = rsigma_parser::parse_sigma_yaml(&yaml).expect("rules");
    assert_eq!(collection.errors, [""; 0]);
    let mut engine = CorrelationEngine::new(CorrelationConfig::default());
    engine.add_collection(&collection).expect("rules");
    let mut raised = Vec::new();
    for event in events {
        let names = ["a", "b", "c"];
        let action = *names.get(usize::from(event.what)).unwrap_or(&"none");
        let json =
            json!({"action": action, "principalId": event.who.to_string(), "n": event.value});
        let results = engine.process_event_at(&JsonEvent::owned(json), 1_000 + event.at);
        if results.iter().any(|result| result.is_correlation()) {
            raised.push(event.number);
        }
    }
    raised
}

proptest! {
    #[test]
    fn another_engine_finds_the_same_windows_over_the_threshold(
        plain in correlations(),
        events in happenings(60),
    ) {
        prop_assume!(!matches!(plain.kind, Kind::Percentile(_)));
        let mut events = events;
        events.sort_by_key(|event| (event.at, event.number));
        // Of events of one second it asks whether any order would do.
        if plain.kind == Kind::TemporalOrdered {
            events.dedup_by_key(|event| event.at);
        }
        let own: Vec<u64> = events
            .iter()
            .filter(|event| plain.counts(event) && plain.is_over(&events, event))
            .map(|event| event.number)
            .collect();
        prop_assert_eq!(own, raised_by_the_other(&plain, &events));
    }
}
