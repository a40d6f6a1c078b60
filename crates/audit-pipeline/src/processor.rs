//! Extension points: processors that annotate or refuse events, and plug-ins that bring several parts at once.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use audit_event::{AuditEvent, Object, Value};

/// What a processor adds to an event; sealed with it under `annotations.<name of the processor>`.
pub type Annotations = Object;

/// A processor will not have this event; it becomes a dead letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For people; names the rule, not the content.
    pub reason: String,
}

impl Refusal {
    /// With a reason.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// **Extension point.** Looks at every event before it is sealed, and adds to it or refuses it.
///
/// It cannot edit or drop what the producer said: a record that a plug-in may edit is no audit record. It is called
/// again when a delivery is repeated, so the same event must give the same answer: no clock, no randomness. It runs on the lane's task and
/// must not block; look things up in memory. A panic is caught and treated as a refusal. Called from several lanes at once.
pub trait Processor: Send + Sync {
    /// The name under which its annotations are kept; stable for ever.
    fn name(&self) -> &str;

    /// Annotations to seal with the event; empty when there is nothing to add.
    ///
    /// # Errors
    /// When the event must not be stored.
    fn process(&self, event: &AuditEvent) -> Result<Annotations, Refusal>;
}

/// **Extension point.** A health check that readiness and `/health/{name}` report.
pub trait HealthCheck: Send + Sync {
    /// The component's name.
    fn name(&self) -> &str;

    /// `Err` with a reason when the component does not work. Must answer at once.
    ///
    /// # Errors
    /// The reason, for people.
    fn check(&self) -> Result<(), String>;
}

/// **Extension point.** Adds several parts at once; handed to the builder of the facade.
pub trait Plugin {
    /// Registers its parts.
    fn register(&self, registry: &mut Registry);
}

/// The parts that were registered, in order.
#[derive(Clone, Default)]
pub struct Registry {
    processors: Vec<Arc<dyn Processor>>,
    health_checks: Vec<Arc<dyn HealthCheck>>,
}

impl Registry {
    /// Adds a processor; they run in the order of registration.
    pub fn processor(&mut self, processor: impl Processor + 'static) -> &mut Self {
        self.processors.push(Arc::new(processor));
        self
    }

    /// Adds a processor from a closure.
    pub fn processor_fn<F>(&mut self, name: &str, process: F) -> &mut Self
    where
        F: Fn(&AuditEvent) -> Result<Annotations, Refusal> + Send + Sync + 'static,
    {
        self.processor(FnProcessor {
            name: name.to_owned(),
            process,
        })
    }

    /// Adds a health check.
    pub fn health_check(&mut self, check: impl HealthCheck + 'static) -> &mut Self {
        self.health_checks.push(Arc::new(check));
        self
    }

    /// Adds everything a plug-in brings.
    pub fn plugin(&mut self, plugin: &dyn Plugin) -> &mut Self {
        plugin.register(self);
        self
    }

    /// The health checks.
    #[must_use]
    pub fn health_checks(&self) -> &[Arc<dyn HealthCheck>] {
        &self.health_checks
    }

    /// Whether there is no processor, so that events pass as they are.
    #[must_use]
    pub fn has_no_processors(&self) -> bool {
        self.processors.is_empty()
    }

    /// Runs all processors over an event.
    ///
    /// # Errors
    /// The first refusal, with the processor's name in front; a panic is one.
    pub fn annotate(&self, event: &AuditEvent) -> Result<Object, Refusal> {
        let mut annotations = Object::new();
        for processor in &self.processors {
            // The event is only read, and a processor that panicked is responsible for its own state.
            let answer = catch_unwind(AssertUnwindSafe(|| processor.process(event)));
            let name = processor.name();
            match answer {
                Ok(Ok(added)) if added.is_empty() => {}
                Ok(Ok(added)) => drop(annotations.insert(name, Value::Object(added))),
                Ok(Err(refusal)) => {
                    return Err(Refusal::because(format!("{name}: {}", refusal.reason)));
                }
                Err(_panic) => return Err(Refusal::because(format!("{name}: panicked"))),
            }
        }
        Ok(annotations)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processors: Vec<_> = self
            .processors
            .iter()
            .map(|processor| processor.name())
            .collect();
        let checks: Vec<_> = self
            .health_checks
            .iter()
            .map(|check| check.name())
            .collect();
        f.debug_struct("Registry")
            .field("processors", &processors)
            .field("health_checks", &checks)
            .finish()
    }
}

struct FnProcessor<F> {
    name: String,
    process: F,
}

impl<F> Processor for FnProcessor<F>
where
    F: Fn(&AuditEvent) -> Result<Annotations, Refusal> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn process(&self, event: &AuditEvent) -> Result<Annotations, Refusal> {
        (self.process)(event)
    }
}
