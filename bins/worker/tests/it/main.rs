//! The worker as its users run it: a real process, a real socket, a real disk.

#[cfg(test)]
mod compat;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod load;
#[cfg(test)]
mod nothing_lost;
#[cfg(test)]
mod reconfigured;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod worker;
