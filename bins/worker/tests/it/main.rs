//! The worker as its users run it: a real process, a real socket, a real disk.

mod full_disk;
mod lifecycle;
mod load;
mod nothing_lost;
mod worker;
