//! What follows an attempt without an answer: the one place where error classes become decisions.

use std::time::Duration;

use crate::{
    domain::{outcome::Failure, reason::Reason},
    llm::{
        contract::{CallError, Finish, Rejection},
        journal::{Attempted, finish_word},
        models::Model,
    },
};

/// A provider's hint up to this is slept out while the claim is held; a longer one defers the event.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// A refused key is tried again after this: somebody has to change it first.
const KEY_REFUSED: Duration = Duration::from_secs(300);
/// A key that cannot be read is looked for again after this.
const KEY_MISSING: Duration = Duration::from_secs(60);
/// An empty account is tried again after this, each time by one event.
const NO_CREDIT: Duration = Duration::from_secs(900);
/// Too fast, all attempts long, and no hint: not before this.
const SLOW_DOWN: Duration = Duration::from_secs(30);

/// What follows.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Another attempt after this wait.
    Again(Duration),
    /// Another attempt at once, with a larger output cap.
    Longer,
    /// No more attempts now.
    Stop(Failure),
}

/// After attempt `tries` (1, 2, 3 ...) of this round.
pub(crate) fn after(attempted: Attempted, tries: u32, model: &Model) -> Next {
    let last = tries >= model.settings.attempts.max(1);
    let again = |hint: Option<Duration>, exhausted: Failure| match hint {
        Some(long) if long > LONGEST_SLEEP => {
            Next::Stop(Failure::new(Reason::RateLimited, exhausted.detail).wait(long))
        }
        _ if last => Next::Stop(exhausted),
        hint => Next::Again(model.policy.delay(tries, hint)),
    };
    match attempted {
        Attempted::NoAnswer(error) => no_answer(error, again),
        Attempted::Unusable(finish, text) => unusable(finish, text, tries, last, again),
        // Looked up again at once: most likely the other one's call is found on its way.
        Attempted::Taken if last => {
            Next::Stop(Failure::new(Reason::StoreUnavailable, "the journal is contended").wait(LONGEST_SLEEP))
        }
        Attempted::Taken | Attempted::Answered(_) => Next::Again(Duration::ZERO),
        Attempted::Journal(error) => Next::Stop(Failure::new(Reason::StoreUnavailable, error.to_string())),
    }
}

fn no_answer(error: CallError, again: impl Fn(Option<Duration>, Failure) -> Next) -> Next {
    let stop = |reason, detail, wait| Next::Stop(Failure::new(reason, detail).wait(wait));
    match error {
        CallError::NotSent(_) | CallError::Unknown(_) | CallError::Interrupted { .. } => {
            again(None, Failure::new(Reason::LlmUnavailable, error.to_string()))
        }
        CallError::NoKey(detail) => stop(Reason::SecretUnavailable, detail, KEY_MISSING),
        CallError::Rejected { class, detail, wait } => match class {
            Rejection::Transient | Rejection::Overloaded => {
                let mut failure = Failure::new(Reason::LlmUnavailable, detail);
                failure.wait = wait;
                again(wait, failure)
            }
            Rejection::RateLimited => {
                again(wait, Failure::new(Reason::RateLimited, detail).wait(wait.unwrap_or(SLOW_DOWN)))
            }
            Rejection::NotAgain => {
                let mut failure = Failure::new(Reason::LlmUnavailable, detail);
                failure.wait = wait;
                Next::Stop(failure)
            }
            Rejection::OutOfMoney | Rejection::QuotaSpent => {
                tracing::error!(%detail, "the LLM account is out of credit or at its limit");
                stop(Reason::RateLimited, detail, wait.unwrap_or_default().max(NO_CREDIT))
            }
            Rejection::Auth => {
                tracing::error!(%detail, "the LLM provider refuses our key");
                stop(Reason::SecretUnavailable, format!("the key is refused: {detail}"), KEY_REFUSED)
            }
            Rejection::Blocked => Next::Stop(Failure::new(Reason::LlmRefused, detail)),
            Rejection::Permanent | Rejection::ContextOverflow | Rejection::NoSuchModel => {
                Next::Stop(Failure::new(Reason::VendorRefused, detail))
            }
        },
    }
}

