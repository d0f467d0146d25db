//! What follows an attempt without an answer: the one place where error classes become decisions.

use std::time::Duration;

use crate::{
    domain::{money::Money, outcome::Failure, reason::Reason},
    llm::{
        attempt::Attempted,
        books::finish_word,
        gate::{
            breaker::{Shut, Verdict},
            gates::{PATIENCE, Used},
        },
        models::Model,
        wire::{CallError, Completion, Finish, Rejection},
    },
};

/// A model that refuses our key is tried again after this: somebody has to change it first.
const KEY_REFUSED: Duration = Duration::from_secs(300);
/// A key that cannot be read is looked for again after this.
const KEY_MISSING: Duration = Duration::from_secs(60);
/// An account without credit, or past its quota, is tried again after this, by one call.
const NO_CREDIT: Duration = Duration::from_secs(900);
/// Too fast, all attempts long, and no hint: not before this.
const SLOW_DOWN: Duration = Duration::from_secs(30);
/// A model that breaks down is asked once more.
const MISBEHAVED: u32 = 2;

/// What follows.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Another attempt after this wait.
    Again(Duration),
    /// Another attempt at once, with this output cap.
    Longer(u32),
    /// No more attempts of this model now.
    Over(Gave),
}

/// A model without an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Gave {
    pub(crate) why: Why,
    /// What becomes of the event where no other model answers.
    pub(crate) failure: Failure,
}

/// Why a model gave no answer: decides whether another one is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Why {
    /// It is left alone for a while: an outage, no credit, a refused key.
    Down,
    /// Every attempt failed; it may be the question.
    Failed,
    /// It asks to wait, or others wait for it already.
    Busy,
    /// The budget does not allow it at this worst case; `None`: its price is not known.
    OverBudget(Option<Money>),
    /// The question is longer than its window.
    TooLong,
    /// It declined, or a filter did.
    Refused,
    /// It is not there, or not for us.
    NoSuchModel,
    /// No other model would change it.
    Final,
}

impl Why {
    /// In metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::OverBudget(_) => "over_budget",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::NoSuchModel => "no_such_model",
            Self::Final => "final",
        }
    }
}

impl Gave {
    pub(crate) fn new(why: Why, failure: Failure) -> Self {
        Self { why, failure }
    }

    /// A gate is shut.
    pub(crate) fn shut(shut: Shut) -> Self {
        let (why, reason) =
            if shut.asked { (Why::Busy, Reason::RateLimited) } else { (Why::Down, Reason::RouteDown) };
        Self::new(why, Failure::new(reason, shut.why).wait(shut.wait))
    }

    fn last(reason: Reason, detail: impl Into<String>) -> Self {
        Self::new(Why::Final, Failure::new(reason, detail))
    }
}

/// Where a purchase stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// Attempts that were sent in this round: 1, 2, 3 ...
    pub(crate) times: u32,
    /// The output cap of the last one.
    pub(crate) cap: u32,
    /// It was raised already.
    pub(crate) raised: bool,
}

/// After an attempt. `shut`: the model's breaker, should it be open now.
pub(crate) fn after(attempted: Attempted, tried: Tried, model: &Model, shut: Option<Shut>) -> Next {
    let last = tried.times >= model.settings.attempts.max(1);
    match attempted {
        Attempted::NoAnswer(error) => no_answer(error, &Retry { tried, last, model, shut }),
        Attempted::Unusable(finish, text) => unusable(finish, text, &Retry { tried, last, model, shut }),
        Attempted::Shut(shut) => Next::Over(Gave::shut(shut)),
        Attempted::OverBudget(failure, hold) => Next::Over(Gave::new(Why::OverBudget(hold), failure)),
        // Looked up again at once: most likely the other one's call is found on its way.
        Attempted::Taken if last => Next::Over(Gave::new(
            Why::Final,
            Failure::new(Reason::StoreUnavailable, "the journal is contended").wait(PATIENCE),
        )),
        Attempted::Taken | Attempted::Answered(_) => Next::Again(Duration::ZERO),
        Attempted::Journal(error) => Next::Over(Gave::last(Reason::StoreUnavailable, error.to_string())),
    }
}

