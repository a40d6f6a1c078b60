//! Redis Streams as the queue: the default of a deployment.
//!
//! What it is not: it starts no server, and the stream it makes is for our frames only.
