//! What is to be had for one step: one turn of a question, or vectors of texts. The same for every model of a route;
//! each has its own key in the journal and its own request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    crash_point,
    domain::call::StepKey,
    llm::{
        attempt::Wanted,
        contract::{Pieces, Policy, PromptRef, Question, StepContext, Turn},
        models::Model,
        question_key,
        wire::{EmbedRequest, Request},
    },
};

/// One order.
pub(crate) struct Order<'a> {
    pub(crate) context: &'a StepContext,
    pub(crate) step: String,
    pub(crate) policy: Policy,
    what: What<'a>,
}

enum What<'a> {
    Turn(TurnOrder<'a>),
    Texts(&'a [String]),
}

struct TurnOrder<'a> {
    question: &'a Question,
    turns: Vec<Turn>,
    /// What the answer holds already, of which this turn is the continuation.
    so_far: String,
    /// Whoever listens has heard exactly that, and nothing of this turn.
    heard: AtomicBool,
}

impl<'a> Order<'a> {
    /// The question itself.
    pub(crate) fn first(context: &'a StepContext, question: &'a Question) -> Self {
        Self::turn(context, question, String::new(), Vec::new(), (String::new(), false))
    }

    /// The question, what was answered, and what is wrong with it.
    pub(crate) fn repair(
        context: &'a StepContext,
        question: &'a Question,
        answer: &str,
        problem: &str,
    ) -> Self {
        let more = vec![
            Turn::assistant(answer),
            Turn::user(format!(
                "That answer cannot be used: {problem}. Answer again with JSON that keeps the schema, and nothing else."
            )),
        ];
        Self::turn(context, question, ".repair".to_owned(), more, (String::new(), false))
    }

    /// The question, and what the output cap left of the answer. `heard`: who listens has heard that.
    pub(crate) fn continuation(
        context: &'a StepContext,
        question: &'a Question,
        turn: u32,
        so_far: &str,
        heard: bool,
    ) -> Self {
        let more = vec![
            Turn::assistant(so_far),
            Turn::user(
                "Your answer was cut off. Continue exactly where you stopped: repeat nothing, add no introduction.",
            ),
        ];
        Self::turn(context, question, format!(".continued{turn}"), more, (so_far.to_owned(), heard))
    }

    /// Vectors of texts.
    pub(crate) fn texts(context: &'a StepContext, step: &str, texts: &'a [String]) -> Self {
        Self { context, step: step.to_owned(), policy: Policy::default(), what: What::Texts(texts) }
    }

    fn turn(
        context: &'a StepContext,
        question: &'a Question,
        suffix: String,
        more: Vec<Turn>,
        (so_far, heard): (String, bool),
    ) -> Self {
        let turns = question.turns.iter().cloned().chain(more).collect();
        let heard = AtomicBool::new(heard);
        Self {
            context,
            step: question.step.clone() + &suffix,
            policy: question.policy.clone(),
            what: What::Turn(TurnOrder { question, turns, so_far, heard }),
        }
    }

    /// Its key in the journal, asked of this model.
    pub(crate) fn key(&self, model: &Model) -> StepKey {
        let event = &self.context.held.key;
        match &self.what {
            What::Turn(turn) => question_key::of_turn(event, &self.step, model, turn.question, &turn.turns),
            What::Texts(texts) => question_key::of_texts(event, &self.step, model, texts),
        }
    }

    pub(crate) fn prompt(&self) -> Option<&PromptRef> {
        match &self.what {
            What::Turn(turn) => Some(&turn.question.prompt),
            What::Texts(_) => None,
        }
    }

    /// The output cap of the first attempt.
    pub(crate) fn cap(&self, model: &Model) -> u32 {
        match &self.what {
            What::Turn(turn) => turn.question.max_output.min(model.settings.max_output.unwrap_or(u32::MAX)),
            What::Texts(_) => 0,
        }
    }

    /// May an answer to an equal question be used?
    pub(crate) fn is_cacheable(&self) -> bool {
        match &self.what {
            What::Turn(turn) => turn.question.nonce.is_none(),
            What::Texts(_) => false,
        }
    }

