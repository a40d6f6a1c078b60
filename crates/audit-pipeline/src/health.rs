//! State of a component, as readiness shows it.

/// Whether a component works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it should.
    Working,
    /// Something else stands in for it, or will not do so for ever; events are taken all the same.
    Degraded(String),
    /// It does not; the process is not ready.
    Failing(String),
}

impl Health {
    /// Whether the process may be called ready.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Working | Self::Degraded(_))
    }
}

impl From<Result<(), String>> for Health {
    fn from(checked: Result<(), String>) -> Self {
        match checked {
            Ok(()) => Self::Working,
            Err(reason) => Self::Failing(reason),
        }
    }
}
