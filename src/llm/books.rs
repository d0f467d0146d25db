//! What a call is charged: its journal entry in the beginning and at its end, its ledger row, its money.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Clock,
    config::Unpriced,
    domain::{
        call::{CallEnd, CallResult, CallStart, LapsedCall, Opens},
        ids::Revision,
        money::Money,
        record::{LedgerRow, LedgerStatus},
        usage::{Usage, UsageSource},
    },
    llm::{
        attempt::{Attempt, Wanted, ledger_id, stored_text},
        contract::{AnswerShape, CallError, Completion, Finish, Request},
        models::Model,
        money::pricing::{PriceTable, Used},
    },
};

/// A call counts as running for this much longer than it may take, so that its end can be recorded.
const GRACE: Duration = Duration::from_secs(1);
/// What a request holds besides its texts, in tokens, generously.
const FRAMING: usize = 200;
/// Price version of what never costs anything.
const FREE: &str = "free";

/// Prices, and the clock by which they count.
pub(crate) struct Books {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<PriceTable>,
    pub(crate) unpriced: Unpriced,
}

impl Books {
    pub(crate) fn start(&self, attempt: &Attempt, opens: Opens) -> CallStart {
        CallStart {
            step: attempt.step.clone(),
            revision: attempt.revision,
            attempt: attempt.number,
            tenant: attempt.tenant.clone(),
            provider: attempt.model.kind.to_owned(),
            model: attempt.model.model.clone(),
            worst_cost: self.worst_case(&attempt.model, &attempt.wanted).map(|(cost, _)| cost),
            hold: self.hold(&attempt.model, &attempt.wanted),
            opens,
            timeout: attempt.wanted.longest() + GRACE,
        }
    }

    /// How an attempt ended that was on the wire.
    pub(crate) fn end(
        &self,
        attempt: &Attempt,
        result: &Result<Completion, CallError>,
        took: Duration,
    ) -> CallEnd {
        let hold = || self.hold(&attempt.model, &attempt.wanted).unwrap_or(Money::ZERO);
        let (charge, end) = match result {
            Ok(completion) => {
                let ledger = self.billed(attempt, completion, finished(&completion.finish), took);
                let charge = told(&ledger).unwrap_or_else(hold);
                (charge, answer(attempt, completion, ledger))
            }
            Err(CallError::Interrupted { detail, partial }) => {
                let ledger = self.billed(attempt, partial, LedgerStatus::Partial, took);
                let charge = told(&ledger).unwrap_or_else(hold);
                let detail = format!("the stream broke off: {detail}");
                (charge, CallResult::Failed { detail, ledger: Some(ledger) })
            }
            Err(error @ CallError::Unknown(_)) => {
                let worst = self.worst_case(&attempt.model, &attempt.wanted);
                let ledger = LedgerRow {
                    cost: worst.as_ref().map(|(cost, _)| *cost),
                    price_version: worst.map(|(_, version)| version),
                    ..self.row(attempt, LedgerStatus::Ambiguous, took)
                };
                (hold(), CallResult::Ambiguous { detail: error.to_string(), ledger })
            }
            Err(error) => (Money::ZERO, CallResult::Failed { detail: error.to_string(), ledger: None }),
        };
        ended(attempt, charge, end)
    }

    /// The end of an attempt that never reached the wire.
    pub(crate) fn given_up(&self, attempt: &Attempt, why: &str) -> CallEnd {
        let detail = format!("never sent: {why}");
        ended(attempt, Money::ZERO, CallResult::Failed { detail, ledger: None })
    }

    /// The end of an attempt that was not bought: an equal question had an answer.
    pub(crate) fn cached(&self, attempt: &Attempt, text: &str) -> CallEnd {
        let ledger =
            LedgerRow { cost: Some(Money::ZERO), ..self.row(attempt, LedgerStatus::Cached, Duration::ZERO) };
        ended(attempt, Money::ZERO, CallResult::Answered { text: text.to_owned(), ledger })
    }

    /// The end of a call whose owner died or lost its answer.
    pub(crate) fn lost(&self, call: &LapsedCall) -> CallEnd {
        let LapsedCall { step, tenant, entry } = call;
        let version = self.prices.worst_case(&entry.model, None, 0, 0, entry.sent_at);
        let ledger = LedgerRow {
            id: ledger_id(step, entry.revision, entry.attempt),
            tenant: tenant.clone(),
            at: self.clock.now(),
            event_key: step.event.clone(),
            step: step.step.clone(),
            status: LedgerStatus::Ambiguous,
            provider: entry.provider.clone(),
            requested_model: entry.model.clone(),
            served_model: None,
            usage: Usage::default(),
            usage_source: UsageSource::None,
            cost: entry.worst_cost,
            price_version: version.filter(|_| entry.worst_cost.is_some()).map(|(_, version)| version),
            latency_ms: 0,
            user: None,
            specialist: None,
            request_id: None,
            prompt: None,
            prompt_hash: None,
            requested_tier: None,
            served_tier: None,
        };
        let detail = "sent, and never heard of again".to_owned();
        CallEnd {
            step: step.clone(),
            revision: entry.revision,
            attempt: entry.attempt,
            charge: entry.hold.or(entry.worst_cost).unwrap_or(Money::ZERO),
            end: CallResult::Ambiguous { detail, ledger },
        }
    }

