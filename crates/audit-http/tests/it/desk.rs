//! Detection's part of the rig: a desk over the store, the built-in rules, and a dispatcher that tells the trail.

use std::sync::Arc;

use async_trait::async_trait;
use audit_alert::{Desk, DispatchSettings, Dispatcher, Policy, Recipient, Step, Trail};
use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventId, Form, OrganizationId, Stamps};
use audit_http::{AppState, DetectionSurface, own_event};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{Detector, EpisodeSink, Limits, Position, RuleSet, Settings};
use audit_pipeline::Acceptor;
use audit_runtime::{Shutdown, Tasks};
use audit_store::AlertLevel;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::rig::Rig;

/// A handler that hears of everything, and that no dispatcher here has: what it is to hear waits.
pub(crate) const PHONE: &str = "phone";

/// The surface, with its dispatcher running.
pub(crate) fn surface(state: &AppState, stop: &Shutdown, tasks: &Tasks) -> DetectionSurface {
    let trail: Arc<dyn Trail> = Arc::new(OwnTrail(state.acceptor.clone()));
    let policy = Policy {
        handlers: vec![Recipient {
            name: PHONE.to_owned(),
            at_least: AlertLevel::Informational,
            organizations: Vec::new(),
            rules: Vec::new(),
            kinds: Vec::new(),
        }],
        ..Policy::default()
    };
    let policy = watch::channel(Arc::new(policy)).1;
    let alerts = state.store.alerts.clone();
    let desk = Desk::new(alerts.clone(), policy, trail.clone(), state.clock.clone());
    let settings = DispatchSettings {
        idle: std::time::Duration::from_millis(20),
        ..DispatchSettings::default()
    };
    let random = state.random.clone();
    let dispatcher = Dispatcher::new(alerts.clone(), Vec::new(), settings, random, trail);
    let signal = stop.signal();
    tasks.spawn("dispatcher", async move { dispatcher.run(signal).await });
    let rules = Arc::new(RuleSet::built_in());
    let detector = Detector::new(rules, Settings::default(), Limits::default());
    DetectionSurface {
        desk: Arc::new(desk),
        alerts,
        rules: watch::channel(Arc::new(detector)).1,
    }
}

/// Steps become our own events, as in production.
struct OwnTrail(Arc<Acceptor>);

#[async_trait]
impl Trail for OwnTrail {
    async fn record(&self, step: &Step) -> Result<(), String> {
        let accepted = self.0.accept(own_event(step.to_event().to_string())).await;
        let accepted = accepted.map_err(|error| error.to_string())?;
        accepted
            .frame
            .map(drop)
            .ok_or_else(|| format!("{accepted:?}"))
    }
}

/// An event that the built-in rule `privilege-change` finds, of an organisation.
pub(crate) fn privilege_change(organization: &str, number: u64) -> Value {
    let mut event = crate::rig::event_of(organization, number);
    event["action"] = "configure".into();
    event["targetResourceType"] = "user_permissions".into();
    event
}

impl Rig {
    /// Has the rules look at an event, and raises what they find. The ids of the alerts.
    pub(crate) async fn raise(&self, event: &Value) -> Vec<String> {
        let surface = self.state.detection.as_ref().expect("detection is on");
        let statement = read_statement(Form::Native, event.to_string().as_bytes());
        let statement = statement.expect("an event");
        let stamps = Stamps {
            fallback_id: EventId::from_bytes([7; 16]),
            received_at: statement.timestamp,
            default_organization: OrganizationId::none(),
        };
        let position = Position {
            ledger: LedgerId::Events(0),
            leaf: LeafIndex(0),
        };
        let detector = surface.rules.borrow().clone();
        let event = AuditEvent::stamp(statement, &stamps);
        let found = detector.matcher().observe(&event, position).episodes;
        surface.desk.raise(&found).await.expect("raised");
        found.iter().map(|one| one.id.to_string()).collect()
    }

    /// Raises one alert of an organisation.
    pub(crate) async fn alert(&self, organization: &str, number: u64) -> String {
        let raised = self.raise(&privilege_change(organization, number)).await;
        assert_eq!(raised.len(), 1, "{raised:?}");
        raised[0].clone()
    }
}

/// Body of an act.
pub(crate) fn note(text: &str) -> Value {
    json!({ "note": text })
}
