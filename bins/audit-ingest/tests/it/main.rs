//! The deployed form as processes: real PostgreSQL, real Redis, the real binaries, killed and stopped from outside.

mod away;
mod conservation;
mod past_mark;
mod site;
