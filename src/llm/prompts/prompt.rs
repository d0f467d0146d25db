//! A prompt that was read and checked: makes questions of values.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    domain::ids::sha256_hex,
    llm::{
        contract::{AnswerShape, PromptRef, Question, Turn},
        prompts::{
            error::PromptError,
            fence::outside,
            front_matter::{FrontMatter, Similar, split},
            portable,
            shipped::Shipped,
            template::Template,
        },
    },
};

/// Stands in for every foreign word when a prompt is checked.
const PROBE: &str = "zqforeignwordqz";

/// A prompt, ready to be asked.
#[derive(Debug)]
pub struct Prompt {
    /// What it says about itself.
    pub front: FrontMatter,
    /// SHA-256 of its file and its schema's, hex.
    pub hash: String,
    /// Where it was read; `built in` else.
    pub file: String,
    /// Its file, as it is.
    pub text: String,
    /// The built-in prompt of this id.
    pub(crate) shipped: &'static Shipped,
    schema: Option<Value>,
    template: Template,
}

/// A schema's file.
pub(crate) struct SchemaFile {
    pub(crate) text: String,
    /// The built-in one of this name: what is read of an answer.
    pub(crate) needed: Option<&'static str>,
}

impl Prompt {
    /// Reads a prompt's file and checks it on all stored cases; `find` answers a schema's file by its name.
    pub(crate) fn new(
        file: &str,
        text: String,
        shipped: &'static Shipped,
        find: impl Fn(&str) -> Result<SchemaFile, PromptError>,
    ) -> Result<Self, PromptError> {
        let bad_front = |why| PromptError::FrontMatter { file: file.to_owned(), why };
        let bad_template = |why| PromptError::Template { file: file.to_owned(), why };
        let (front, template) = split(&text).map_err(bad_front)?;
        let template = Template::new(template).map_err(bad_template)?;
        let mut parts = vec![text.as_bytes().to_vec()];
        let mut schema = None;
        if let Some(name) = &front.schema {
            let found = find(name)?;
            let bad = |why| PromptError::Schema { file: file.to_owned(), schema: name.clone(), why };
            schema = Some(read_schema(&found).map_err(bad)?);
            parts.push(found.text.into_bytes());
        }
        let (own, _) = split(shipped.text).map_err(bad_front)?;
        if own.schema.is_some() != schema.is_some() {
            return Err(bad_front("schema: the built-in prompt answers in another form".to_owned()));
        }
        let hash = sha256_hex(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let prompt = Self { front, hash, file: file.to_owned(), text, shipped, schema, template };
        prompt.check().map_err(bad_template)?;
        Ok(prompt)
    }

    /// Id, version and hash, as results and ledger rows name it.
    #[must_use]
    pub fn reference(&self) -> PromptRef {
        PromptRef { id: self.front.id.clone(), version: self.front.version, hash: self.hash.clone() }
    }

    /// Past items that it wants to be shown.
    #[must_use]
    pub fn similar(&self) -> Option<&Similar> {
        self.front.similar.as_ref()
    }

    /// The question of these values. The step is called as the prompt.
    ///
    /// # Errors
    /// When the template needs a value that is not there, or takes too long.
    pub fn question(&self, values: impl Serialize) -> Result<Question, PromptError> {
        let bad = |why| PromptError::Template { file: self.file.clone(), why };
        let values = serde_json::to_value(values).map_err(|error| bad(error.to_string()))?;
        let (system, user) = self.render(&values).map_err(bad)?;
        let answer = match &self.schema {
            None => AnswerShape::Text,
            Some(schema) => AnswerShape::Json { name: self.front.id.clone(), schema: schema.clone() },
        };
        Ok(Question {
            step: self.front.id.clone(),
            prompt: self.reference(),
            system,
            turns: vec![Turn::user(user)],
            answer,
            max_output: self.front.max_output,
            policy: self.front.policy(),
            nonce: None,
            pieces: None,
        })
    }

    /// System and user part. The system part sees trusted values only.
    fn render(&self, values: &Value) -> Result<(String, String), String> {
        let trusted = |name: &&str| Some(((*name).to_owned(), values.get(*name)?.clone()));
        let trusted: Map<String, Value> = self.shipped.trusted.iter().filter_map(trusted).collect();
        Ok((self.template.system(&trusted)?, self.template.user(values)?))
    }

    /// On all cases: renders, and every foreign word stands in a fence.
    fn check(&self) -> Result<(), String> {
        let Shipped { trusted, foreign, spoken, .. } = self.shipped;
        let known: Vec<&str> = [*trusted, *foreign, *spoken].concat();
        if let Some(name) = self.template.variables().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("`{name}` is no value of this prompt; there are: {}", known.join(", ")));
        }
        for (_, case) in self.shipped.cases {
            let case: Value = serde_json::from_str(case).map_err(|error| error.to_string())?;
            let mut values = case["values"].clone();
            self.render(&values)?;
            for name in *foreign {
                probe(&mut values[*name]);
            }
            let (_, user) = self.render(&values)?;
            if outside(&user).contains(PROBE) {
                return Err(
                    "foreign text stands outside a fence: write `{{ NAME | fence(\"LABEL\") }}`".to_owned()
                );
            }
        }
        Ok(())
    }
}

/// Every text in it becomes the probe.
fn probe(value: &mut Value) {
    match value {
        Value::String(text) => PROBE.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(probe),
        Value::Object(fields) => fields.values_mut().for_each(probe),
        _ => {}
    }
}

/// Portable, and with everything that is read of an answer.
fn read_schema(file: &SchemaFile) -> Result<Value, String> {
    let schema: Value = serde_json::from_str(&file.text).map_err(|error| format!("is not JSON: {error}"))?;
    portable::check(&schema)?;
    let needed: Value = file.needed.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let fields = needed["properties"].as_object().into_iter().flatten();
    let mut missing =
        fields.filter(|(name, field)| schema["properties"][name.as_str()]["type"] != field["type"]);
    match missing.next() {
        None => Ok(schema),
        Some((name, field)) => Err(format!("needs a field `{name}` of type {}", field["type"])),
    }
}
