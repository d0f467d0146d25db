//! `longshore dev`: the whole thing on one machine, with nothing installed.

pub mod outside;
mod samples;
mod setup;
mod state_dir;
