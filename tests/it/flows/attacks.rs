//! What a forger, a careless proxy or a late vendor makes of a good request; and how the worker must take it.

use std::time::Duration;

use longshore::{
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    sources::inspect::take_apart,
};
use serde_json::Value;

use crate::flows::cases::{Case, NAME, Proof, Told};

/// Twice the usual tolerance.
const STALE: Duration = Duration::from_secs(600);

/// A request that must not count.
pub(super) struct Attack {
    pub(super) what: &'static str,
    pub(super) request: HttpRequest,
    pub(super) reason: Reason,
}

impl Case {
    /// Each tells of things of its own, which nobody may ever find in the tables.
    pub(super) fn attacks(&self, at: Timestamp) -> Vec<Attack> {
        let told = |number| Told { number, at };
        let mut found = vec![self.forged(&told(2))];
        if let Proof::Bytes { timed } = self.proof {
            found.push(self.written_anew(&told(3)));
            found.extend(timed.then(|| self.stale(&told(4))));
        }
        found
    }

    /// One byte of the body is another, or, where no signature binds the body, the credential or the organisation is.
    fn forged(&self, told: &Told) -> Attack {
        let good = self.request(told);
        let (what, request) = match self.proof {
            Proof::Bytes { .. } | Proof::Form => {
                let body = replaced(&good.body, NAME, &format!("{}m", &NAME[..NAME.len() - 1]));
                ("altered by one byte", HttpRequest { body, ..good })
            }
            Proof::Credential { wrong } => {
                ("with a wrong credential", self.signed(told, (self.body)(told), wrong, told.at))
            }
            Proof::Organization { listed, other } => {
                let body = replaced(&good.body, listed, other);
                ("of another organisation", HttpRequest { body, ..good })
            }
        };
        let attack = Attack { what, request, reason: Reason::SigInvalid };
        self.is_readable(&attack, told);
        attack
    }

    /// The same JSON in other bytes: with line breaks and indented.
    fn written_anew(&self, told: &Told) -> Attack {
        let good = self.request(told);
        let json: Value = serde_json::from_slice(&good.body).unwrap();
        let body = serde_json::to_vec_pretty(&json).unwrap();
        assert_ne!(body, good.body, "{}", self.source);
        let request = HttpRequest { body, ..good };
        let attack = Attack { what: "written anew", request, reason: Reason::SigInvalid };
        self.is_readable(&attack, told);
        attack
    }

    /// Signed well, and long before it came.
    fn stale(&self, told: &Told) -> Attack {
        let request = self.signed(told, (self.body)(told), &self.secret(), told.at.minus(STALE));
        Attack { what: "stale", request, reason: Reason::SigExpired }
    }

    /// Only the proof stands between it and the handler.
    fn is_readable(&self, attack: &Attack, told: &Told) {
        let items = take_apart(self.vendor(), &self.settings(), &attack.request, told.at);
        assert_eq!(items.len(), (self.events)(told).len(), "{} {}", self.source, attack.what);
        for item in items {
            item.unwrap_or_else(|fault| panic!("{} {}: {fault:?}", self.source, attack.what));
        }
    }
}

/// With every occurrence replaced by text of the same length; there must be one.
fn replaced(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let replaced = text.replacen(from, to, 1);
    let differing = text.bytes().zip(replaced.bytes()).filter(|(old, new)| old != new).count();
    assert_eq!((differing, replaced.len()), (1, text.len()), "{from}");
    replaced.into_bytes()
}
