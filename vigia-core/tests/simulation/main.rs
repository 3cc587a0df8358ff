//! The batch queue under load, in simulated time: who is served, how late, and who is dropped.

mod sim;
mod explore;
