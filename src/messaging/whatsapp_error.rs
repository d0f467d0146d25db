//! What each error code of the WhatsApp Cloud API means for a message. An error body says that nothing was
//! sent; its code says whether to try again, and who must pause.

use std::time::Duration;

use serde_json::Value;

use crate::domain::command::Pause;

/// Longest pause that grows.
const LONGEST_GROWN: Duration = Duration::from_secs(3600);
/// Somebody must act; until then the sender looks again this often.
const STOPPED: Duration = Duration::from_secs(900);
/// The vendor suspects spam: hours, not minutes.
const SPAM: Duration = Duration::from_secs(6 * 3600);
/// First pause after the call limit of the app or account.
const CALL_LIMIT: u64 = 60;
/// Longest piece of the vendor's message that is kept, in characters.
const KEPT: usize = 200;

/// The error that an answer tells of.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i64,
    message: String,
    is_transient: bool,
}

impl Told {
    /// `{"error": {message, type, code, error_data, fbtrace_id}}`; `None` without a code.
    pub(crate) fn read(body: &Value) -> Option<Self> {
        let error = &body["error"];
        let code = error["code"].as_i64().or_else(|| error["code"].as_str()?.parse().ok())?;
        let text = error["error_data"]["details"].as_str().or(error["message"].as_str()).unwrap_or_default();
        let message = text.chars().take(KEPT).collect();
        Some(Self { code, message, is_transient: error["is_transient"].as_bool().unwrap_or(false) })
    }

    /// For operators. Long runs of digits may be a person's number and are cut; messages about the token
    /// repeat parts of it and are left out.
    pub(crate) fn detail(&self) -> String {
        if self.code == 190 {
            return "the access token has expired or is not valid".to_owned();
        }
        let mut plain = String::new();
        let mut digits = 0;
        for c in self.message.chars() {
            digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
            match digits {
                0..=6 => plain.push(c),
                7 => plain.push('…'),
                _ => {}
            }
        }
        plain
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Refused for good.
    Final,
    /// Nothing was sent; try again with our own backoff, a few times.
    Transient,
    /// This pair of numbers is too fast: 4^n s.
    SlowPair,
    /// This number is too fast: 2^n s.
    SlowSender,
    /// The app or account has used up its calls: 60 s and more.
    CallLimit,
    /// Suspected spam: hours, and an alert.
    Spam,
    /// The credential or account is stopped: messages wait, and an alert.
    Stopped,
}

/// By the code; the status only says whether an unlisted error is the vendor's own failure.
pub(crate) fn advice(error: &Told, status: u16) -> Advice {
    match error.code {
        190 | 131_031 | 368 | 131_042 => Advice::Stopped,
        4 | 80_007 => Advice::CallLimit,
        130_429 => Advice::SlowSender,
        131_056 => Advice::SlowPair,
        131_048 => Advice::Spam,
        1 | 2 | 131_000 | 131_016 => Advice::Transient,
        // Permission; window, caps and undeliverable; bad request; template.
        0 | 3 | 10 | 200..=299 | 131_005 => Advice::Final,
        131_047 | 131_049 | 131_026 | 130_472 | 131_050 => Advice::Final,
        131_051 | 100 | 131_008 | 131_009 => Advice::Final,
        132_000 | 132_001 | 132_005 | 132_007 | 132_012 | 132_015 | 132_016 => Advice::Final,
        _ if status >= 500 || error.is_transient => Advice::Transient,
        _ => Advice::Final,
    }
}

impl Advice {
    pub(crate) fn is_final(self) -> bool {
        self == Self::Final
    }

    /// Somebody must act.
    pub(crate) fn is_alarming(self) -> bool {
        matches!(self, Self::Spam | Self::Stopped)
    }

    /// Who pauses.
    pub(crate) fn pause(self) -> Pause {
        match self {
            Self::Final | Self::Transient | Self::SlowPair => Pause::Lane,
            Self::SlowSender | Self::CallLimit | Self::Spam | Self::Stopped => Pause::Sender,
        }
    }