struct Retry<'a> {
    tried: Tried,
    last: bool,
    model: &'a Model,
    shut: Option<Shut>,
}

impl Retry<'_> {
    /// It failed in a way that may pass.
    fn failed(&self, detail: String, hint: Option<Duration>) -> Next {
        match (&self.shut, hint) {
            (Some(shut), _) if !shut.asked => Next::Over(Gave::shut(shut.clone())),
            (_, Some(long)) if long > PATIENCE => {
                Next::Over(Gave::new(Why::Busy, Failure::new(Reason::RateLimited, detail).wait(long)))
            }
            _ if self.last => Next::Over(self.exhausted(detail, hint)),
            _ => Next::Again(self.model.policy.delay(self.tried.times, hint)),
        }
    }

    fn exhausted(&self, detail: String, hint: Option<Duration>) -> Gave {
        let mut failure = Failure::new(Reason::LlmUnavailable, detail);
        failure.wait = hint;
        Gave::new(Why::Failed, failure)
    }

    fn too_fast(&self, detail: String, hint: Option<Duration>) -> Next {
        if self.last || hint.is_some_and(|hint| hint > PATIENCE) {
            return not_now(detail, hint);
        }
        Next::Again(self.model.policy.delay(self.tried.times, hint))
    }

    /// The breaker has opened with this answer; its wait counts.
    fn away(&self, detail: String, wait: Duration) -> Next {
        let wait = self.shut.as_ref().map_or(wait, |shut| shut.wait.max(wait));
        Next::Over(Gave::new(Why::Down, Failure::new(Reason::RouteDown, detail).wait(wait)))
    }
}

/// The event waits for it, and that is no failure of the event.
fn not_now(detail: String, hint: Option<Duration>) -> Next {
    let failure = Failure::new(Reason::RateLimited, detail).wait(hint.unwrap_or(SLOW_DOWN));
    Next::Over(Gave::new(Why::Busy, failure))
}

fn no_answer(error: CallError, retry: &Retry<'_>) -> Next {
    let over = |why, reason, detail| Next::Over(Gave::new(why, Failure::new(reason, detail)));
    match error {
        CallError::NotSent(_) | CallError::Unknown(_) | CallError::Interrupted { .. } => {
            retry.failed(error.to_string(), None)
        }
        CallError::NoKey(detail) => retry.away(detail, KEY_MISSING),
        CallError::Rejected { class, detail, wait } => match class {
            Rejection::Transient | Rejection::Overloaded => retry.failed(detail, wait),
            Rejection::RateLimited => retry.too_fast(detail, wait),
            Rejection::NotNow => not_now(detail, wait),
            Rejection::NotAgain => Next::Over(retry.exhausted(detail, wait)),
            Rejection::OutOfMoney | Rejection::QuotaSpent => retry.away(detail, no_credit(class, wait)),
            Rejection::Auth => retry.away(format!("the key is refused: {detail}"), KEY_REFUSED),
            Rejection::Blocked => over(Why::Refused, Reason::LlmRefused, detail),
            Rejection::ContextOverflow => over(Why::TooLong, Reason::VendorRefused, detail),
            Rejection::NoSuchModel => over(Why::NoSuchModel, Reason::VendorRefused, detail),
            Rejection::Permanent => Next::Over(Gave::last(Reason::VendorRefused, detail)),
        },
    }
}

