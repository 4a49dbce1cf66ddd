//! A cluster in virtual time: one seed, one run, no sleeping.
//!
//! `world` is the machine room (clock, wires, faults, oracles), `faults` the rows of the fault matrix, `prepare` shells that are slow to make ready, `refusals` killed processes and forged
//! signs of them, `storms` random faults by the
//! hundred, `succession` processes that take each other's place, `drops` one datagram per reason of refusal. `HERALD_SEEDS=10000` makes the storms as many.

mod drops;
mod faults;
mod fitness;
mod oracles;
mod planned;
mod prepare;
mod refusals;
mod storms;
mod succession;
mod world;
