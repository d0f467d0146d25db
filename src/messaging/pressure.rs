//! How often in a row a vendor has asked someone to slow down. Vendors without wait hints expect the pauses
//! to grow; the count is kept in memory, so a new process starts with the shortest pause.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Names under pressure kept at most; beyond it all start anew, which costs one short pause each.
const MOST_NAMES: usize = 10_000;

/// Counts by lane or sender.
#[derive(Debug, Default)]
pub(crate) struct Pressure(Mutex<HashMap<String, u32>>);

impl Pressure {
    /// One more time; says how often before, in a row.
    pub(crate) fn more(&self, name: &str) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_NAMES && !counts.contains_key(name) {
            counts.clear();
        }
        let count = counts.entry(name.to_owned()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    /// It went through.
    pub(crate) fn relieve(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_NAMES, Pressure};

    #[test]
    fn counts_until_relieved_and_stays_small() {
        let pressure = Pressure::default();
        assert_eq!([pressure.more("a"), pressure.more("a"), pressure.more("b")], [0, 1, 0]);
        pressure.relieve("a");
        assert_eq!(pressure.more("a"), 0);
        for n in 0..=MOST_NAMES {
            pressure.more(&n.to_string());
        }
        assert!(pressure.0.lock().unwrap().len() <= MOST_NAMES);
    }
}
