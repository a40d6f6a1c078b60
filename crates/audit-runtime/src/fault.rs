//! What a failure means for the caller: decided where the failure happens, acted on in one place.

/// What the caller is to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The backend is away. Wait without limit; nothing is the event's fault.
    Outage,
    /// Try again, counted.
    Transient,
    /// This input is at fault; it goes to the dead letters.
    Rejected,
    /// Our own state is unknown: stop writing and reload it.
    Fatal,
}

/// An error of a boundary, which says what it means for the caller.
pub trait Faulty: std::error::Error + Send + Sync + 'static {
    /// What the caller is to do.
    fn fault(&self) -> Fault;
}
