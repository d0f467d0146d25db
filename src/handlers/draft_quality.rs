//! What can be said about a draft without a model: is it finished, is it long enough, does it say what it cites?

use serde::{Deserialize, Serialize};

use crate::domain::job::{EmailDraft, GivenFact};

/// A subject longer than this is cut by mail programs.
const LONGEST_SUBJECT: usize = 100;
/// Characters between which a body is usual.
const USUAL_BODY: std::ops::RangeInclusive<usize> = 40..=2_500;
/// Letters of a word that tells something.
const TELLING: usize = 5;
/// What is left in a text that was never finished.
const LEFT_OVERS: &[&str] = &["{{", "}}", "<<", ">>", "lorem ipsum", "tbd", "xxx", "___"];
/// What may be meant to be filled in, in square brackets or in angles.
const BRACKETS: &[(char, char)] = &[('[', ']'), ('<', '>')];

/// A model's draft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Draft {
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) facts_used: Vec<String>,
    pub(super) confidence: f64,
}

/// What was found, and the share of the quality that remains.
pub(super) fn check(order: &EmailDraft, draft: &Draft) -> (Vec<&'static str>, f64) {
    let cited = |fact: &&GivenFact| draft.facts_used.contains(&fact.id);
    let said = format!("{}\n{}", draft.subject, draft.body).to_lowercase();
    let body = draft.body.chars().count();
    let found = [
        ("placeholder", has_placeholder(&said), 0.4),
        ("subject", draft.subject.contains('\n') || draft.subject.chars().count() > LONGEST_SUBJECT, 0.8),
        ("length", !USUAL_BODY.contains(&body), 0.8),
        ("no_fact", !order.facts.is_empty() && draft.facts_used.is_empty(), 0.5),
        ("fact_not_said", order.facts.iter().filter(cited).any(|fact| !says(&said, fact)), 0.7),
        ("unsigned", !said.contains(&order.sender.name.to_lowercase()), 0.9),
    ];
    let found = found.into_iter().filter(|(_, is_so, _)| *is_so);
    found.fold((Vec::new(), 1.0), |(mut names, left), (name, _, share)| {
        names.push(name);
        (names, left * share)
    })
}

/// `said` is in lower case.
fn has_placeholder(said: &str) -> bool {
    let left_over = LEFT_OVERS.iter().any(|words| said.contains(words));
    left_over || BRACKETS.iter().any(|(open, close)| bracketed(said, *open, *close).any(is_blank))
}

fn bracketed(text: &str, open: char, close: char) -> impl Iterator<Item = &str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inner, _)| inner))
}

/// Words such as `name` or `your company`, and no address, mark-up or quotation.
fn is_blank(inner: &str) -> bool {
    let plain = inner.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '_' || c == '\'' || c == '-');
    (2..=40).contains(&inner.chars().count()) && plain && inner.trim() == inner
}

/// A number of the fact, or one of its telling words. Other languages than the order's are beyond this.
fn says(said: &str, fact: &GivenFact) -> bool {
    let text = fact.text.to_lowercase();
    let mut words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= TELLING || word.chars().any(|c| c.is_ascii_digit()));
    let mut any = false;
    words.any(|word| {
        any = true;
        said.contains(word)
    }) || !any
}

#[cfg(test)]
mod tests {
    use super::{Draft, check, has_placeholder};
    use crate::domain::job::{EmailDraft, GivenFact, Recipient, Signer, Tone};

    fn order() -> EmailDraft {
        EmailDraft {
            purpose: "p".into(),
            recipient: Recipient::default(),
            sender: Signer { name: "Harbour Office".into(), company: None },
            language: "en".into(),
            tone: Tone::Neutral,
            facts: vec![GivenFact { id: "f1".into(), text: "The contract ends on 31 December.".into() }],
            similar: false,
            regenerate: None,
        }
    }

    fn draft(body: &str, facts: &[&str]) -> Draft {
        let facts_used = facts.iter().map(|id| (*id).to_owned()).collect();
        Draft { subject: "News".into(), body: body.into(), facts_used, confidence: 0.9 }
    }

    #[test]
    fn a_finished_draft_keeps_its_quality_and_each_flaw_costs() {
        let good = "Dear Dana,\n\nyour contract ends on 31 December.\n\nHarbour Office";
        assert_eq!(check(&order(), &draft(good, &["f1"])), (vec![], 1.0));
        for (body, facts, flaw) in [
            (good.replace("Dana", "[Name]"), vec!["f1"], "placeholder"),
            (good.to_owned(), vec![], "no_fact"),
            (
                "Hello, we wish you a very nice weekend. Harbour Office".to_owned(),
                vec!["f1"],
                "fact_not_said",
            ),
            (good.replace("Harbour Office", "Yours"), vec!["f1"], "unsigned"),
            ("31 Harbour Office".to_owned(), vec!["f1"], "length"),
        ] {
            let (found, left) = check(&order(), &draft(&body, &facts));
            assert!(found == [flaw] && left < 1.0, "{body}: {found:?}");
        }
    }

    #[test]
    fn placeholders_are_told_from_brackets() {
        for text in [
            "dear [name],",
            "<your company>",
            "{{ first_name }}",
            "price: tbd",
            "lorem ipsum",
            "[insert date here]",
        ] {
            assert!(has_placeholder(text), "{text}");
        }
        for text in ["[1] see below", "<https://example.com>", "a < b and b > c1", "pier [7b]", "plain"] {
            assert!(!has_placeholder(text), "{text}");
        }
    }
}
