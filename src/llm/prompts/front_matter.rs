//! The head of a prompt's file: TOML between two lines of `+++`.

use std::time::Duration;

use serde::Deserialize;

use crate::llm::contract::{OverBudget, Policy, WhenDown};

/// Opens and closes the front matter.
const MARK: &str = "+++";
/// More past items than anybody reads.
const MOST_SIMILAR: u8 = 20;

/// What a prompt says about itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// Which prompt it is.
    pub id: String,
    /// To be raised with every change.
    pub version: u32,
    /// The route that it wants.
    pub route: Option<String>,
    /// File of the answer's schema; a text without.
    pub schema: Option<String>,
    /// Output cap of one call in tokens, reasoning included.
    pub max_output: u32,
    /// Further turns that may be bought when the cap cuts a text.
    #[serde(default)]
    pub continuations: u32,
    /// For how long an answer may be used for an equal question of the same tenant.
    #[serde(default, with = "humantime_serde::option")]
    pub cache: Option<Duration>,
    /// What happens when a budget does not allow the call.
    #[serde(default)]
    pub over_budget: OverBudget,
    /// What happens when the whole route is down.
    #[serde(default)]
    pub when_down: WhenDown,
    /// Past items that are shown with the question.
    pub similar: Option<Similar>,
}

/// Which past items a prompt wants to be shown.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similar {
    /// Of which kind.
    pub kind: String,
    /// At most so many.
    pub limit: u8,
    /// Cosine, -1 to 1: what is less alike is left out.
    pub min_score: f64,
}

impl FrontMatter {
    /// How it is asked.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            route: self.route.clone(),
            cache: self.cache,
            over_budget: self.over_budget,
            when_down: self.when_down,
            continuations: self.continuations,
        }
    }
}

/// Front matter and template of a file.
pub(crate) fn split(text: &str) -> Result<(FrontMatter, &str), String> {
    let opened = text.trim_start_matches('\u{feff}').strip_prefix(MARK).and_then(after_line);
    let body = opened.ok_or("the file does not begin with a line `+++`")?;
    let close = body.match_indices(MARK).find(|(at, _)| *at == 0 || body[..*at].ends_with('\n'));
    let (at, _) = close.ok_or("no second line `+++` ends it")?;
    let template = after_line(&body[at + MARK.len()..]).ok_or("more than `+++` stands on its last line")?;
    let front: FrontMatter = toml::from_str(&body[..at]).map_err(|error| error.message().to_owned())?;
    check(&front)?;
    Ok((front, template))
}

/// What follows the line that ends here.
fn after_line(text: &str) -> Option<&str> {
    text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n"))
}

fn check(front: &FrontMatter) -> Result<(), String> {
    let similar = front.similar.as_ref();
    let wrong = [
        (front.version == 0, "version: counts from 1"),
        (front.max_output == 0, "max_output: must be above 0"),
        (front.schema.is_some() && front.continuations > 0, "continuations: only a text can be continued"),
        (similar.is_some_and(|s| s.kind.is_empty()), "similar.kind: is empty"),
        (similar.is_some_and(|s| !(1..=MOST_SIMILAR).contains(&s.limit)), "similar.limit: must be 1 to 20"),
        (similar.is_some_and(|s| !(-1.0..=1.0).contains(&s.min_score)), "similar.min_score: must be -1 to 1"),
    ];
    wrong.iter().find(|(is_wrong, _)| *is_wrong).map_or(Ok(()), |(_, why)| Err((*why).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::split;

    const GOOD: &str = "+++\nid = \"a\"\nversion = 1\nmax_output = 10\ncache = \"1h\"\nover_budget = \"cheaper\"\n\
                        similar = { kind = \"k\", limit = 3, min_score = 0.5 }\n+++\nbody +++ here\n";

    #[test]
    fn the_head_is_read_and_the_rest_is_the_template() {
        let (front, template) = split(GOOD).unwrap();
        assert_eq!((front.id.as_str(), front.version, template), ("a", 1, "body +++ here\n"));
        assert_eq!(front.cache, Some(std::time::Duration::from_secs(3_600)));
        assert!(split(&GOOD.replace('\n', "\r\n")).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (from, to, named) in [
            ("+++\nid", "id", "does not begin"),
            ("\n+++\nbody", "\nbody", "no second line"),
            ("version = 1\n", "", "version"),
            ("version = 1", "version = 0", "version"),
            ("max_output = 10", "max_output = 0", "max_output"),
            ("max_output = 10", "max_output = 10\ntemperature = 1", "temperature"),
            ("over_budget = \"cheaper\"", "over_budget = \"free\"", "free"),
            ("cache = \"1h\"", "cache = \"soon\"", "soon"),
            ("limit = 3", "limit = 0", "similar.limit"),
            ("min_score = 0.5", "min_score = 5.0", "min_score"),
            ("version = 1", "version = 1\nschema = \"x.json\"\ncontinuations = 2", "continuations"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert_ne!(bad, GOOD);
            let why = split(&bad).unwrap_err();
            assert!(why.contains(named), "{why} does not name {named}");
        }
    }
}
