//! One attempt of one step: durable as `sent` before the socket is written, its end recorded before anyone
//! uses it. An attempt that has started runs on when nobody waits for it any more, because it is paid for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    clock::Clock,
    crash_point,
    domain::{
        call::{Begun, CallEnd, CallResult, CallStart, CallState, JournalEntry, Opens, StepKey},
        ids::{Revision, TenantId},
        money::Money,
        record::{LedgerRow, LedgerStatus},
        usage::{Usage, UsageSource},
    },
    llm::{
        call_metrics,
        contract::{AnswerShape, CallError, Completion, Finish, Person, Request},
        models::Model,
        money::pricing::{PriceTable, Used},
    },
    retry::RetryPolicy,
    store::{
        contract::{Store, StoreError},
        group::GroupCommit,
    },
};

/// A call counts as running for this much longer than it may take, so that its end can be recorded.
const GRACE: Duration = Duration::from_secs(1);
/// Between tries to record the end of a paid call while the database is away.
const RECORD_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What a request holds besides its texts, in tokens, generously.
const FRAMING: usize = 200;

/// Everything that an attempt needs of the world.
pub(crate) struct Journal {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Arc<GroupCommit>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<PriceTable>,
}

/// One attempt.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) step: StepKey,
    pub(crate) revision: Revision,
    pub(crate) number: i32,
    pub(crate) tenant: TenantId,
    pub(crate) model: Arc<Model>,
    pub(crate) request: Request,
    pub(crate) person: Person,
}

/// An answer that is safe in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) step: StepKey,
    pub(crate) attempt: i32,
    pub(crate) text: String,
    pub(crate) ledger_id: String,
}

/// What came of an attempt.
pub(crate) enum Attempted {
    /// Complete and stored.
    Answered(Stored),
    /// Billed and recorded, but no answer.
    Unusable(Finish, String),
    /// No completion; recorded.
    NoAnswer(CallError),
    /// Somebody else has begun this attempt, or the database asks to try again: nothing was sent.
    Taken,
    /// The journal cannot be written.
    Journal(StoreError),
}

/// What the journal knows of a step.
pub(crate) enum Seen {
    /// Bought before.
    Stored(Stored),
    /// May be on the wire; certainly over after this long.
    Running(Duration),
    /// To be bought as this attempt.
    Free(i32),
}

impl Journal {
    /// Looks a step up. Calls that are overdue are recorded as ambiguous on the way, charged at their worst
    /// case; should their end be recorded in the same moment, that counts.
    pub(crate) async fn look_up(&self, step: &StepKey, tenant: &TenantId) -> Result<Seen, StoreError> {
        let mut entries = self.store.journal_find(step).await?;
        let overdue = |entry: &&JournalEntry| entry.state == CallState::Sent && entry.overdue;
        if entries.iter().any(|entry| overdue(&entry)) {
            for entry in entries.iter().filter(overdue) {
                self.writer.journal_finish(self.lost(step, tenant, entry)).await?;
            }
            entries = self.store.journal_find(step).await?;
        }
        Ok(seen(step, &entries))
    }

    /// Marks an answer as unusable.
    pub(crate) async fn reject(&self, stored: &Stored) -> Result<(), StoreError> {
        self.store.journal_reject(&stored.step, stored.attempt).await
    }

    /// The whole attempt. To be run in a task of its own.
    pub(crate) async fn run(self: Arc<Self>, attempt: Attempt) -> Attempted {
        crash_point::reach("before_sent");
        match self.writer.journal_begin(self.start(&attempt)).await {
            Ok(Begun::Written) => {}
            Ok(Begun::Taken) => return Attempted::Taken,
            Ok(Begun::OverBudget(_)) => {
                return Attempted::Journal(StoreError::Refused("over budget".to_owned()));
            }
            Err(error) => return Attempted::Journal(error),
        }
        crash_point::reach("sent_committed");
        let begun = Instant::now();
        let result = attempt.model.provider.complete(&attempt.request).await;
        if result.is_ok() {
            crash_point::reach("answer_received");
        }
        let end = self.end(&attempt, &result, begun.elapsed());
        call_metrics::record(&attempt.model, &end, &result, begun.elapsed());
        let recorded = self.finish(&attempt, end).await;
        if result.is_ok() {
            crash_point::reach("answer_stored");
        }
        match (recorded, result) {
            (Err(error), _) => Attempted::Journal(error),
            (Ok(()), Err(error)) => Attempted::NoAnswer(error),
            (Ok(()), Ok(Completion { finish: Finish::Complete, text, .. })) => {
                let ledger_id = ledger_id(&attempt.step, attempt.revision, attempt.number);
                Attempted::Answered(Stored { step: attempt.step, attempt: attempt.number, text, ledger_id })
            }
            (Ok(()), Ok(completion)) => Attempted::Unusable(completion.finish, completion.text),
        }
    }

    /// Tries until the end is recorded: what was paid for is not given up because the database is away. Only
    /// a refusal ends it: that is a defect, and repeating would not help.
    async fn finish(&self, attempt: &Attempt, end: CallEnd) -> Result<(), StoreError> {
        let policy = RetryPolicy::new(RECORD_AGAIN.0, RECORD_AGAIN.1);
        for tries in 1.. {
            match self.writer.journal_finish(end.clone()).await {
                Ok(()) => break,
                Err(error @ (StoreError::Refused(_) | StoreError::Schema(_))) => {
                    tracing::error!(event_key = %attempt.step.event, step = %attempt.step.step, %error, "the end of a call cannot be recorded");
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(event_key = %attempt.step.event, step = %attempt.step.step, tries, %error, "the end of a call is not recorded yet");
                    tokio::time::sleep(policy.delay(tries, None)).await;
                }
            }
        }
        Ok(())
    }

