//! Everything that the SQLite store promises, on real files.

mod canonical;
mod conformance;
mod full;
mod kill;
mod migrations;
mod opening;
mod place;
mod proving;
mod reference;
