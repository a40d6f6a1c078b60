//! The deployed form as processes: real PostgreSQL, real Redis, the real binaries, killed and stopped from outside.

#[cfg(test)]
mod away;
#[cfg(test)]
mod conservation;
#[cfg(test)]
mod past_mark;
#[cfg(test)]
mod site;
