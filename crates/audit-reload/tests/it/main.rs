//! Processes that move through the versions of one configuration: a real store, real files, and parts that do as they are told.

#[cfg(test)]
mod changes;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod ways_back;