/// Billed, and no answer. Only a larger cap helps a cut one, once; a refusal would be repeated.
fn unusable(
    finish: Finish,
    text: String,
    tries: u32,
    last: bool,
    again: impl Fn(Option<Duration>, Failure) -> Next,
) -> Next {
    let word = finish_word(&finish);
    let stop = |reason, raw: String| {
        let mut failure = Failure::new(reason, word.clone());
        failure.raw = Some(raw).filter(|raw| !raw.is_empty());
        Next::Stop(failure)
    };
    match finish {
        Finish::Truncated if tries == 1 && !last => Next::Longer,
        Finish::Truncated | Finish::ContextFull => stop(Reason::InvalidOutput, text),
        Finish::Refused(words) => stop(Reason::LlmRefused, words),
        Finish::Blocked => stop(Reason::LlmRefused, text),
        Finish::Misbehaved(_) | Finish::Unknown(_) | Finish::Complete => {
            again(None, Failure::new(Reason::LlmUnavailable, word.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Next, after};
    use crate::{
        config::{ProviderKind, ProviderSettings},
        domain::reason::Reason,
        http::Http,
        llm::{
            contract::{CallError, Finish, Rejection},
            journal::Attempted,
            models::Model,
        },
    };

    fn model() -> Model {
        let mut settings = ProviderSettings::of_kind(ProviderKind::Rules).unwrap();
        settings.backoff = Duration::from_millis(10);
        Model::new("m", &settings, &Http::new().unwrap()).unwrap()
    }

    fn rejected(class: Rejection, wait: Option<u64>) -> Attempted {
        let wait = wait.map(Duration::from_secs);
        Attempted::NoAnswer(CallError::Rejected { class, detail: "d".into(), wait })
    }

    fn stopped(attempted: Attempted, tries: u32) -> Option<(Reason, Option<Duration>)> {
        match after(attempted, tries, &model()) {
            Next::Stop(failure) => Some((failure.reason, failure.wait)),
            Next::Again(_) | Next::Longer => None,
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_until_the_attempts_are_used() {
        for attempted in [
            || Attempted::NoAnswer(CallError::NotSent("x".into())),
            || Attempted::NoAnswer(CallError::Unknown("x".into())),
            || rejected(Rejection::Transient, None),
            || Attempted::Unusable(Finish::Unknown("odd".into()), String::new()),
        ] {
            assert_eq!(stopped(attempted(), 1), None);
            assert_eq!(stopped(attempted(), 2), None);
            assert_eq!(stopped(attempted(), 3), Some((Reason::LlmUnavailable, None)));
        }
    }

    #[test]
    fn hints_are_slept_out_or_defer_the_event() {
        match after(rejected(Rejection::RateLimited, Some(2)), 1, &model()) {
            Next::Again(wait) => assert_eq!(wait, Duration::from_secs(2)),
            other => panic!("{other:?}"),
        }
        let deferred = Some((Reason::RateLimited, Some(Duration::from_secs(60))));
        assert_eq!(stopped(rejected(Rejection::RateLimited, Some(60)), 1), deferred);
        assert_eq!(stopped(rejected(Rejection::Transient, Some(60)), 1), deferred);
        let slow = Some((Reason::RateLimited, Some(super::SLOW_DOWN)));
        assert_eq!(stopped(rejected(Rejection::RateLimited, None), 3), slow);
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        for (class, reason) in [
            (Rejection::OutOfMoney, Reason::RateLimited),
            (Rejection::Auth, Reason::SecretUnavailable),
            (Rejection::NotAgain, Reason::LlmUnavailable),
            (Rejection::Blocked, Reason::LlmRefused),
            (Rejection::Permanent, Reason::VendorRefused),
        ] {
            assert_eq!(
                stopped(rejected(class, None), 1).map(|(reason, _)| reason),
                Some(reason),
                "{class:?}"
            );
        }
        let refused = Attempted::Unusable(Finish::Refused("no".into()), String::new());
        assert_eq!(stopped(refused, 1), Some((Reason::LlmRefused, None)));
    }

    #[test]
    fn a_cut_answer_gets_one_larger_cap() {
        let cut = || Attempted::Unusable(Finish::Truncated, "{\"a".into());
        assert_eq!(after(cut(), 1, &model()), Next::Longer);
        assert_eq!(stopped(cut(), 2), Some((Reason::InvalidOutput, None)));
    }
}
