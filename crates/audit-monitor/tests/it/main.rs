//! Detection against real rules and real events, against plain evaluators, and at the thresholds of the built-in rules.

#[cfg(test)]
mod built_in;
#[cfg(test)]
mod cloudtrail;
#[cfg(test)]
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(test)]
mod explaining;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod made;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod windows;
