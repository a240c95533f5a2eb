//! The interpreter in a small world of its own: what it writes, when, and what it keeps.

mod behaviour;
mod callbacks;
mod histories;
mod hostile;
mod inspect;
mod jsonata;
mod long_turns;
mod map_inputs;
mod map_run;
mod random;
mod redrive;
mod world;
