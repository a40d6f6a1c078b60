//! Configuration text to settings.

#[cfg(test)]
mod alerting;
#[cfg(test)]
mod bad;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod printing;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod secrets;
