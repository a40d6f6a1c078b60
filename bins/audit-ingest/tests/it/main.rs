//! The deployed form as processes: real PostgreSQL, real Redis, the real binaries, killed and stopped from outside.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod away;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod conservation;
#[cfg(test)]
mod mended;
#[cfg(test)]
mod others;
#[cfg(test)]
mod past_mark;
#[cfg(test)]
mod reloads;
#[cfg(test)]
mod replaced;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod site;
#[cfg(test)]
mod traffic;
