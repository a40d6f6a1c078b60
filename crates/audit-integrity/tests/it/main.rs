//! What holds for every ledger, and the committed bytes that other languages can check.

mod ledger;
mod producers;
mod properties;
mod robustness;
