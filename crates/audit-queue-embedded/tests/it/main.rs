//! The embedded queue against its contract, crashes and a full disk.

mod delivery;
mod made;
