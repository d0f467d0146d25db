//! Vectors as they are stored, and how near they are to one another.

use std::{cmp::Ordering, collections::BinaryHeap};

/// So many items of a tenant, kind and model are looked through, the newest first: older ones are not found any more.
pub(crate) const LOOKED_THROUGH: i64 = 10_000;

/// 32-bit floats, little-endian.
pub(crate) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Cosine of two vectors of one length, the second as it is stored; `None` where there is none: other lengths, a vector
/// of length zero, or numbers that are none.
pub(crate) fn cosine(one: &[f32], stored: &[u8]) -> Option<f64> {
    let (numbers, rest) = stored.as_chunks::<4>();
    if numbers.len() != one.len() || !rest.is_empty() {
        return None;
    }
    let (mut dot, mut first, mut second) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (a, b) in one.iter().zip(numbers) {
        let (a, b) = (f64::from(*a), f64::from(f32::from_le_bytes(*b)));
        dot += a * b;
        first += a * a;
        second += b * b;
    }
    let score = dot / (first * second).sqrt();
    score.is_finite().then(|| score.clamp(-1.0, 1.0))
}

/// The nearest few of many, in no more room than they need.
pub(crate) struct Nearest {
    limit: usize,
    found: BinaryHeap<Found>,
}

/// One that may be among them; the least of all is the farthest.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    score: f64,
    item: String,
}

impl Eq for Found {}

impl Ord for Found {
    /// The farthest is the greatest; of equals the one that is later in the alphabet.
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.item.cmp(&other.item))
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Nearest {
    pub(crate) fn new(limit: i64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(0), found: BinaryHeap::new() }
    }

    pub(crate) fn add(&mut self, item: String, score: f64) {
        self.found.push(Found { score, item });
        if self.found.len() > self.limit {
            self.found.pop();
        }
    }

    /// Items with their scores, nearest first.
    pub(crate) fn into_sorted(self) -> Vec<(String, f64)> {
        self.found.into_sorted_vec().into_iter().map(|found| (found.item, found.score)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Nearest, cosine, to_bytes};

    #[test]
    fn a_cosine_needs_no_vectors_of_length_one() {
        let stored = to_bytes(&[3.0, 4.0]);
        assert_eq!(cosine(&[6.0, 8.0], &stored), Some(1.0));
        assert_eq!(cosine(&[-3.0, -4.0], &stored), Some(-1.0));
        assert_eq!(cosine(&[4.0, -3.0], &stored), Some(0.0));
    }

    #[test]
    fn what_cannot_be_compared_has_none() {
        let stored = to_bytes(&[1.0, 0.0]);
        for bad in [&[][..], &[1.0], &[1.0, 0.0, 0.0], &[0.0, 0.0], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0]] {
            assert_eq!(cosine(bad, &stored), None, "{bad:?}");
        }
        assert_eq!(cosine(&[1.0, 0.0], &stored[..7]), None);
    }

    #[test]
    fn the_nearest_come_first_and_no_more_than_asked_for() {
        let mut nearest = Nearest::new(3);
        for (item, score) in [("far", -0.5), ("b", 0.9), ("near", 1.0), ("a", 0.9), ("c", 0.9)] {
            nearest.add(item.to_owned(), score);
        }
        let items: Vec<_> = nearest.into_sorted().into_iter().map(|(item, _)| item).collect();
        assert_eq!(items, ["near", "a", "b"]);
        let mut none = Nearest::new(0);
        none.add("x".to_owned(), 1.0);
        assert!(none.into_sorted().is_empty());
    }
}
