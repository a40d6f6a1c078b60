//! The test tools do what they say.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is made for tests is part of the tests"
)]

mod children;
mod faults;
mod load;
mod proxy;
mod redis;
mod rooms;
mod tidy;