    /// What this model is sent, with this output cap; nobody hears it.
    pub(crate) fn wanted(&self, model: &Model, cap: u32) -> Wanted {
        let settings = &model.settings;
        let correlation_id = self.context.correlation_id.clone();
        match &self.what {
            What::Texts(texts) => Wanted::Vectors(EmbedRequest {
                model: model.model.clone(),
                texts: texts.to_vec(),
                correlation_id,
                timeout: settings.timeout,
            }),
            What::Turn(turn) => Wanted::Answer(Request {
                model: model.model.clone(),
                system: turn.question.system.clone(),
                turns: turn.turns.clone(),
                answer: turn.question.answer.clone(),
                max_output: cap,
                temperature: settings.temperature,
                reasoning_effort: settings.reasoning_effort.clone(),
                service_tier: settings.service_tier.clone(),
                stream: settings.stream.then(unheard),
                correlation_id,
                timeout: settings.timeout,
                idle_timeout: settings.idle_timeout,
            }),
        }
    }

    /// The same, heard by whoever listens to the answer.
    pub(crate) fn heard(&self, model: &Model, cap: u32) -> Wanted {
        let mut wanted = self.wanted(model, cap);
        if let (Wanted::Answer(request), What::Turn(turn)) = (&mut wanted, &self.what)
            && let Some(pieces) = &turn.question.pieces
        {
            request.stream = Some(turn.begin(pieces));
        }
        wanted
    }
}

/// For answers that are streamed and nobody listens to.
fn unheard() -> Pieces {
    Pieces(Arc::new(|_| crash_point::reach("piece_received")))
}

impl TurnOrder<'_> {
    /// What came of an attempt before is void; then what the answer holds already is said again.
    fn begin(&self, pieces: &Pieces) -> Pieces {
        let heard = self.heard.swap(false, Ordering::SeqCst);
        let listener = if heard {
            pieces.clone()
        } else {
            let listener = pieces.begin();
            if !self.so_far.is_empty() {
                (listener.0)(&self.so_far);
            }
            listener
        };
        let arrived = unheard();
        Pieces(Arc::new(move |piece| {
            (arrived.0)(piece);
            if !piece.is_empty() {
                (listener.0)(piece);
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::Order;
    use crate::{
        config::{ProviderKind, ProviderSettings},
        domain::{
            ids::{Revision, Ticket},
            outcome::Held,
        },
        http::Http,
        llm::{
            attempt::Wanted,
            contract::{AnswerShape, Pieces, Policy, PromptRef, Question, StepContext, Turn},
            models::Model,
        },
    };

    fn context() -> StepContext {
        let held = Held { key: "e".into(), revision: Revision(0), ticket: Ticket(1) };
        StepContext { held, tenant: "t".into(), correlation_id: "c".into(), person: None }
    }

    fn question(heard: &Arc<Mutex<Vec<String>>>) -> Question {
        let heard = Arc::clone(heard);
        Question {
            step: "s".to_owned(),
            prompt: PromptRef { id: "p".to_owned(), version: 1, hash: "h".to_owned() },
            system: String::new(),
            turns: vec![Turn::user("hi")],
            answer: AnswerShape::Text,
            max_output: 100,
            policy: Policy::default(),
            nonce: None,
            pieces: Some(Pieces(Arc::new(move |piece| heard.lock().unwrap().push(piece.to_owned())))),
        }
    }

    fn model() -> Model {
        let settings = ProviderSettings::of_kind(ProviderKind::Rules).unwrap();
        Model::new("m", &settings, &Http::new().unwrap()).unwrap()
    }

    fn hear(order: &Order<'_>, pieces: &[&str]) {
        let Wanted::Answer(request) = order.heard(&model(), 100) else { panic!() };
        pieces.iter().for_each(|piece| (request.stream.as_ref().unwrap().0)(piece));
    }

    #[test]
    fn what_a_cut_attempt_said_is_void_and_said_anew() {
        let heard = Arc::default();
        let (question, context) = (question(&heard), context());
        let order = Order::first(&context, &question);
        hear(&order, &["One", ", "]);
        hear(&order, &["One", "", ", two"]);
        let pieces: Vec<String> = heard.lock().unwrap().drain(..).collect();
        assert_eq!(pieces, ["", "One", ", ", "", "One", ", two"].map(str::to_owned));
    }

    #[test]
    fn a_continuation_goes_on_and_says_everything_again_only_where_it_was_cut() {
        let heard = Arc::default();
        let (question, context) = (question(&heard), context());
        let order = Order::continuation(&context, &question, 1, "One", true);
        hear(&order, &[", tw"]);
        hear(&order, &[", two"]);
        let pieces: Vec<String> = heard.lock().unwrap().drain(..).collect();
        assert_eq!(pieces, [", tw", "", "One", ", two"].map(str::to_owned));
    }
}
