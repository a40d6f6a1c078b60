//! Generated events.

use std::collections::HashSet;

use audit_testkit::events::EventSource;

#[test]
fn events_are_json_of_about_500_bytes_with_ids_of_their_own() {
    let events: Vec<String> = EventSource::new(1).take(1000).collect();
    let mut ids = HashSet::new();
    for event in &events {
        assert!(
            (400..650).contains(&event.len()),
            "{}: {event}",
            event.len()
        );
        let value: serde_json::Value = serde_json::from_str(event).unwrap();
        let id = value["id"].as_str().unwrap().to_owned();
        assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
        assert!(ids.insert(id));
    }
    assert_eq!(EventSource::new(1).take(1000).collect::<Vec<_>>(), events);
    assert_ne!(EventSource::new(2).next().unwrap(), events[0]);
    let batch: Vec<serde_json::Value> =
        serde_json::from_str(&EventSource::of_organization(1, "acme").batch(7)).unwrap();
    assert!(batch.len() == 7 && batch.iter().all(|event| event["organizationId"] == "acme"));
}
