//! A provider without a model: reads a message by word lists, makes an e-mail of its facts, answers a chat politely, the
//! same way every time, at no cost. It keeps any schema of plain fields: those it knows are read from the message,
//! others get a neutral value.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::{
    domain::usage::{Usage, UsageSource},
    llm::{
        contract::{AnswerShape, CallError, Completion, EmbedRequest, Embedded, Finish, Provider, Request},
        prompts::fence,
        vendors::{
            rules_email::{ORDER, draft},
            rules_vector::vector,
            rules_words::{Language, Wish, language, mood, wish},
        },
    },
};

/// Its name as a model; changes with the word lists.
pub const MODEL: &str = "rules-1";

/// The provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules;

#[async_trait]
impl Provider for Rules {
    async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        let asked = request.turns.last().map_or("", |turn| turn.text.as_str());
        let text = match &request.answer {
            AnswerShape::Text => say(asked).to_owned(),
            AnswerShape::Json { schema, .. } => {
                let email = fence::inside(asked, ORDER)
                    .and_then(|order| draft(order, told_language(&request.system)));
                fill(schema, &email.unwrap_or_else(|| read(message(asked).as_ref()))).to_string()
            }
        };
        if let Some(pieces) = &request.stream {
            text.split_inclusive(' ').for_each(|piece| (pieces.0)(piece));
        }
        Ok(Completion {
            text,
            finish: Finish::Complete,
            served_model: Some(MODEL.to_owned()),
            served_tier: None,
            usage: Usage::default(),
            usage_source: UsageSource::Provider,
            request_id: None,
        })
    }

    async fn embed(&self, request: &EmbedRequest) -> Result<Embedded, CallError> {
        Ok(Embedded {
            vectors: request.texts.iter().map(|text| vector(text)).collect(),
            served_model: Some(MODEL.to_owned()),
            usage: Usage::default(),
            usage_source: UsageSource::Provider,
            request_id: None,
        })
    }
}

/// What is said in a chat.
fn say(text: &str) -> &'static str {
    let lower = text.to_lowercase();
    let words = words(&lower);
    reply(wish(&words), language(&words))
}

/// The language that a system text asks for, between backticks.
fn told_language(system: &str) -> Option<&str> {
    let (_, after) = system.split_once("language `")?;
    after.split_once('`').map(|(tag, _)| tag)
}

fn words(lower: &str) -> BTreeSet<&str> {
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

/// The person's words: what stands in their block, or the field that holds them where the input is a JSON object, or
/// the input itself.
fn message(input: &str) -> std::borrow::Cow<'_, str> {
    if let Some(message) = fence::inside(input, "message") {
        return message.into();
    }
    let object: Option<Map<String, Value>> = serde_json::from_str(input).ok();
    let text = object.and_then(|object| {
        ["message", "text", "body"].iter().find_map(|name| object.get(*name)?.as_str().map(str::to_owned))
    });
    text.map_or(input.into(), Into::into)
}

/// What the word lists say about a text, by field. Several words for one field are in order of preference,
/// because a schema may know only some of them.
pub(crate) fn read(text: &str) -> Map<String, Value> {
    let lower = text.to_lowercase();
    let words = words(&lower);
    let (wish, language) = (wish(&words), language(&words));
    let mut reading = Map::new();
    reading.insert("intent".to_owned(), json!(intent(wish)));
    reading.insert("lead_stage".to_owned(), json!(stage(wish)));
    reading.insert("sentiment".to_owned(), json!([mood(&words).name()]));
    reading.insert("reply".to_owned(), json!([reply(wish, language)]));
    reading.insert("confidence".to_owned(), json!([if wish == Wish::Other { 0.3 } else { 0.6 }]));
    reading.insert("language".to_owned(), json!([language.tag()]));
    reading
}

fn intent(wish: Wish) -> &'static [&'static str] {
    match wish {
        Wish::Stop => &["opt_out", "unsubscribe", "stop", "other"],
        Wish::Complain => &["complaint", "support", "other"],
        Wish::Buy => &["purchase", "buy", "order", "sales", "pricing", "other"],
        Wish::Price => &["pricing", "price", "quote", "sales", "purchase", "other"],
        Wish::Meet => &["demo", "meeting", "book_meeting", "appointment", "sales", "other"],
        Wish::Help => &["support", "help", "question", "other"],
        Wish::Thank => &["thanks", "greeting", "smalltalk", "other"],
        Wish::Greet => &["greeting", "smalltalk", "other"],
        Wish::Other => &["other", "unknown", "question"],
    }
}

fn stage(wish: Wish) -> &'static [&'static str] {
    match wish {
        Wish::Buy => &["qualified", "hot", "opportunity", "interested", "engaged"],
        Wish::Price | Wish::Meet => &["interested", "warm", "engaged", "qualified"],
        Wish::Help | Wish::Complain => &["customer", "engaged", "new"],
        Wish::Stop => &["lost", "disqualified", "unqualified", "cold", "new"],
        Wish::Thank | Wish::Greet | Wish::Other => &["new", "lead", "unknown", "cold"],
    }
}

