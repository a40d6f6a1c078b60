//! Load: native events of about 500 bytes, as an application would send them.

use crate::clock::SeededRandom;

/// Endless events, the same for the same seed.
#[derive(Debug, Clone)]
pub struct EventSource {
    random: SeededRandom,
    number: u64,
    organization: Option<String>,
}

impl EventSource {
    /// Events of 40 organisations.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: SeededRandom::new(seed),
            number: 0,
            organization: None,
        }
    }

    /// Events of one organisation.
    #[must_use]
    pub fn of_organization(seed: u64, organization: &str) -> Self {
        Self {
            organization: Some(organization.to_owned()),
            ..Self::new(seed)
        }
    }

    /// The body of one request: a JSON array of `count` events.
    #[must_use]
    pub fn batch(&mut self, count: usize) -> String {
        format!("[{}]", self.take(count).collect::<Vec<_>>().join(","))
    }

    fn pick<'a>(&self, from: &[&'a str]) -> &'a str {
        from.get(usize::try_from(self.random.below(from.len() as u64)).unwrap_or(0))
            .copied()
            .unwrap_or_default()
    }

    /// A UUIDv7 with the event's time, so that ids grow as real ones do.
    fn id(&self, millis: u64) -> String {
        let (high, low) = (self.random.next_u64(), self.random.next_u64());
        format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            millis >> 16,
            millis & 0xffff,
            high & 0xfff,
            (high >> 12) & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

impl Iterator for EventSource {
    type Item = String;

    /// One event, on one line, without a final line end.
    fn next(&mut self) -> Option<String> {
        self.number += 1;
        // Begins 2026-01-01, one event every 37 ms or so.
        let millis = 1_767_225_600_000 + self.number * 37;
        let second = (millis / 1000) % 60;
        let minute = (millis / 60_000) % 60;
        let hour = (millis / 3_600_000) % 24;
        let day = 1 + ((millis - 1_767_225_600_000) / 86_400_000) % 28;
        let organization = self
            .organization
            .clone()
            .unwrap_or_else(|| format!("org-{:02}", self.random.below(40)));
        let (action, resource) = *[
            ("record.read", "patient"),
            ("record.update", "patient"),
            ("auth.login.success", "session"),
            ("auth.login.failure", "session"),
            ("report.export", "report"),
        ]
        .get(usize::try_from(self.random.below(5)).unwrap_or(0))?;
        Some(format!(
            concat!(
                r#"{{"id":"{id}","timestamp":"2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z","action":"{action}","status":"{status}","#,
                r#""principalId":"user-{principal:05}","organizationId":"{organization}","targetResourceType":"{resource}","targetResourceId":"{resource}-{target:06}","#,
                r#""severity":"{severity}","dataClassification":"{class}","correlationId":"{correlation:016x}","#,
                r#""sessionContext":{{"sessionId":"{session:016x}","ipAddress":"10.{a}.{b}.{c}","userAgent":"Mozilla/5.0 (X11; Linux x86_64)"}},"#,
                r#""durationMs":{duration},"path":"/v1/{resource}s/{target}/view","rows":{rows},"ratio":{rows}.25,"tags":["load","{action}"]}}"#
            ),
            id = self.id(millis),
            day = day,
            hour = hour,
            minute = minute,
            second = second,
            milli = millis % 1000,
            action = action,
            resource = resource,
            organization = organization,
            status = self.pick(&["success", "success", "success", "failure", "attempt"]),
            severity = self.pick(&["info", "info", "info", "warning"]),
            class = self.pick(&["PHI", "INTERNAL", "CONFIDENTIAL", "PUBLIC"]),
            principal = self.random.below(5000),
            target = self.random.below(200_000),
            correlation = self.random.next_u64(),
            session = self.random.next_u64(),
            a = self.random.below(256),
            b = self.random.below(256),
            c = self.random.below(256),
            duration = self.random.below(900),
            rows = self.random.below(50),
        ))
    }
}