    /// How long; `None` leaves it to the caller's backoff. `before` counts how often in a row it was so.
    pub(crate) fn wait(self, before: impl Fn() -> u32) -> Option<Duration> {
        let grown = |first: u64, factor: u64| {
            let times = factor.checked_pow(before()).and_then(|power| first.checked_mul(power));
            Some(times.map_or(LONGEST_GROWN, Duration::from_secs).min(LONGEST_GROWN))
        };
        match self {
            Self::Final | Self::Transient => None,
            Self::SlowPair => grown(1, 4),
            Self::SlowSender => grown(1, 2),
            Self::CallLimit => grown(CALL_LIMIT, 2),
            Self::Spam => Some(SPAM),
            Self::Stopped => Some(STOPPED),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Advice, LONGEST_GROWN, Told, advice};
    use crate::domain::command::Pause;

    fn told(code: i64) -> Told {
        Told::read(&json!({ "error": { "message": "m", "type": "OAuthException", "code": code } })).unwrap()
    }

    #[test]
    fn every_listed_code_has_its_advice() {
        use Advice::{CallLimit, Final, SlowPair, SlowSender, Spam, Stopped, Transient};
        let rows: &[(&[i64], Advice)] = &[
            (&[190], Stopped),
            (&[0, 3, 10, 200, 250, 299, 131_005], Final),
            (&[4, 80_007], CallLimit),
            (&[130_429], SlowSender),
            (&[131_056], SlowPair),
            (&[131_048], Spam),
            (&[131_049], Final),
            (&[131_047], Final),
            (&[131_026, 130_472, 131_050], Final),
            (&[131_051, 100, 131_008, 131_009], Final),
            (&[132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016], Final),
            (&[131_031, 368, 131_042], Stopped),
            (&[1, 2, 131_000, 131_016], Transient),
        ];
        for (codes, expected) in rows {
            for code in *codes {
                for status in [200, 400, 401, 403, 429, 500, 503] {
                    assert_eq!(advice(&told(*code), status), *expected, "{code} with HTTP {status}");
                }
            }
        }
    }

    #[test]
    fn an_unlisted_code_goes_by_is_transient_and_who_failed() {
        let transient = json!({ "error": { "code": 99_999, "is_transient": true } });
        assert_eq!(advice(&Told::read(&transient).unwrap(), 400), Advice::Transient);
        assert_eq!(advice(&told(99_999), 400), Advice::Final);
        assert_eq!(advice(&told(99_999), 500), Advice::Transient);
    }

    #[test]
    fn pauses_grow_as_the_vendor_says() {
        let seconds = |advice: Advice, n| advice.wait(|| n).map(|wait| wait.as_secs());
        assert_eq!([0, 1, 2, 3].map(|n| seconds(Advice::SlowPair, n)), [1, 4, 16, 64].map(Some));
        assert_eq!([0, 1, 2].map(|n| seconds(Advice::SlowSender, n)), [1, 2, 4].map(Some));
        assert_eq!([0, 1].map(|n| seconds(Advice::CallLimit, n)), [60, 120].map(Some));
        assert_eq!(Advice::SlowPair.wait(|| 99), Some(LONGEST_GROWN));
        assert!(Advice::Spam.wait(|| 0) >= Some(Duration::from_secs(3600)));
        assert_eq!((Advice::SlowPair.pause(), Advice::SlowSender.pause()), (Pause::Lane, Pause::Sender));
    }

    #[test]
    fn details_hold_no_numbers_of_people_and_no_token() {
        let body = json!({ "error": { "code": 131_026, "message": "x", "error_data": { "details": "+14155550101 unreachable, code 131026" } } });
        let detail = Told::read(&body).unwrap().detail();
        assert!(!detail.contains("4155550101"), "{detail}");
        assert!(detail.contains("131026"), "{detail}");
        let body = json!({ "error": { "code": 190, "message": "Error validating access token: EAAB..." } });
        assert!(!Told::read(&body).unwrap().detail().contains("EAAB"));
    }

    #[test]
    fn no_code_is_no_error_that_can_be_judged() {
        for body in
            [json!({}), json!({ "error": "boom" }), json!({ "error": { "message": "x" } }), json!(null)]
        {
            assert!(Told::read(&body).is_none(), "{body}");
        }
    }
}