/// Billed, and no answer. Only a larger cap helps a cut one, once; a refusal would be repeated.
fn unusable(finish: Finish, text: String, retry: &Retry<'_>) -> Next {
    let word = finish_word(&finish);
    let over = |why, reason, raw: String| {
        let mut failure = Failure::new(reason, word.clone());
        failure.raw = Some(raw).filter(|raw| !raw.is_empty());
        Next::Over(Gave::new(why, failure))
    };
    let larger = retry.tried.cap.saturating_mul(2).min(retry.model.settings.max_output.unwrap_or(u32::MAX));
    match finish {
        Finish::Truncated if !retry.tried.raised && larger > retry.tried.cap => Next::Longer(larger),
        Finish::Truncated => over(Why::Final, Reason::InvalidOutput, text),
        Finish::ContextFull => over(Why::TooLong, Reason::InvalidOutput, text),
        Finish::Refused(words) => over(Why::Refused, Reason::LlmRefused, words),
        Finish::Blocked => over(Why::Refused, Reason::LlmRefused, text),
        Finish::Misbehaved(_) if retry.tried.times >= MISBEHAVED => Next::Over(retry.exhausted(word, None)),
        Finish::Misbehaved(_) | Finish::Unknown(_) | Finish::Complete => retry.failed(word, None),
    }
}

fn no_credit(class: Rejection, hint: Option<Duration>) -> Duration {
    match (class, hint) {
        (Rejection::QuotaSpent, Some(hint)) => hint,
        (_, hint) => hint.unwrap_or_default().max(NO_CREDIT),
    }
}

