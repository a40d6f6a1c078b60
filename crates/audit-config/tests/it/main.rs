//! Configuration text to settings.

#[cfg(test)]
mod reading;
