//! The way of one attempt: durable before the socket is written, its end recorded before anyone uses it. An attempt
//! that is on the wire runs on when nobody waits for it any more, because it is paid for.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    crash_point,
    domain::{
        call::{Begun, COPIED, CallEnd, CallState, JournalEntry, LapsedCall, Opens, StepKey},
        ids::TenantId,
        money::Money,
    },
    llm::{
        attempt::{Attempt, Attempted, Seen, Stored, Wanted, seen, stored_text},
        books::Books,
        call_metrics,
        contract::{CallError, Completion, Embedded, Finish},
        gate::gates::{Obstacle, PATIENCE, Permit},
        next, over_budget,
    },
    retry::RetryPolicy,
    store::{
        contract::{Store, StoreError},
        group::GroupCommit,
    },
};

/// Between tries to record the end of a paid call while the database is away.
const RECORD_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A call that waits at a gate is given up this long after our patience.
const RESERVED_GRACE: Duration = Duration::from_secs(5);
/// How much longer than asked for a provider's own time-out may take.
const TIMEOUT_GRACE: Duration = Duration::from_millis(500);
/// Lapsed calls that are ended at once.
const LAPSED: i64 = 100;

/// Everything that an attempt needs of the world.
pub(crate) struct Journal {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Arc<GroupCommit>,
    pub(crate) books: Books,
}

impl Journal {
    /// Looks a step up. Calls that are overdue are recorded as ambiguous on the way, charged at their worst
    /// case; should their end be recorded in the same moment, that counts.
    pub(crate) async fn look_up(&self, step: &StepKey, tenant: &TenantId) -> Result<Seen, StoreError> {
        let mut entries = self.store.journal_find(step).await?;
        let overdue = |entry: &&JournalEntry| entry.state == CallState::Sent && entry.overdue;
        if entries.iter().any(|entry| overdue(&entry)) {
            for entry in entries.iter().filter(overdue) {
                let call = LapsedCall { step: step.clone(), tenant: tenant.clone(), entry: entry.clone() };
                self.writer.journal_finish(self.books.lost(&call)).await?;
            }
            entries = self.store.journal_find(step).await?;
        }
        Ok(seen(step, &entries))
    }

    /// Marks an answer as unusable.
    pub(crate) async fn reject(&self, stored: &Stored) -> Result<(), StoreError> {
        self.store.journal_reject(&stored.step, stored.attempt).await
    }

    /// Ends what nobody else will end.
    pub(crate) async fn end_lapsed(&self) -> Result<usize, StoreError> {
        let lapsed = self.store.journal_lapsed(LAPSED).await?;
        for call in &lapsed {
            tracing::warn!(event_key = %call.step.event, step = %call.step.step, "a call was sent, and its owner is gone: charged at its worst case");
            self.writer.journal_finish(self.books.lost(call)).await?;
        }
        Ok(lapsed.len())
    }

    /// Stores the answer to an equal question as the answer to this one, at no cost.
    pub(crate) async fn copy(&self, attempt: &Attempt, text: &str) -> Result<Option<Stored>, StoreError> {
        let mut start = self.books.start(attempt, Opens::Sent);
        (start.worst_cost, start.hold) = (Some(Money::ZERO), Some(Money::ZERO));
        start.provider = COPIED.to_owned();
        match self.writer.journal_begin(start).await? {
            Begun::Written => {}
            Begun::Taken | Begun::OverBudget(_) => return Ok(None),
        }
        self.writer.journal_finish(self.books.cached(attempt, text)).await?;
        Ok(Some(attempt.stored(text)))
    }

    /// The whole attempt. To be run in a task of its own.
    pub(crate) async fn run(self: Arc<Self>, attempt: Attempt) -> Attempted {
        crash_point::reach("before_reserved");
        match self.admit(&attempt).await {
            Ok(permit) => self.call(attempt, permit).await,
            Err(attempted) => attempted,
        }
    }

    /// Through the gates and into the journal as `sent`: in one write where nothing has to be waited for, else
    /// reserved first, so that the money is set aside while it waits.
    async fn admit(&self, attempt: &Attempt) -> Result<Permit, Attempted> {
        let tokens = attempt.gates.estimate(
            attempt.prompt_id(),
            attempt.wanted.input_tokens(),
            attempt.wanted.max_output(),
        );
        match attempt.gates.try_enter(tokens) {
            Ok(permit) => {
                crash_point::reach("before_sent");
                self.begin(attempt, Opens::Sent).await?;
                crash_point::reach("sent_committed");
                Ok(permit)
            }
            Err(Obstacle::Later(shut)) => Err(Attempted::Shut(shut)),
            Err(Obstacle::Soon) => self.wait_reserved(attempt, tokens).await,
        }
    }

