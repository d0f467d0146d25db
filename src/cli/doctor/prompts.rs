//! The prompts: readable, and asking for routes that are there.

use crate::{cli::doctor::finding::Finding, config::Settings, llm::prompts::catalogue::Catalogue};

/// All of them.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let llm = &settings.llm;
    let catalogue = match Catalogue::load(llm.prompts.as_deref()) {
        Ok(catalogue) => catalogue,
        Err(errors) => {
            let hint = "correct the file, or take it away: the built-in prompt counts then";
            return errors.0.iter().map(|error| Finding::fail("prompts", error.to_string(), hint)).collect();
        }
    };
    let is_there = |route: &String| llm.routes.contains_key(route) || llm.providers.contains_key(route);
    let missing: Vec<String> = catalogue
        .all()
        .filter_map(|prompt| Some((&prompt.front.id, prompt.front.route.as_ref()?)))
        .filter(|(_, route)| !is_there(route))
        .map(|(id, route)| format!("`{id}` wants `{route}`"))
        .collect();
    let count = catalogue.all().count();
    vec![if missing.is_empty() {
        Finding::ok("prompts", format!("{count}, all readable"))
    } else {
        // No warning: the default stands in by design.
        let detail = format!(
            "{count}, all readable; asked by the default route `{}`: {}",
            llm.default,
            missing.join(", ")
        );
        Finding::ok("prompts", detail)
    }]
}
