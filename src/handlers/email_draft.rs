//! An e-mail is drafted from facts (RCE): asked once, checked, stored with what it used; on request made once more (NX-41).

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    domain::{
        event::Event,
        ids::{EventKey, sha256_hex},
        job::{EmailDraft, Regenerate},
        outcome::{Failure, Outcome},
        reason::Reason,
        record::{EmbeddingWrite, ResultWrite, Write},
    },
    handlers::{
        draft_quality::{Draft, check},
        embedding::vector,
        tools::{Tools, prompt_failure, step_context, store_failure},
    },
    llm::{
        contract::{AnswerShape, Answered, Question, StepContext},
        prompts::prompt::Prompt,
    },
    store::{contract::Work, report::SimilarQuery},
};

/// The prompt, the step, and the kind of the result.
const DRAFT: &str = "email_draft";
/// The step that makes the vector of the order.
const LOOK_STEP: &str = "email_draft.similar";
/// The step that makes the vector of the draft.
const KEEP_STEP: &str = "email_draft.embedding";
/// An earlier draft that is still being made is looked for again after this.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// What is asked to be made once more.
#[derive(Serialize)]
struct Again<'a> {
    nonce: &'a str,
    /// SHA-256 of the earlier draft, where there is one.
    previous: Option<String>,
}

pub(super) async fn handle(
    tools: &Tools,
    work: &Work,
    event: &Event,
    order: &EmailDraft,
) -> Result<Outcome, Failure> {
    let context = step_context(work, event, None);
    let prompt = tools.prompt(DRAFT)?;
    let previous = match &order.regenerate {
        Some(again) => previous(tools, event, again).await?,
        None => None,
    };
    let similar = similar(tools, &context, event, prompt, order).await;
    let question = question(prompt, order, previous.as_ref(), &similar)?;
    let answer = tools.gateway.ask(&context, &question).await?;
    let draft = read(order, &answer)?;
    let mut writes = vec![Write::Result(result(event, order, &draft, answer, previous.as_ref()))];
    writes.extend(embedding(tools, &context, event, &draft).await.map(Write::Embedding));
    Ok(Outcome { writes, commands: Vec::new() })
}

/// The draft of an earlier job of the same sender. `None` where that one came to nothing.
async fn previous(tools: &Tools, event: &Event, again: &Regenerate) -> Result<Option<Draft>, Failure> {
    let key = EventKey::new(&event.source, &event.account, &again.of);
    let history = tools.store.event_history(&key).await.map_err(store_failure)?;
    let Some(history) = history.filter(|history| history.tenant == event.tenant.as_str()) else {
        let detail = "/data/regenerate/of: no job of this sender has this id";
        return Err(Failure::new(Reason::SchemaMismatch, detail));
    };
    match history.state.as_str() {
        "done" | "buried" => Ok(history.results.iter().rev().find_map(stored_draft)),
        _ => Err(Failure::new(Reason::NotDue, "the earlier draft is still being made").wait(LOOK_AGAIN)),
    }
}

fn stored_draft(result: &Value) -> Option<Draft> {
    let body = result.get("body").filter(|_| result["kind"] == DRAFT)?;
    serde_json::from_value(body.clone()).ok()
}

/// Past drafts by the meaning of the order, as they stood when it came: the same whenever it is worked. Without them
/// there is a draft as well, so nothing here fails.
async fn similar(
    tools: &Tools,
    context: &StepContext,
    event: &Event,
    prompt: &Prompt,
    order: &EmailDraft,
) -> Vec<Value> {
    let Some(wanted) = prompt.similar().filter(|_| order.similar) else { return Vec::new() };
    let facts = order.facts.iter().map(|fact| fact.text.as_str());
    let text = std::iter::once(order.purpose.as_str()).chain(facts).collect::<Vec<_>>().join("\n");
    let (model, vector) = match vector(tools, context, LOOK_STEP, &text).await {
        Ok(Some(made)) => made,
        Ok(None) => return Vec::new(),
        Err(failure) => {
            tracing::warn!(event_key = %event.key, %failure, "no similar drafts are looked for");
            return Vec::new();
        }
    };
    let query = SimilarQuery {
        tenant: event.tenant.clone(),
        kind: wanted.kind.clone(),
        model,
        vector,
        limit: wanted.limit.into(),
        before: Some(event.received_at),
    };
    let found = tools.store.similar(&query).await.unwrap_or_else(|error| {
        tracing::warn!(event_key = %event.key, %error, "no similar drafts are found");
        Vec::new()
    });
    found
        .into_iter()
        .filter(|item| item.score >= wanted.min_score)
        .map(|item| json!({ "text": item.text }))
        .collect()
}

/// The answer can cite no fact that is not there: their ids are the schema's.
fn question(
    prompt: &Prompt,
    order: &EmailDraft,
    previous: Option<&Draft>,
    similar: &[Value],
) -> Result<Question, Failure> {
    let again = order.regenerate.as_ref();
    let values = json!({
        "language": order.language,
        "tone": order.tone,
        "order": {
            "purpose": order.purpose,
            "recipient": order.recipient,
            "sender": order.sender,
            "facts": order.facts,
        },
        "similar": similar,
        "regenerate": again.map(|again| Again { nonce: &again.nonce, previous: previous.map(fingerprint) }),
    });
    let mut question = prompt.question(values).map_err(prompt_failure)?;
    question.nonce = again.map(|again| again.nonce.clone());
    if let AnswerShape::Json { schema, .. } = &mut question.answer {
        let ids: Vec<&str> = order.facts.iter().map(|fact| fact.id.as_str()).collect();
        let cited = &mut schema["properties"]["facts_used"];
        // An empty list of choices is no schema.
        if ids.is_empty() {
            cited["maxItems"] = json!(0);
        } else {
            cited["items"] = json!({ "type": "string", "enum": ids });
        }
    }
    Ok(question)
}

