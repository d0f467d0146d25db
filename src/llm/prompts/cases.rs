//! Stored cases of prompts: does an answer that was recorded still get the verdict that it got?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::ids::sha256_hex,
    llm::{
        contract::{AnswerShape, Question},
        output,
        prompts::{error::PromptError, prompt::Prompt},
    },
};

/// A question with the answer that a model once gave, and what was thought of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub title: String,
    /// What the template gets.
    pub values: Value,
    /// SHA-256 of the rendered question when the answer was recorded, hex.
    pub rendered: String,
    /// The model's own text.
    pub answer: String,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// Values that a good answer may have, by JSON pointer (`""`: the text itself).
    #[serde(default)]
    pub expect: BTreeMap<String, Vec<Value>>,
}

/// What is thought of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Keeps its schema and all that is expected.
    Good,
    /// Keeps its schema, and is not what is expected.
    Wrong,
    /// Breaks its schema.
    Unusable,
}

/// How a case stands now.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// Which prompt.
    pub prompt: String,
    /// Name of the case.
    pub case: String,
    /// The rendered question is another one than when the answer was recorded.
    pub drift: bool,
    /// SHA-256 of the rendered question, hex.
    pub rendered: String,
    /// What was thought of the answer.
    pub was: Verdict,
    /// What is thought of it.
    pub is: Verdict,
    /// Why.
    pub why: String,
}

impl Case {
    /// # Errors
    /// What is wrong with the file.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Renders the question anew and judges an answer: the recorded one, or another.
    ///
    /// # Errors
    /// When the values do not make a question.
    pub fn judge(&self, name: &str, prompt: &Prompt, answer: Option<&str>) -> Result<Tried, PromptError> {
        let question = prompt.question(&self.values)?;
        let (is, why) = verdict(&question, answer.unwrap_or(&self.answer), &self.expect);
        let rendered = rendered(&question);
        Ok(Tried {
            prompt: prompt.reference().to_string(),
            case: name.to_owned(),
            drift: rendered != self.rendered,
            rendered,
            was: self.verdict,
            is,
            why,
        })
    }
}

impl Tried {
    /// Is another thing thought of the answer now?
    #[must_use]
    pub fn changed(&self) -> bool {
        self.was != self.is
    }
}

impl Prompt {
    /// The built-in cases: name and case.
    ///
    /// # Errors
    /// What is wrong with one: a defect of this release.
    pub fn cases(&self) -> Result<Vec<(String, Case)>, String> {
        let read = |(name, text): &(&str, &str)| Ok(((*name).to_owned(), Case::read(text)?));
        self.shipped.cases.iter().map(read).collect()
    }
}

/// What would be sent, as a hash.
fn rendered(question: &Question) -> String {
    let shape = match &question.answer {
        AnswerShape::Text => String::new(),
        AnswerShape::Json { schema, .. } => schema.to_string(),
    };
    let turns: String = question.turns.iter().map(|turn| turn.text.as_str()).collect();
    sha256_hex(&[question.system.as_bytes(), turns.as_bytes(), shape.as_bytes()])
}

fn verdict(question: &Question, answer: &str, expect: &BTreeMap<String, Vec<Value>>) -> (Verdict, String) {
    let value = match &question.answer {
        AnswerShape::Text => Value::String(answer.to_owned()),
        AnswerShape::Json { schema, .. } => match output::check(schema, answer) {
            Ok(value) => value,
            Err(bad) => return (Verdict::Unusable, bad.place),
        },
    };
    let unlike = |(place, allowed): &(&String, &Vec<Value>)| {
        value.pointer(place).is_none_or(|found| !allowed.contains(found))
    };
    match expect.iter().find(unlike) {
        None => (Verdict::Good, String::new()),
        Some((place, _)) => (Verdict::Wrong, format!("`{place}` is not as expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, Verdict};
    use crate::llm::prompts::catalogue::Catalogue;

    /// WA-27: a change of a prompt, a schema or the checks shows here first. After a wanted change of a prompt, record
    /// anew: `longshore prompts test` prints the hash.
    #[test]
    fn wa_27_every_stored_case_stands_as_it_was_recorded() {
        let catalogue = Catalogue::load(None).unwrap();
        let mut changed = Vec::new();
        for prompt in catalogue.all() {
            for (name, case) in prompt.cases().unwrap() {
                let tried = case.judge(&name, prompt, None).unwrap();
                changed.extend(Some(tried).filter(|tried| tried.changed() || tried.drift));
            }
        }
        assert!(changed.is_empty(), "{changed:#?}");
    }

    #[test]
    fn wa_27_another_answer_changes_the_verdict() {
        let catalogue = Catalogue::load(None).unwrap();
        let prompt = catalogue.get("message_reading").unwrap();
        let (name, case) = prompt.cases().unwrap().remove(0);
        let other = |answer: &str| case.judge(&name, prompt, Some(answer)).unwrap();
        assert!(other("sorry").changed() && other("sorry").is == Verdict::Unusable);
        let turned = case.answer.replace("\"pricing\"", "\"complaint\"");
        assert_eq!(other(&turned).is, Verdict::Wrong);
        let moved = Case { rendered: "0".to_owned(), ..case.clone() };
        let drifted = moved.judge(&name, prompt, None).unwrap();
        assert!(drifted.drift && !drifted.changed());
    }
}
