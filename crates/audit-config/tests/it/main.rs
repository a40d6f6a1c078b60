//! Configuration text to settings.

#[cfg(test)]
mod printing;
#[cfg(test)]
mod reading;
