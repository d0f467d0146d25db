//! `longshore dev`: the whole thing on one machine, with nothing installed.

pub mod outside;