fn reply(wish: Wish, language: Language) -> &'static str {
    let [english, spanish, german, french, portuguese] = match wish {
        Wish::Stop => [
            "You will not receive further messages from us.",
            "No recibirá más mensajes nuestros.",
            "Sie erhalten keine weiteren Nachrichten von uns.",
            "Vous ne recevrez plus de messages de notre part.",
            "Você não receberá mais mensagens nossas.",
        ],
        Wish::Complain | Wish::Help => [
            "Thank you for telling us. A colleague will look into it and come back to you.",
            "Gracias por avisarnos. Un compañero lo revisará y le responderá.",
            "Danke für die Nachricht. Eine Kollegin kümmert sich darum und meldet sich.",
            "Merci de nous avoir prévenus. Un collègue s'en occupe et revient vers vous.",
            "Obrigado por avisar. Um colega vai verificar e responder.",
        ],
        Wish::Buy | Wish::Price | Wish::Meet => [
            "Thank you for your interest! A colleague will get back to you with the details.",
            "¡Gracias por su interés! Un compañero le enviará los detalles.",
            "Danke für Ihr Interesse! Eine Kollegin meldet sich mit den Einzelheiten.",
            "Merci de votre intérêt ! Un collègue vous enverra les détails.",
            "Obrigado pelo interesse! Um colega enviará os detalhes.",
        ],
        Wish::Thank | Wish::Greet | Wish::Other => [
            "Thank you for your message. How can we help?",
            "Gracias por su mensaje. ¿En qué podemos ayudarle?",
            "Danke für Ihre Nachricht. Wie können wir helfen?",
            "Merci pour votre message. Comment pouvons-nous vous aider ?",
            "Obrigado pela mensagem. Como podemos ajudar?",
        ],
    };
    match language {
        Language::English => english,
        Language::Spanish => spanish,
        Language::German => german,
        Language::French => french,
        Language::Portuguese => portuguese,
    }
}

/// An instance of the schema. Lists of known values are offered in order; the first that fits is taken.
fn fill(schema: &Value, known: &Map<String, Value>) -> Value {
    let Some(fields) = schema["properties"].as_object() else { return neutral(schema, known) };
    let filled = fields.iter().map(|(name, field)| {
        let offered = known.get(name).and_then(Value::as_array);
        let fitting =
            offered.and_then(|offered| offered.iter().find(|value| jsonschema::is_valid(field, value)));
        (name.clone(), fitting.cloned().unwrap_or_else(|| neutral(field, known)))
    });
    Value::Object(filled.collect())
}

/// A value that says nothing: the first of an enumeration, null where allowed, else empty.
fn neutral(schema: &Value, known: &Map<String, Value>) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        let plain = ["other", "unknown", "neutral", "none", "new"];
        let found = values.iter().find(|value| value.as_str().is_some_and(|word| plain.contains(&word)));
        return found.or(values.first()).cloned().unwrap_or_default();
    }
    if schema["properties"].is_object() {
        return fill(schema, known);
    }
    match schema["type"].as_str() {
        Some("string") => json!(""),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => json!({}),
        // A list of types is a union with null, as strict schemas write optional fields.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fill, message, read};
    use crate::llm::output::check;

    fn first(text: &str, field: &str) -> String {
        read(text)[field][0].as_str().unwrap().to_owned()
    }

    #[test]
    fn reads_what_a_person_wants() {
        for (text, intent, sentiment, language) in [
            ("How much does the pro plan cost?", "pricing", "neutral", "en"),
            ("Hello!", "greeting", "neutral", "en"),
            ("This is terrible, my order is broken", "complaint", "negative", "en"),
            ("I love it, I want to buy two", "purchase", "positive", "en"),
            ("Can we schedule a demo?", "demo", "neutral", "en"),
            ("¿Cuál es el precio para la empresa?", "pricing", "neutral", "es"),
            ("Was kostet das für eine Firma?", "pricing", "neutral", "de"),
            ("STOP", "opt_out", "neutral", "en"),
            ("Where is the bus stop near you?", "other", "neutral", "en"),
            ("", "other", "neutral", "en"),
        ] {
            let seen = (first(text, "intent"), first(text, "sentiment"), first(text, "language"));
            assert_eq!(seen, (intent.into(), sentiment.into(), language.into()), "{text}");
        }
    }

    #[test]
    fn keeps_any_schema_of_these_fields() {
        let strict = json!({
            "type": "object",
            "properties": {
                "intent": { "type": "string", "enum": ["question", "sales", "other"] },
                "lead_stage": { "type": "string", "enum": ["cold", "warm", "hot"] },
                "sentiment": { "type": "string", "enum": ["positive", "neutral", "negative"] },
                "reply": { "type": "string" },
                "confidence": { "type": "number", "minimum": 0, "maximum": 1 },
                "language": { "type": "string" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "note": { "type": ["string", "null"] },
                "detail": { "type": "object", "properties": { "n": { "type": "integer", "minimum": 3 } }, "required": ["n"] }
            },
            "required": ["intent", "lead_stage", "sentiment", "reply", "confidence", "language", "tags", "note", "detail"],
            "additionalProperties": false
        });
        for text in ["What is the price?", "hi", "stop", "", "zzz"] {
            let filled = fill(&strict, &read(text));
            assert_eq!(check(&strict, &filled.to_string()), Ok(filled), "{text}");
        }
        assert_eq!(fill(&strict, &read("What is the price?"))["intent"], "sales");
    }

    #[test]
    fn finds_the_words_in_a_json_input() {
        assert_eq!(message(r#"{"history":[],"message":"the price?"}"#), "the price?");
        assert_eq!(message("plain"), "plain");
        assert_eq!(message("[1]"), "[1]");
        let fenced = format!("Channel: sms\n{}", crate::llm::prompts::fence::fence("the price?", "message"));
        assert_eq!(message(&fenced), "the price?");
    }
}
