//! What makes a question the same one: everything that shapes its answer goes into the hash. The output cap does not:
//! a cut answer is none.

use crate::{
    domain::{
        call::StepKey,
        ids::{EventKey, sha256_hex},
    },
    llm::{
        contract::{AnswerShape, Question, Turn},
        models::Model,
    },
};

/// The step of one turn, asked of this model.
pub(crate) fn of_turn(
    event: &EventKey,
    step: &str,
    model: &Model,
    question: &Question,
    turns: &[Turn],
) -> StepKey {
    let shape = match &question.answer {
        AnswerShape::Text => String::new(),
        AnswerShape::Json { schema, .. } => schema.to_string(),
    };
    let prompt = question.prompt.to_string();
    let nonce = question.nonce.as_deref().unwrap_or_default();
    let mut parts =
        vec![model.kind, &model.model, &prompt, &question.prompt.hash, &question.system, &shape, nonce];
    parts.extend(turns.iter().flat_map(|turn| [turn.role.name(), turn.text.as_str()]));
    key(event, step, &parts)
}

/// The step of vectors, made by this model.
pub(crate) fn of_texts(event: &EventKey, step: &str, model: &Model, texts: &[String]) -> StepKey {
    let mut parts = vec![model.kind, &model.model, "vectors"];
    parts.extend(texts.iter().map(String::as_str));
    key(event, step, &parts)
}

fn key(event: &EventKey, step: &str, parts: &[&str]) -> StepKey {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    StepKey { event: event.clone(), step: step.to_owned(), input_hash: sha256_hex(&parts) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{of_texts, of_turn};
    use crate::{
        config::{ProviderKind, ProviderSettings},
        http::Http,
        llm::{
            contract::{AnswerShape, Policy, PromptRef, Question, Turn},
            models::Model,
        },
    };

    fn model() -> Model {
        let settings = ProviderSettings::of_kind(ProviderKind::Rules).unwrap();
        Model::new("m", &settings, &Http::new().unwrap()).unwrap()
    }

    fn question() -> Question {
        Question {
            step: "s".to_owned(),
            prompt: PromptRef { id: "p".to_owned(), version: 1, hash: "h".to_owned() },
            system: "Read.".to_owned(),
            turns: Vec::new(),
            answer: AnswerShape::Text,
            max_output: 100,
            policy: Policy::default(),
            nonce: None,
            pieces: None,
        }
    }

    fn hash(question: &Question, turns: &[Turn]) -> String {
        of_turn(&"e".into(), "s", &model(), question, turns).input_hash
    }

    #[test]
    fn a_nonce_makes_another_question_and_a_cap_does_not() {
        let turns = [Turn::user("hi")];
        let plain = hash(&question(), &turns);
        assert_eq!(hash(&Question { max_output: 7, ..question() }, &turns), plain);
        for other in [
            Question { nonce: Some("again".to_owned()), ..question() },
            Question { system: "Read!".to_owned(), ..question() },
            Question { prompt: PromptRef { hash: "i".to_owned(), ..question().prompt }, ..question() },
        ] {
            assert_ne!(hash(&other, &turns), plain);
        }
    }

    proptest! {
        #[test]
        fn words_that_move_between_turns_make_another_question(left in "[a-z]{1,9}", right in "[a-z]{1,9}") {
            let joined = format!("{left}{right}");
            let two = [Turn::user(left.as_str()), Turn::user(right.as_str())];
            prop_assert_ne!(hash(&question(), &two), hash(&question(), &[Turn::user(joined.as_str())]));
            let texts = [left, right];
            let apart = of_texts(&"e".into(), "s", &model(), &texts);
            prop_assert_ne!(apart, of_texts(&"e".into(), "s", &model(), &[joined]));
        }
    }
}
