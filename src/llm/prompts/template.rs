//! A prompt's template: two blocks that make text within a bound, and can do nothing else. No other file can be named.

use minijinja::{Environment, Error, UndefinedBehavior, Value, value::Serde};
use serde::Serialize;

use crate::llm::prompts::fence::fence;

/// Instructions that one rendering may take: thousands of lines, and no endless loop.
const FUEL: u64 = 200_000;
/// What templates may call.
const FUNCTIONS: &[&str] = &["dict", "namespace", "range"];
/// The file itself.
const FILE: &str = "prompt";
/// The file without its other block, so that each part sees its own values only.
const SYSTEM: (&str, &str) = ("system", "{% extends 'prompt' %}{% block user %}{% endblock %}");
const USER: (&str, &str) = ("user", "{% extends 'prompt' %}{% block system %}{% endblock %}");
const NEITHER: (&str, &str) =
    ("neither", "{% extends 'prompt' %}{% block system %}{% endblock %}{% block user %}{% endblock %}");

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template(Environment<'static>);

impl Template {
    /// Reads it. Text outside its two blocks is refused: it would belong to both parts.
    pub(crate) fn new(source: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("fence", |text: String, label: Option<String>| {
            fence(&text, label.as_deref().unwrap_or("data"))
        });
        environment.add_template_owned(FILE, source.to_owned()).map_err(|error| said(&error))?;
        for (name, source) in [SYSTEM, USER, NEITHER] {
            environment.add_template(name, source).map_err(|error| said(&error))?;
        }
        let template = Self(environment);
        let outside = template.render(NEITHER.0, &())?;
        if !outside.is_empty() {
            return Err("text stands outside the blocks `system` and `user`".to_owned());
        }
        Ok(template)
    }

    /// The system part, from values that are no stranger's.
    pub(crate) fn system(&self, values: &impl Serialize) -> Result<String, String> {
        self.part(SYSTEM.0, values)
    }

    /// What the person or the event says.
    pub(crate) fn user(&self, values: &impl Serialize) -> Result<String, String> {
        self.part(USER.0, values)
    }

    /// Names that it looks up, wherever they stand.
    pub(crate) fn variables(&self) -> impl Iterator<Item = String> {
        let names = self.0.get_template(FILE).map(|template| template.undeclared_variables(false));
        names.unwrap_or_default().into_iter().filter(|name| !FUNCTIONS.contains(&name.as_str()))
    }

    fn part(&self, name: &str, values: &impl Serialize) -> Result<String, String> {
        let text = self.render(name, values)?;
        if text.is_empty() { Err(format!("the block `{name}` is missing, or empty")) } else { Ok(text) }
    }

    fn render(&self, name: &str, values: &impl Serialize) -> Result<String, String> {
        let template = self.0.get_template(name).map_err(|error| said(&error))?;
        let text = template.render(Value::from(Serde(values))).map_err(|error| said(&error))?;
        Ok(text.trim().to_owned())
    }
}

/// The cause, with its line, and no value.
fn said(error: &Error) -> String {
    // Of a part, the inner error tells where in the file it is.
    let mut inner = error;
    while let Some(source) =
        std::error::Error::source(inner).and_then(|source| source.downcast_ref::<Error>())
    {
        inner = source;
    }
    let line = inner.line().filter(|_| inner.name() == Some(FILE));
    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
    match inner.detail() {
        Some(detail) => format!("{place}{}: {detail}", inner.kind()),
        None => format!("{place}{}", inner.kind()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Template;

    fn whole(system: &str, user: &str) -> String {
        format!(
            "{{% block system %}}\n{system}\n{{% endblock %}}\n{{% block user %}}{user}{{% endblock %}}\n"
        )
    }

    #[test]
    fn each_part_sees_its_own_values_only() {
        let template = Template::new(&whole("Be kind.", "{{ words | fence('message') }}")).unwrap();
        assert_eq!(template.system(&()), Ok("Be kind.".to_owned()));
        let user = template.user(&json!({ "words": "{{ 1 + 1 }} <b>" })).unwrap();
        assert!(user.contains("\n{{ 1 + 1 }} <b>\n</message-"), "{user}");
        let leaks = Template::new(&whole("{{ words }}", "x")).unwrap();
        assert!(leaks.system(&()).unwrap_err().contains("undefined"));
    }

    #[test]
    fn what_cannot_be_is_said_with_its_line() {
        for (source, named) in [
            (whole("a", "{{ oops"), "syntax error"),
            (whole("a", "b") + "outside", "outside"),
            ("{% block user %}a{% endblock %}".to_owned(), "`system`"),
            (whole("a", "{{ nobody }}"), "line 4: undefined"),
            (whole("a", "{{ order.nothing }}"), "undefined"),
            (whole("a", "{% include '/etc/passwd' %}"), "template not found"),
            (whole("a", "{% include 'prompt' %}"), ""),
            (
                whole("a", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"),
                "fuel",
            ),
            (whole("a", "{{ 1 | frobnicate }}"), "filter"),
            (whole("a", "{{ words | fence(1, 2, 3) }}"), "argument"),
        ] {
            let made = Template::new(&source).and_then(|template| {
                template.system(&())?;
                template.user(&json!({ "words": "w", "order": {} }))
            });
            let why = made.unwrap_err();
            assert!(why.contains(named), "{why} does not say {named}");
        }
    }
}
