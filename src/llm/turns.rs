//! From one question to a whole answer: a text that the output cap cut is continued, JSON that breaks its schema is
//! repaired once.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    domain::{outcome::Failure, reason::Reason},
    llm::{
        contract::{AnswerShape, Answered, Question, StepContext},
        models::Model,
        order::Order,
        output,
        purchase::unavailable,
        route_walk::{Bought, By, Walker},
    },
};

/// Each makes an answer worth less than one at the first go; the factors are multiplied.
const REPAIRED: f64 = 0.7;
const CONTINUED: f64 = 0.9;
const FROM_A_FALLBACK: f64 = 0.9;
const CUT: f64 = 0.5;
const BY_RULES: f64 = 0.3;

/// A whole answer.
pub(crate) async fn answer(
    walker: &Walker,
    route: &[Arc<Model>],
    context: &StepContext,
    question: &Question,
) -> Result<Answered, Failure> {
    let first = walker.get(&Order::first(context, question), route).await?;
    match &question.answer {
        AnswerShape::Text => continued(walker, route, context, question, first).await,
        AnswerShape::Json { schema, .. } => match output::check(schema, &first.stored.text) {
            Ok(value) => Ok(answered(question, value, &[&first], 1.0)),
            Err(bad) => repaired(walker, route, context, question, (schema, first, bad)).await,
        },
    }
}

/// Each further turn is asked of the model that spoke last, first.
async fn continued(
    walker: &Walker,
    route: &[Arc<Model>],
    context: &StepContext,
    question: &Question,
    first: Bought,
) -> Result<Answered, Failure> {
    let mut text = first.stored.text.clone();
    let (mut said, mut quality) = (vec![first], 1.0);
    for turn in 1..=question.policy.continuations {
        let Some(last) = said.last().filter(|last| last.stored.cut) else { break };
        let heard = said.iter().all(|bought| bought.fresh);
        let order = Order::continuation(context, question, turn, &text, heard);
        let next = walker.get(&order, &beginning_with(&last.model, route)).await?;
        text.push_str(&next.stored.text);
        quality *= CONTINUED;
        said.push(next);
    }
    let truncated = said.last().is_some_and(|last| last.stored.cut);
    let quality = if truncated { quality * CUT } else { quality };
    let said: Vec<&Bought> = said.iter().collect();
    Ok(Answered { truncated, ..answered(question, Value::String(text), &said, quality) })
}

async fn repaired(
    walker: &Walker,
    route: &[Arc<Model>],
    context: &StepContext,
    question: &Question,
    (schema, first, bad): (&Value, Bought, output::Unusable),
) -> Result<Answered, Failure> {
    tracing::warn!(event_key = %context.held.key, step = %question.step, what = %bad.place, "the answer breaks its schema: asking for a repair");
    let order = Order::repair(context, question, &first.stored.text, &bad.problem);
    let second = walker.get(&order, &beginning_with(&first.model, route)).await?;
    match output::check(schema, &second.stored.text) {
        Ok(value) => Ok(answered(question, value, &[&first, &second], REPAIRED)),
        Err(bad) => {
            // Not to be used again by a replay; the first is the cause, the second alone would never be asked.
            for bought in [&second, &first] {
                let rejected = walker.buyer.journal.reject(&bought.stored).await;
                rejected.map_err(|error| unavailable(&error))?;
            }
            let mut failure = Failure::new(Reason::InvalidOutput, bad.place);
            failure.raw = Some(second.stored.text);
            Err(failure)
        }
    }
}

fn beginning_with(model: &Arc<Model>, route: &[Arc<Model>]) -> Vec<Arc<Model>> {
    let others = route.iter().filter(|other| other.name != model.name);
    std::iter::once(model).chain(others).cloned().collect()
}

fn answered(question: &Question, value: Value, said: &[&Bought], quality: f64) -> Answered {
    let last = said.last();
    let by = |by: By| said.iter().any(|bought| bought.by == by);
    let quality = quality
        * if by(By::Fallback) { FROM_A_FALLBACK } else { 1.0 }
        * if by(By::Rules) { BY_RULES } else { 1.0 };
    Answered {
        value,
        provider: last.map_or_else(String::new, |last| last.model.kind.to_owned()),
        model: last.map_or_else(String::new, |last| last.model.model.clone()),
        prompt: question.prompt.clone(),
        quality,
        truncated: false,
        calls: said.iter().map(|bought| bought.stored.ledger_id.clone()).collect(),
    }
}