    fn start(&self, attempt: &Attempt) -> CallStart {
        CallStart {
            step: attempt.step.clone(),
            revision: attempt.revision,
            attempt: attempt.number,
            tenant: attempt.tenant.clone(),
            provider: attempt.model.kind.to_owned(),
            model: attempt.model.model.clone(),
            worst_cost: self.worst_case(attempt).map(|(cost, _)| cost),
            hold: self.worst_case(attempt).map(|(cost, _)| cost),
            opens: Opens::Sent,
            timeout: attempt.model.settings.timeout + GRACE,
        }
    }

    fn end(&self, attempt: &Attempt, result: &Result<Completion, CallError>, took: Duration) -> CallEnd {
        let end = match result {
            Ok(completion) => self.paid(attempt, completion, took),
            Err(error @ CallError::Unknown(_)) => {
                let worst = self.worst_case(attempt);
                let ledger = LedgerRow {
                    cost: worst.as_ref().map(|(cost, _)| *cost),
                    price_version: worst.map(|(_, version)| version),
                    ..self.row(attempt, LedgerStatus::Ambiguous, took)
                };
                CallResult::Ambiguous { detail: error.to_string(), ledger }
            }
            Err(error) => CallResult::Failed { detail: error.to_string(), ledger: None },
        };
        CallEnd {
            step: attempt.step.clone(),
            revision: attempt.revision,
            attempt: attempt.number,
            charge: Money::ZERO,
            end,
        }
    }

    /// Priced by the model that answered: gateways may serve another than the one asked.
    fn paid(&self, attempt: &Attempt, completion: &Completion, took: Duration) -> CallResult {
        let served = completion.served_model.as_deref().unwrap_or(&attempt.model.model);
        let price = if attempt.model.free {
            Some((Money::ZERO, "free".to_owned()))
        } else {
            let tier = completion.served_tier.as_deref().or(attempt.request.service_tier.as_deref());
            let at = self.clock.now();
            self.prices.cost(&Used { model: served, tier, usage: &completion.usage, at })
        };
        let complete = completion.finish == Finish::Complete;
        let status = if complete { LedgerStatus::Answered } else { LedgerStatus::Failed };
        let ledger = LedgerRow {
            served_model: completion.served_model.clone(),
            usage: completion.usage,
            usage_source: completion.usage_source,
            cost: price.as_ref().map(|(cost, _)| *cost),
            price_version: price.map(|(_, version)| version),
            request_id: completion.request_id.clone(),
            ..self.row(attempt, status, took)
        };
        if complete {
            CallResult::Answered { text: completion.text.clone(), ledger }
        } else {
            CallResult::Failed { detail: finish_word(&completion.finish), ledger: Some(ledger) }
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
            prompt: None,
            prompt_hash: None,
            requested_tier: None,
            served_tier: None,
        }
    }

    /// The end of a call whose owner died or lost its answer.
    fn lost(&self, step: &StepKey, tenant: &TenantId, entry: &JournalEntry) -> CallEnd {
        let version =
            self.prices.worst_case(&entry.model, None, 0, 0, entry.sent_at).map(|(_, version)| version);
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
            price_version: version,
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
            charge: entry.hold.unwrap_or(Money::ZERO),
            end: CallResult::Ambiguous { detail, ledger },
        }
    }

    /// A token is at least one byte, so the bytes of the request bound its tokens.
    fn worst_case(&self, attempt: &Attempt) -> Option<(Money, String)> {
        if attempt.model.free {
            return Some((Money::ZERO, "free".to_owned()));
        }
        let request = &attempt.request;
        let turns: usize = request.turns.iter().map(|turn| turn.text.len()).sum();
        let schema = match &request.answer {
            AnswerShape::Text => 0,
            AnswerShape::Json { schema, .. } => schema.to_string().len(),
        };
        let bytes = request.system.len() + turns + schema + FRAMING;
        let tokens = i64::try_from(bytes).unwrap_or(i64::MAX);
        let tier = request.service_tier.as_deref();
        self.prices.worst_case(&attempt.model.model, tier, tokens, request.max_output, self.clock.now())
    }
}

fn seen(step: &StepKey, entries: &[JournalEntry]) -> Seen {
    let good = |entry: &&JournalEntry| entry.state == CallState::Answered && !entry.rejected;
    if let Some((entry, text)) = entries.iter().rev().filter(good).find_map(|e| Some((e, e.text.clone()?))) {
        let ledger_id = ledger_id(step, entry.revision, entry.attempt);
        return Seen::Stored(Stored { step: step.clone(), attempt: entry.attempt, text, ledger_id });
    }
    match entries.iter().find(|entry| entry.state == CallState::Sent) {
        Some(running) => Seen::Running(running.overdue_in),
        None => Seen::Free(entries.iter().map(|entry| entry.attempt).max().unwrap_or(0) + 1),
    }
}

/// Event, revision, step, input and attempt: unique, and the same whoever works it out.
fn ledger_id(step: &StepKey, revision: Revision, attempt: i32) -> String {
    let input = step.input_hash.get(..8).unwrap_or(&step.input_hash);
    format!("{}@{revision}/{}/{input}/{attempt}", step.event, step.step)
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
