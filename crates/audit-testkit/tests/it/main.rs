//! The test tools do what they say.

mod children;
mod faults;
mod load;
mod rooms;
mod tidy;