    async fn wait_reserved(&self, attempt: &Attempt, tokens: i64) -> Result<Permit, Attempted> {
        self.begin(attempt, Opens::Reserved(PATIENCE + RESERVED_GRACE)).await?;
        crash_point::reach("reserved");
        let permit = match attempt.gates.enter(tokens).await {
            Ok(permit) if attempt.is_awaited() => permit,
            Ok(_) => {
                self.give_up(attempt, "nobody waits for it any more").await;
                return Err(Attempted::Taken);
            }
            Err(shut) => {
                self.give_up(attempt, &shut.why).await;
                return Err(Attempted::Shut(shut));
            }
        };
        crash_point::reach("before_sent");
        let sent = timed("send", self.writer.journal_send(attempt.id())).await;
        match sent {
            Ok(true) => {
                crash_point::reach("sent_committed");
                Ok(permit)
            }
            Ok(false) => Err(Attempted::Taken),
            Err(error) => {
                self.give_up(attempt, "the journal cannot be written").await;
                Err(Attempted::Journal(error))
            }
        }
    }

    async fn begin(&self, attempt: &Attempt, opens: Opens) -> Result<(), Attempted> {
        let start = self.books.start(attempt, opens);
        let hold = start.hold;
        match timed("begin", self.writer.journal_begin(start)).await {
            Ok(Begun::Written) => Ok(()),
            Ok(Begun::Taken) => Err(Attempted::Taken),
            Ok(Begun::OverBudget(status)) => {
                Err(Attempted::OverBudget(over_budget::failure(&status, hold, self.books.clock.now()), hold))
            }
            Err(error) => Err(Attempted::Journal(error)),
        }
    }

    /// Gives the money back at once; should that fail, it lapses.
    async fn give_up(&self, attempt: &Attempt, why: &str) {
        if let Err(error) = self.writer.journal_finish(self.books.given_up(attempt, why)).await {
            tracing::debug!(event_key = %attempt.step.event, %error, "a reservation is left to lapse");
        }
    }

    async fn call(&self, attempt: Attempt, mut permit: Permit) -> Attempted {
        permit.sent();
        let begun = Instant::now();
        let result = wire(&attempt).await;
        let took = begun.elapsed();
        if result.is_ok() {
            crash_point::reach("answer_received");
        }
        let (verdict, overloaded, used) = next::verdict(&result);
        permit.ended(verdict, overloaded, attempt.prompt_id(), used);
        let end = self.books.end(&attempt, &result, took);
        call_metrics::record(&attempt.model, &end, &result, took);
        let recorded = timed("finish", self.finish(&attempt, end)).await;
        if result.is_ok() {
            crash_point::reach("answer_stored");
        }
        match (recorded, result) {
            (Err(error), _) => Attempted::Journal(error),
            (Ok(()), Err(error)) => Attempted::NoAnswer(error),
            (Ok(()), Ok(completion)) => match stored_text(&attempt.wanted, &completion) {
                Some(text) => Attempted::Answered(attempt.stored(&text)),
                None => Attempted::Unusable(completion.finish, completion.text),
            },
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
}

/// The one place from which a provider is called.
async fn wire(attempt: &Attempt) -> Result<Completion, CallError> {
    let provider = &attempt.model.provider;
    let call = async {
        match &attempt.wanted {
            Wanted::Answer(request) => provider.complete(request).await,
            Wanted::Vectors(request) => provider.embed(request).await.and_then(as_completion),
        }
    };
    // Providers keep their own time-outs; past this one others take the call for lost.
    let longest = attempt.wanted.longest() + TIMEOUT_GRACE;
    let late = || CallError::Unknown(format!("nothing after {} s", longest.as_secs()));
    tokio::time::timeout(longest, call).await.unwrap_or_else(|_| Err(late()))
}

/// Vectors are kept as text, as any answer.
fn as_completion(embedded: Embedded) -> Result<Completion, CallError> {
    let text = serde_json::to_string(&embedded.vectors)
        .map_err(|error| CallError::Unknown(format!("vectors that are no numbers: {error}")))?;
    Ok(Completion {
        text,
        finish: Finish::Complete,
        served_model: embedded.served_model,
        served_tier: None,
        usage: embedded.usage,
        usage_source: embedded.usage_source,
        request_id: embedded.request_id,
    })
}

async fn timed<T>(verb: &'static str, write: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let written = write.await;
    metrics::histogram!("longshore_llm_journal_seconds", "verb" => verb)
        .record(begun.elapsed().as_secs_f64());
    written
}
