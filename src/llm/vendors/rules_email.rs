//! An e-mail without a model: a greeting, the facts as they stand, a farewell.

use serde_json::{Map, Value, json};

use crate::llm::vendors::rules_words::Language;

/// The label of the block that holds the order.
pub(crate) const ORDER: &str = "order";
/// What of a body is filled with facts, in bytes: below what schemas allow.
const LONGEST: usize = 6_000;

/// Words of one language: subject, greeting, opening, farewell.
struct Words([&'static str; 4]);

/// The fields of a draft, each as a list of one, from an order in JSON; `None` where it is no order.
pub(crate) fn draft(order: &str, language: Option<&str>) -> Option<Map<String, Value>> {
    let order: Value = serde_json::from_str(order).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let sender = text(&order["sender"]["name"])?;
    let company = text(&order["sender"]["company"]).unwrap_or_else(|| sender.clone());
    let Words([subject, greeting, opening, farewell]) = words(language_of(language));
    let greeting = match text(&order["recipient"]["name"]) {
        Some(name) => format!("{greeting} {name},"),
        None => format!("{greeting},"),
    };
    let (mut body, mut used) = (format!("{greeting}\n\n{opening}\n"), Vec::new());
    for fact in order["facts"].as_array().into_iter().flatten() {
        let line = format!("- {}\n", text(&fact["text"])?);
        if body.len() + line.len() > LONGEST {
            break;
        }
        body.push_str(&line);
        used.push(fact["id"].clone());
    }
    body.push_str(&format!("\n{farewell}\n{sender}"));
    let confidence = if used.is_empty() { 0.2 } else { 0.5 };
    let subject: String = format!("{subject} {company}").chars().take(100).collect();
    let fields = [("subject", json!(subject)), ("body", json!(body)), ("facts_used", json!(used))];
    let mut draft: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), json!([value]))).collect();
    draft.insert("confidence".to_owned(), json!([confidence]));
    Some(draft)
}

/// By the first part of its tag; English for those that the lists do not have.
fn language_of(tag: Option<&str>) -> Language {
    let known = [Language::Spanish, Language::German, Language::French, Language::Portuguese];
    let first = tag.unwrap_or_default().split('-').next().unwrap_or_default().to_ascii_lowercase();
    known.into_iter().find(|language| language.tag() == first).unwrap_or(Language::English)
}

fn words(language: Language) -> Words {
    Words(match language {
        Language::English => ["A message from", "Hello", "we would like to let you know:", "Kind regards,"],
        Language::Spanish => {
            ["Un mensaje de", "Hola", "queremos informarle de lo siguiente:", "Un cordial saludo,"]
        }
        Language::German => {
            ["Eine Nachricht von", "Guten Tag", "wir möchten Ihnen mitteilen:", "Mit freundlichen Grüßen"]
        }
        Language::French => ["Un message de", "Bonjour", "nous souhaitons vous informer :", "Cordialement,"],
        Language::Portuguese => ["Uma mensagem de", "Olá", "gostaríamos de informar:", "Atenciosamente,"],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::draft;

    #[test]
    fn a_draft_says_the_facts_and_cites_them() {
        let order = json!({
            "purpose": "p", "recipient": { "name": "Dana" }, "sender": { "name": "Jo", "company": "Marina" },
            "facts": [{ "id": "a", "text": "We open at 9." }, { "id": "b", "text": "x".repeat(5_990) }],
        });
        let made = draft(&order.to_string(), Some("de-AT")).unwrap();
        assert_eq!(made["subject"], json!(["Eine Nachricht von Marina"]));
        let body = made["body"][0].as_str().unwrap();
        assert!(
            body.starts_with("Guten Tag Dana,") && body.contains("- We open at 9.") && body.ends_with("\nJo")
        );
        assert_eq!(made["facts_used"], json!([["a"]]));
        assert_eq!(draft("not json", None), None);
        assert_eq!(draft("{}", None), None);
    }
}
