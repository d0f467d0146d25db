//! One attempt of one step: what is asked of which model, for whom; and what came of it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    domain::{
        call::{CallId, CallState, JournalEntry, StepKey},
        ids::{Revision, TenantId},
        money::Money,
        outcome::Failure,
    },
    llm::{
        contract::{AnswerShape, CallError, Completion, EmbedRequest, Finish, Person, PromptRef, Request},
        gate::{breaker::Shut, gates::Gates},
        models::Model,
        vendors::estimate,
    },
    store::contract::StoreError,
};

/// A stream may take this many times the longest wait for its first piece.
const LONGEST_STREAM: u32 = 4;
/// Closes a stored text that the output cap cut. Complete texts lose it at their end, where it means nothing.
const CUT: char = '\u{1e}';

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) step: StepKey,
    pub(crate) revision: Revision,
    /// 1, 2, 3 ... within step and input.
    pub(crate) number: i32,
    pub(crate) tenant: TenantId,
    pub(crate) person: Person,
    pub(crate) model: Arc<Model>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) prompt: Option<PromptRef>,
    pub(crate) wanted: Wanted,
    /// Whoever asks holds the other end: what nobody waits for any more is not put on the wire.
    pub(crate) asker: Weak<()>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Answer(Request),
    Vectors(EmbedRequest),
}

/// An answer that is safe in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) step: StepKey,
    pub(crate) attempt: i32,
    pub(crate) text: String,
    /// The output cap cut it; only texts are stored so.
    pub(crate) cut: bool,
    pub(crate) ledger_id: String,
}

/// What came of an attempt.
pub(crate) enum Attempted {
    /// Stored.
    Answered(Stored),
    /// Billed and recorded, but no answer.
    Unusable(Finish, String),
    /// No completion; recorded.
    NoAnswer(CallError),
    /// A gate is shut: nothing was sent.
    Shut(Shut),
    /// A strict budget does not allow it, at this worst case; nothing was sent.
    OverBudget(Failure, Option<Money>),
    /// Somebody else has begun this attempt, or nobody waits for it any more: nothing was sent.
    Taken,
    /// The journal cannot be written.
    Journal(StoreError),
}

/// What the journal knows of a step.
pub(crate) enum Seen {
    /// Bought before.
    Stored(Stored),
    /// May be on the wire, or go there; certainly over after this long.
    Running(Duration),
    /// To be bought as this attempt.
    Free(i32),
}

impl Attempt {
    pub(crate) fn id(&self) -> CallId {
        CallId { step: self.step.clone(), attempt: self.number }
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.asker.strong_count() > 0
    }

    /// What the limiter learns answers by.
    pub(crate) fn prompt_id(&self) -> &str {
        self.prompt.as_ref().map_or("", |prompt| prompt.id.as_str())
    }

    pub(crate) fn stored(&self, text: &str) -> Stored {
        stored(&self.step, self.revision, self.number, text)
    }
}

impl Wanted {
    /// After this long without an end its fate is unknown.
    pub(crate) fn longest(&self) -> Duration {
        match self {
            Self::Answer(request) if request.stream.is_some() => request.timeout * LONGEST_STREAM,
            Self::Answer(request) => request.timeout,
            Self::Vectors(request) => request.timeout,
        }
    }

    pub(crate) fn tier(&self) -> Option<String> {
        match self {
            Self::Answer(request) => request.service_tier.clone(),
            Self::Vectors(_) => None,
        }
    }

    /// About so many tokens are asked.
    pub(crate) fn input_tokens(&self) -> i64 {
        match self {
            Self::Answer(request) => estimate::asked(request),
            Self::Vectors(request) => {
                estimate::tokens(request.texts.iter().map(|text| text.chars().count()).sum())
            }
        }
    }

    pub(crate) fn max_output(&self) -> u32 {
        match self {
            Self::Answer(request) => request.max_output,
            Self::Vectors(_) => 0,
        }
    }
}

/// The text that is kept of a completion; `None` where it is no answer. A text that the cap cut is kept, because it is
/// continued; JSON that the cap cut is worth nothing.
pub(crate) fn stored_text(wanted: &Wanted, completion: &Completion) -> Option<String> {
    let is_text = matches!(wanted, Wanted::Answer(Request { answer: AnswerShape::Text, .. }));
    match completion.finish {
        Finish::Complete => Some(completion.text.trim_end_matches(CUT).to_owned()),
        Finish::Truncated if is_text && !completion.text.is_empty() => {
            Some(format!("{}{CUT}", completion.text))
        }
        _ => None,
    }
}

/// What the journal's rows say about a step.
pub(crate) fn seen(step: &StepKey, entries: &[JournalEntry]) -> Seen {
    let good = |entry: &&JournalEntry| entry.state == CallState::Answered && !entry.rejected;
    if let Some((entry, text)) = entries.iter().rev().filter(good).find_map(|e| Some((e, e.text.as_deref()?)))
    {
        return Seen::Stored(stored(step, entry.revision, entry.attempt, text));
    }
    let under_way = |entry: &&JournalEntry| match entry.state {
        CallState::Sent => true,
        CallState::Reserved => !entry.overdue,
        CallState::Answered | CallState::Failed | CallState::Ambiguous => false,
    };
    match entries.iter().find(under_way) {
        Some(running) => Seen::Running(running.overdue_in),
        None => Seen::Free(entries.iter().map(|entry| entry.attempt).max().unwrap_or(0) + 1),
    }
}

fn stored(step: &StepKey, revision: Revision, attempt: i32, text: &str) -> Stored {
    let whole = text.strip_suffix(CUT);
    Stored {
        step: step.clone(),
        attempt,
        text: whole.unwrap_or(text).to_owned(),
        cut: whole.is_some(),
        ledger_id: ledger_id(step, revision, attempt),
    }
}

/// Event, revision, step, input and attempt: unique, and the same whoever works it out.
pub(crate) fn ledger_id(step: &StepKey, revision: Revision, attempt: i32) -> String {
    let input = step.input_hash.get(..8).unwrap_or(&step.input_hash);
    format!("{}@{revision}/{}/{input}/{attempt}", step.event, step.step)
}