    /// What budgets set aside: the worst case, or what the settings say of a model without a price.
    pub(crate) fn hold(&self, model: &Model, wanted: &Wanted) -> Option<Money> {
        self.worst_case(model, wanted).map(|(cost, _)| cost).or_else(|| match self.unpriced {
            Unpriced::Refuse => None,
            Unpriced::Dearest => self.dearest(wanted),
        })
    }

    /// The model's context window in tokens, where it is known.
    pub(crate) fn window(&self, model: &Model) -> Option<u32> {
        model.settings.context.or_else(|| self.prices.context(&model.model))
    }

    /// A token is at least one byte, so the bytes of the request bound its tokens.
    fn worst_case(&self, model: &Model, wanted: &Wanted) -> Option<(Money, String)> {
        if model.free {
            return Some((Money::ZERO, FREE.to_owned()));
        }
        let (bytes, max_output) = size(wanted);
        let tier = wanted.tier();
        self.prices.worst_case(&model.model, tier.as_deref(), bytes, max_output, self.clock.now())
    }

    fn dearest(&self, wanted: &Wanted) -> Option<Money> {
        let (bytes, max_output) = size(wanted);
        self.prices.dearest(bytes, max_output, self.clock.now())
    }

    /// Priced by the model that answered: gateways may serve another than the one asked.
    fn billed(
        &self,
        attempt: &Attempt,
        completion: &Completion,
        status: LedgerStatus,
        took: Duration,
    ) -> LedgerRow {
        let served = completion.served_model.as_deref().unwrap_or(&attempt.model.model);
        let price = if attempt.model.free {
            Some((Money::ZERO, FREE.to_owned()))
        } else {
            let asked = attempt.wanted.tier();
            let tier = completion.served_tier.as_deref().or(asked.as_deref());
            let at = self.clock.now();
            self.prices.cost(&Used { model: served, tier, usage: &completion.usage, at })
        };
        LedgerRow {
            served_model: completion.served_model.clone(),
            served_tier: completion.served_tier.clone(),
            usage: completion.usage,
            usage_source: completion.usage_source,
            cost: price.as_ref().map(|(cost, _)| *cost),
            price_version: price.map(|(_, version)| version),
            request_id: completion.request_id.clone(),
            ..self.row(attempt, status, took)
        }
    }

    fn row(&self, attempt: &Attempt, status: LedgerStatus, took: Duration) -> LedgerRow {
        LedgerRow {
            id: ledger_id(&attempt.step, attempt.revision, attempt.number),
            tenant: attempt.tenant.clone(),
            at: self.clock.now(),
            event_key: attempt.step.event.clone(),
            step: attempt.step.step.clone(),
            status,
            provider: attempt.model.kind.to_owned(),
            requested_model: attempt.model.model.clone(),
            served_model: None,
            usage: Usage::default(),
            usage_source: UsageSource::None,
            cost: None,
            price_version: None,
            latency_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            user: attempt.person.user.clone(),
            specialist: attempt.person.specialist.clone(),
            request_id: None,
            prompt: attempt.prompt.as_ref().map(ToString::to_string),
            prompt_hash: attempt.prompt.as_ref().map(|prompt| prompt.hash.clone()),
            requested_tier: attempt.wanted.tier(),
            served_tier: None,
        }
    }
}

/// The cost, where the provider counted. An estimate may be too low, and a strict budget must not trust it.
fn told(ledger: &LedgerRow) -> Option<Money> {
    ledger.cost.filter(|_| ledger.usage_source == UsageSource::Provider)
}

fn ended(attempt: &Attempt, charge: Money, end: CallResult) -> CallEnd {
    CallEnd {
        step: attempt.step.clone(),
        revision: Revision(attempt.revision.0),
        attempt: attempt.number,
        charge,
        end,
    }
}

fn answer(attempt: &Attempt, completion: &Completion, ledger: LedgerRow) -> CallResult {
    match stored_text(&attempt.wanted, completion) {
        Some(text) => {
            CallResult::Answered { text, ledger: LedgerRow { status: LedgerStatus::Answered, ..ledger } }
        }
        None => CallResult::Failed { detail: finish_word(&completion.finish), ledger: Some(ledger) },
    }
}

fn finished(finish: &Finish) -> LedgerStatus {
    if *finish == Finish::Complete { LedgerStatus::Answered } else { LedgerStatus::Failed }
}

/// Bytes of what is asked, and the output cap.
fn size(wanted: &Wanted) -> (i64, u32) {
    let (bytes, max_output) = match wanted {
        Wanted::Answer(request) => (asked(request), request.max_output),
        Wanted::Vectors(request) => (request.texts.iter().map(String::len).sum(), 0),
    };
    (i64::try_from(bytes + FRAMING).unwrap_or(i64::MAX), max_output)
}

fn asked(request: &Request) -> usize {
    let schema = match &request.answer {
        AnswerShape::Text => 0,
        AnswerShape::Json { schema, .. } => schema.to_string().len(),
    };
    request.system.len() + schema + request.turns.iter().map(|turn| turn.text.len()).sum::<usize>()
}

/// For operators; a model's own words may hold personal data and stay out.
pub(crate) fn finish_word(finish: &Finish) -> String {
    match finish {
        Finish::Complete => "complete".to_owned(),
        Finish::Truncated => "cut off by the output cap".to_owned(),
        Finish::Refused(_) => "refused by the model".to_owned(),
        Finish::ContextFull => "the context window is full".to_owned(),
        Finish::Misbehaved(word) => format!("the model broke down: {word}"),
        Finish::Blocked => "stopped by a content filter".to_owned(),
        Finish::Unknown(word) => format!("unknown finish reason `{word}`"),
    }
}
