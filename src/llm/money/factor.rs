//! By how much a list price is multiplied: a fraction, so that nothing is rounded before the end.

/// Numerator and denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor(pub(crate) i128, pub(crate) i128);

impl Factor {
    /// The list price itself.
    pub(crate) const ONE: Self = Self(1, 1);

    /// Both.
    #[must_use]
    pub(crate) fn times(self, other: Self) -> Self {
        Self(self.0 * other.0, self.1 * other.1)
    }

    /// Itself, or the list price where that is more.
    #[must_use]
    pub(crate) fn at_least_one(self) -> Self {
        if self.0 < self.1 { Self::ONE } else { self }
    }
}