/// What a call says about its model, whether it was too much at once, and what it used.
pub(crate) fn verdict(result: &Result<Completion, CallError>) -> (Verdict, bool, Used) {
    let counted = |completion: &Completion| Used::Counted(completion.usage.input(), completion.usage.output);
    let error = match result {
        Ok(completion) => return (Verdict::Well, false, counted(completion)),
        Err(error) => error,
    };
    let failed = || Verdict::Failed(error.to_string());
    match error {
        CallError::NotSent(_) => (failed(), false, Used::Nothing),
        CallError::Unknown(_) => (failed(), false, Used::Unknown),
        CallError::Interrupted { partial, .. } => (failed(), false, counted(partial)),
        CallError::NoKey(detail) => (Verdict::Away(KEY_MISSING, detail.clone()), false, Used::Nothing),
        CallError::Rejected { class, detail, wait } => {
            let verdict = match class {
                Rejection::Transient | Rejection::Overloaded | Rejection::NotAgain => failed(),
                Rejection::RateLimited | Rejection::NotNow => Verdict::TooFast(*wait),
                Rejection::OutOfMoney | Rejection::QuotaSpent => {
                    Verdict::Away(no_credit(*class, *wait), detail.clone())
                }
                Rejection::Auth => Verdict::Away(KEY_REFUSED, format!("the key is refused: {detail}")),
                Rejection::Blocked
                | Rejection::ContextOverflow
                | Rejection::NoSuchModel
                | Rejection::Permanent => Verdict::Well,
            };
            let overloaded =
                matches!(class, Rejection::RateLimited | Rejection::NotNow | Rejection::Overloaded);
            (verdict, overloaded, Used::Nothing)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Gave, Next, Tried, Why, after};
    use crate::{
        config::{ProviderKind, ProviderSettings},
        domain::reason::Reason,
        http::Http,
        llm::{
            attempt::Attempted,
            gate::breaker::Shut,
            models::Model,
            wire::{CallError, Finish, Rejection},
        },
    };

    fn model() -> Model {
        let mut settings = ProviderSettings::of_kind(ProviderKind::Rules).unwrap();
        settings.backoff = Duration::from_millis(10);
        settings.max_output = Some(150);
        Model::new("m", &settings, &Http::new().unwrap()).unwrap()
    }

    fn rejected(class: Rejection, wait: Option<u64>) -> Attempted {
        let wait = wait.map(Duration::from_secs);
        Attempted::NoAnswer(CallError::Rejected { class, detail: "d".into(), wait })
    }

    fn tried(times: u32) -> Tried {
        Tried { times, cap: 100, raised: false }
    }

    fn over(attempted: Attempted, times: u32) -> Option<(Why, Reason, Option<Duration>)> {
        match after(attempted, tried(times), &model(), None) {
            Next::Over(Gave { why, failure }) => Some((why, failure.reason, failure.wait)),
            Next::Again(_) | Next::Longer(_) => None,
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_until_the_attempts_are_used() {
        for attempted in [
            || Attempted::NoAnswer(CallError::NotSent("x".into())),
            || Attempted::NoAnswer(CallError::Unknown("x".into())),
            || rejected(Rejection::Transient, None),
            || rejected(Rejection::Overloaded, Some(2)),
            || Attempted::Unusable(Finish::Unknown("odd".into()), String::new()),
        ] {
            assert_eq!(over(attempted(), 1), None);
            assert_eq!(over(attempted(), 2), None);
            let (why, reason, _) = over(attempted(), 3).unwrap();
            assert_eq!((why, reason), (Why::Failed, Reason::LlmUnavailable));
        }
    }

    #[test]
    fn nothing_is_tried_again_at_a_model_that_is_left_alone() {
        let shut = Shut { wait: Duration::from_secs(30), why: "500".into(), asked: false };
        let next = after(rejected(Rejection::Transient, None), tried(1), &model(), Some(shut));
        let Next::Over(gave) = next else { panic!("{next:?}") };
        assert_eq!((gave.why, gave.failure.reason), (Why::Down, Reason::RouteDown));
        assert_eq!(gave.failure.wait, Some(Duration::from_secs(30)));
    }

    #[test]
    fn hints_are_slept_out_or_defer_the_event() {
        match after(rejected(Rejection::RateLimited, Some(2)), tried(1), &model(), None) {
            Next::Again(wait) => assert_eq!(wait, Duration::from_secs(2)),
            other => panic!("{other:?}"),
        }
        let deferred = Some((Why::Busy, Reason::RateLimited, Some(Duration::from_secs(60))));
        assert_eq!(over(rejected(Rejection::RateLimited, Some(60)), 1), deferred);
        assert_eq!(over(rejected(Rejection::Transient, Some(60)), 1), deferred);
        let slow = Some((Why::Busy, Reason::RateLimited, Some(super::SLOW_DOWN)));
        assert_eq!(over(rejected(Rejection::RateLimited, None), 3), slow);
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        for (class, why, reason) in [
            (Rejection::OutOfMoney, Why::Down, Reason::RouteDown),
            (Rejection::QuotaSpent, Why::Down, Reason::RouteDown),
            (Rejection::Auth, Why::Down, Reason::RouteDown),
            (Rejection::NotAgain, Why::Failed, Reason::LlmUnavailable),
            (Rejection::NotNow, Why::Busy, Reason::RateLimited),
            (Rejection::Blocked, Why::Refused, Reason::LlmRefused),
            (Rejection::ContextOverflow, Why::TooLong, Reason::VendorRefused),
            (Rejection::NoSuchModel, Why::NoSuchModel, Reason::VendorRefused),
            (Rejection::Permanent, Why::Final, Reason::VendorRefused),
        ] {
            let found = over(rejected(class, None), 1).map(|(why, reason, _)| (why, reason));
            assert_eq!(found, Some((why, reason)), "{class:?}");
        }
        let refused = Attempted::Unusable(Finish::Refused("no".into()), String::new());
        assert_eq!(over(refused, 1), Some((Why::Refused, Reason::LlmRefused, None)));
    }

    #[test]
    fn a_cut_answer_gets_one_larger_cap_that_the_model_can_give() {
        let cut = || Attempted::Unusable(Finish::Truncated, "{\"a".into());
        assert_eq!(after(cut(), tried(1), &model(), None), Next::Longer(150));
        for given in [Tried { raised: true, ..tried(2) }, Tried { cap: 150, ..tried(1) }] {
            let next = after(cut(), given, &model(), None);
            let Next::Over(gave) = next else { panic!("{next:?}") };
            assert_eq!((gave.why, gave.failure.reason), (Why::Final, Reason::InvalidOutput));
        }
    }

    #[test]
    fn a_model_that_breaks_down_is_asked_once_more() {
        let odd = || Attempted::Unusable(Finish::Misbehaved("malformed".into()), String::new());
        assert_eq!(over(odd(), 1), None);
        assert_eq!(over(odd(), 2), Some((Why::Failed, Reason::LlmUnavailable, None)));
    }
}
