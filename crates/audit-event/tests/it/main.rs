//! The laws of events, from the outside.

mod native;
