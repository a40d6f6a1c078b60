//! Everything that the SQLite store promises, on real files.

mod conformance;
mod place;
