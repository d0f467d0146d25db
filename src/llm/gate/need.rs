//! How many requests and tokens the next round is likely to need: calls come in bursts, and one that finds nothing waits
//! a whole round.

use std::collections::VecDeque;

/// So many rounds are remembered.
const ROUNDS: usize = 8;

/// What was used lately; requests and tokens.
#[derive(Debug, Default)]
pub(crate) struct Need {
    this_round: (i64, i64),
    /// The oldest first.
    before: VecDeque<(i64, i64)>,
}

impl Need {
    /// So much was used; less than nothing where it was put back.
    pub(crate) fn used(&mut self, requests: i64, tokens: i64) {
        let (all_requests, all_tokens) = self.this_round;
        self.this_round = (all_requests.saturating_add(requests), all_tokens.saturating_add(tokens));
    }

    /// A round has passed. The next one may need what the busiest of the last ones used, and half as much again.
    pub(crate) fn next_round(&mut self) -> (i64, i64) {
        if self.before.len() == ROUNDS {
            self.before.pop_front();
        }
        self.before.push_back(std::mem::take(&mut self.this_round));
        let busiest = |of: fn(&(i64, i64)) -> i64| self.before.iter().map(of).max().unwrap_or(0);
        let more = |used: i64| used.saturating_add(used / 2);
        (more(busiest(|used| used.0)), more(busiest(|used| used.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Need, ROUNDS};

    #[test]
    fn the_busiest_of_the_last_rounds_counts_until_it_is_forgotten() {
        let mut need = Need::default();
        (0..4).for_each(|_| need.used(1, 100));
        assert_eq!(need.next_round(), (6, 600), "half as much again");
        need.used(2, 50);
        need.used(-1, -50);
        for _ in 1..ROUNDS {
            assert_eq!(need.next_round(), (6, 600));
        }
        assert_eq!(need.next_round(), (1, 0), "what was put back was not needed");
        assert_eq!(need.next_round(), (0, 0));
    }
}
