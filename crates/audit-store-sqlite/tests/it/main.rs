//! Everything that the SQLite store promises, on real files.

mod canonical;
mod conformance;
mod full;
mod kill;
mod migrations;
mod opening;
mod place;
#[cfg(test)]
mod proving;
mod reference;