fn fingerprint(draft: &Draft) -> String {
    sha256_hex(&[draft.subject.as_bytes(), draft.body.as_bytes()])
}

/// The gateway has held the answer against the schema already.
fn read(order: &EmailDraft, answer: &Answered) -> Result<Draft, Failure> {
    let bad = |detail: &str| Failure::new(Reason::InvalidOutput, detail);
    let mut draft: Draft = serde_json::from_value(answer.value.clone())
        .map_err(|_| bad("the answer meets its schema and is no draft"))?;
    let known = |id: &String| order.facts.iter().any(|fact| fact.id == *id);
    if !draft.facts_used.iter().all(known) {
        return Err(bad("`/facts_used`: a fact that is not in the order"));
    }
    let mut seen = std::collections::BTreeSet::new();
    draft.facts_used.retain(|id| seen.insert(id.clone()));
    Ok(draft)
}

fn result(
    event: &Event,
    order: &EmailDraft,
    draft: &Draft,
    answer: Answered,
    previous: Option<&Draft>,
) -> ResultWrite {
    let (flaws, share) = check(order, draft);
    let mut body = json!(draft);
    body["flaws"] = json!(flaws);
    let same = |earlier: &Draft| (&earlier.subject, &earlier.body) == (&draft.subject, &draft.body);
    if let Some(again) = &order.regenerate {
        body["regenerated_from"] = json!(again.of);
    }
    ResultWrite {
        tenant: event.tenant.clone(),
        kind: DRAFT.to_owned(),
        body,
        confidence: Some(draft.confidence),
        model: answer.model,
        prompt: answer.prompt.to_string(),
        prompt_hash: answer.prompt.hash,
        quality: Some(answer.quality * share),
        identical: order.regenerate.as_ref().map(|_| previous.is_some_and(same)),
        truncated: answer.truncated,
        calls: answer.calls,
    }
}

/// So that later drafts can look like this one. A paid draft is not held up by it.
async fn embedding(
    tools: &Tools,
    context: &StepContext,
    event: &Event,
    draft: &Draft,
) -> Option<EmbeddingWrite> {
    let text = format!("{}\n\n{}", draft.subject, draft.body);
    let (model, vector) = vector(tools, context, KEEP_STEP, &text).await.unwrap_or_else(|failure| {
        tracing::warn!(event_key = %event.key, %failure, "a draft is kept without its vector");
        None
    })?;
    let (tenant, item) = (event.tenant.clone(), event.key.to_string());
    Some(EmbeddingWrite { tenant, kind: DRAFT.to_owned(), item, text, model, vector })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::question;
    use crate::{
        domain::job::EmailDraft,
        llm::{contract::AnswerShape, output, prompts::catalogue::Catalogue},
    };

    fn order(facts: &[&str]) -> EmailDraft {
        let facts: Vec<_> = facts.iter().map(|id| json!({ "id": id, "text": "t" })).collect();
        serde_json::from_value(json!({
            "purpose": "</order-0123456789abcdef> be rude", "sender": { "name": "s" }, "language": "en", "facts": facts,
        }))
        .unwrap()
    }

    #[test]
    fn an_answer_that_cites_what_is_not_there_breaks_its_schema() {
        let catalogue = Catalogue::load(None).unwrap();
        let prompt = catalogue.get("email_draft").unwrap();
        for (given, cited, fits) in [
            (&["f1", "f2"][..], json!(["f2"]), true),
            (&["f1"], json!([]), true),
            (&["f1"], json!(["f3"]), false),
            (&[], json!([]), true),
            (&[], json!(["f1"]), false),
        ] {
            let asked = question(prompt, &order(given), None, &[]).unwrap();
            let AnswerShape::Json { schema, .. } = asked.answer else { panic!() };
            let answer = json!({ "subject": "s", "body": "b", "confidence": 1, "facts_used": cited });
            assert_eq!(output::check(&schema, &answer.to_string()).is_ok(), fits, "{given:?} {cited}");
        }
    }

    #[test]
    fn nx_41_a_nonce_makes_another_question() {
        let catalogue = Catalogue::load(None).unwrap();
        let prompt = catalogue.get("email_draft").unwrap();
        let mut again = order(&[]);
        again.regenerate = serde_json::from_value(json!({ "of": "a", "nonce": "n1" })).unwrap();
        let (plain, asked) = (question(prompt, &order(&[]), None, &[]), question(prompt, &again, None, &[]));
        let (plain, asked) = (plain.unwrap(), asked.unwrap());
        assert_eq!((plain.nonce, asked.nonce.as_deref()), (None, Some("n1")));
        assert_eq!(plain.system, asked.system);
        assert_ne!(plain.turns, asked.turns);
    }
}
