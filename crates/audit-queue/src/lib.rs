//! Ports of the queue, and the frame that travels through it.
//!
//! What it is not: it contains no broker. An adapter implements [`Producer`] and [`Consumer`] and passes
//! `conformance::run` (feature `conformance`).

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod frame;
pub mod ports;

pub use error::QueueError;
pub use frame::{Frame, FrameError, FrameEvent, FrameId, FrameLimits};
pub use ports::{
    Batch, Budget, Consumer, Delivery, Depth, Durability, FrameLookup, Marks, Payload, Producer,
    Refused, SourcePosition,
};
