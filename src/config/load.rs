//! Reads file and environment, and names everything that is wrong with them at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use confique::{
    Config as _, Layer as _,
    meta::{Field, FieldKind, LeafKind},
};
use serde::Deserialize as _;
use toml::{Table, Value};

use crate::config::{
    environment,
    llm::{ProviderKind, ProviderSettings},
    problem::{Problem, Problems},
    settings::Settings,
    shape::{Inside, Place, Shape, inside, is_secret},
};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The TOML file.
    File,
    /// This environment variable.
    Environment(String),
}

/// What was read. With problems, `settings` holds defaults where values were bad.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The values given, without defaults.
    pub given: Table,
    /// Where each given value came from, by path.
    pub origins: BTreeMap<String, Origin>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// The settings, when nothing is wrong that stops a start.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn into_settings(self) -> Result<Settings, Problems> {
        let problems = Problems(self.problems);
        if problems.fatal() { Err(problems) } else { Ok(self.settings) }
    }
}

/// Reads a TOML file (none: defaults only) with the process's `LONGSHORE_` variables over it.
///
/// # Errors
/// The file cannot be read, or is not TOML. All else is in [`Loaded::problems`].
pub fn from_file(path: Option<&Path>) -> Result<Loaded, Problems> {
    let text = match path {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Problems(vec![Problem::new(path.display().to_string(), error.to_string())]))?,
    };
    from_toml(&text, &environment::with_prefix("LONGSHORE_"))
}

/// Reads TOML text with the given variables over it.
///
/// # Errors
/// The text is not TOML. All else is in [`Loaded::problems`].
pub fn from_toml(text: &str, variables: &[(String, String)]) -> Result<Loaded, Problems> {
    let mut given: Table = toml::from_str(text).map_err(|error| Problems(vec![syntax(text, &error)]))?;
    let mut reader = Reader::new(variables);
    reader.table(&Shape::settings(), &Place::default(), &mut given);
    reader.unused_variables(&given);
    let settings = match assemble(&given) {
        Ok(settings) => settings,
        Err(problem) => return Err(Problems([reader.problems, vec![problem]].concat())),
    };
    Ok(Loaded { settings, given, origins: reader.origins, problems: reader.problems })
}

/// The parser's message and the line, but not the line's text: a secret may stand in it.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
    Problem::new(format!("line {line}"), error.message())
}

fn assemble(given: &Table) -> Result<Settings, Problem> {
    type Layer = <Settings as confique::Config>::Layer;
    let layer = Layer::deserialize(Value::Table(given.clone()))
        .map_err(|error| Problem::new("settings", error.message()))?;
    let mut settings = Settings::from_layer(layer.with_fallback(Layer::default_values()))
        .map_err(|error| Problem::new("settings", error.to_string()))?;
    if !settings.llm.providers.contains_key("rules") {
        let rules = ProviderSettings::of_kind(ProviderKind::Rules)
            .map_err(|error| Problem::new("llm.providers.rules", error.to_string()))?;
        settings.llm.providers.insert("rules".to_owned(), rules);
    }
    Ok(settings)
}

struct Reader<'a> {
    variables: BTreeMap<&'a str, &'a str>,
    known_variables: BTreeSet<&'static str>,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(variables: &'a [(String, String)]) -> Self {
        Self {
            variables: variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            known_variables: BTreeSet::from(["LONGSHORE_CONFIG"]),
            origins: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Checks one table and takes out of it whatever is wrong.
    fn table(&mut self, shape: &Shape, place: &Place, table: &mut Table) {
        let names: Vec<&str> = shape.fields.iter().map(|field| field.name).collect();
        table.retain(|key, _| {
            let key: &str = key;
            let known = names.contains(&key);
            if !known {
                let path = place.child(key).shown;
                self.problems.push(Problem::unknown(path, "setting", key, names.iter().copied()));
            }
            known
        });
        for field in &shape.fields {
            let place = place.child(field.name);
            match (shape.section(field), inside(&place.pattern)) {
                (Some(section), _) => self.section(&section, &place, field, table),
                (None, Some(inside)) => self.tables(&inside, &place, field, table),
                (None, None) => self.leaf(shape, &place, field, table),
            }
        }
    }

    fn section(&mut self, section: &Shape, place: &Place, field: &Field, table: &mut Table) {
        let value = table.entry(field.name).or_insert_with(|| Value::Table(Table::new()));
        if !value.is_table() {
            self.problems.push(Problem::new(&place.shown, format!("must be a table: [{}]", place.shown)));
            *value = Value::Table(Table::new());
        }
        if let Value::Table(inner) = value {
            self.table(section, place, inner);
        }
    }

    /// A map or list of tables: whichever has a problem is left out, so that the rest can be read.
    fn tables(&mut self, inside: &Inside, place: &Place, field: &Field, table: &mut Table) {
        let Some(value) = table.get_mut(field.name) else { return };
        self.origins.insert(place.shown.clone(), Origin::File);
        match (inside, &mut *value) {
            (Inside::Map(shape), Value::Table(entries)) => {
                entries.retain(|name, entry| self.entry(shape, &place.entry(name), entry));
            }
            (Inside::List(shape), Value::Array(items)) => {
                let mut index = 0..;
                items.retain_mut(|item| {
                    self.entry(shape, &place.item(index.next().unwrap_or_default()), item)
                });
            }
            (inside, _) => {
                let form = if matches!(inside, Inside::Map(_)) { "[{}.NAME]" } else { "[[{}]]" };
                let form = form.replace("{}", &place.pattern.replace('*', "NAME"));
                self.problems.push(Problem::new(&place.shown, format!("must be written as {form}")));
                table.remove(field.name);
            }
        }
    }

    fn entry(&mut self, shape: &Shape, place: &Place, entry: &mut Value) -> bool {
        let before = self.problems.len();
        match entry {
            Value::Table(inner) => self.table(shape, place, inner),
            _ => self.problems.push(Problem::new(&place.shown, "must be a table")),
        }
        self.problems.len() == before
    }

    fn leaf(&mut self, shape: &Shape, place: &Place, field: &Field, table: &mut Table) {
        let FieldKind::Leaf { env, kind } = field.kind else { return };
        if let Some(value) = table.get(field.name) {
            self.origins.insert(place.shown.clone(), Origin::File);
            if let Err(message) = shape.accepts(field.name, value) {
                self.problems.push(bad_value(&place.shown, &place.pattern, message));
                table.remove(field.name);
            }
        } else if kind == (LeafKind::Required { default: None }) {
            self.problems.push(Problem::new(&place.shown, "is missing"));
        }
        if let Some(name) = env {
            self.variable(shape, place, field, name, table);
        }
    }

    /// An environment variable over the file. An empty one counts as unset.
    fn variable(
        &mut self,
        shape: &Shape,
        place: &Place,
        field: &Field,
        name: &'static str,
        table: &mut Table,
    ) {
        self.known_variables.insert(name);
        let Some(text) = self.variables.get(name).filter(|text| !text.is_empty()) else { return };
        let as_text = Value::String((*text).to_owned());
        let accepted = shape.accepts(field.name, &as_text).map(|()| as_text).or_else(|message| {
            let literal = literal(text).filter(|value| shape.accepts(field.name, value).is_ok());
            literal.ok_or(message)
        });
        match accepted {
            Ok(value) => {
                table.insert(field.name.to_owned(), value);
                self.origins.insert(place.shown.clone(), Origin::Environment(name.to_owned()));
            }
            Err(message) => self.problems.push(bad_value(name, &place.pattern, message)),
        }
    }

    /// Variables that look like settings and are none. What Kubernetes makes for a service of our name, the
    /// test suites' own ones, and those that a secret reference names are left alone.
    fn unused_variables(&mut self, given: &Table) {
        let mut referenced = BTreeSet::new();
        variables_in(&Value::Table(given.clone()), &mut referenced);
        for name in self.variables.keys().copied() {
            let foreign = ["LONGSHORE_SERVICE_", "LONGSHORE_PORT", "LONGSHORE_TEST_", "LONGSHORE_CRASH_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if foreign || self.known_variables.contains(name) || referenced.contains(name) {
                continue;
            }
            let known = self.known_variables.iter().copied();
            let mut problem = Problem::unknown(name, "variable", name, known);
            if problem.hint.as_ref().is_some_and(|hint| hint.starts_with("known")) {
                problem.hint = Some("`longshore config template --env` lists them all".to_owned());
            }
            self.problems.push(problem);
        }
    }
}

fn bad_value(shown: &str, pattern: &str, message: String) -> Problem {
    if is_secret(pattern) {
        return Problem::new(shown, "must be text: a reference such as `env:NAME` or `file:/path`");
    }
    Problem::new(shown, message)
}

/// The text as a TOML value: a number, `true`, a list.
fn literal(text: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {text}")).ok()?.remove("value")
}

/// Names after `env:` in any text.
fn variables_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix("env:").map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| variables_in(item, found)),
        Value::Table(table) => table.values().for_each(|inner| variables_in(inner, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Loaded {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        from_toml(text, &variables).unwrap()
    }

    fn shown(loaded: &Loaded) -> Vec<String> {
        loaded.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_given_is_all_defaults() {
        let loaded = load("", &[]);
        assert_eq!(shown(&loaded), Vec::<String>::new());
        let settings = loaded.settings;
        assert_eq!(
            (settings.queue.wait, settings.queue.visibility),
            (Duration::from_secs(20), Duration::from_secs(60))
        );
        assert_eq!((settings.worker.concurrency, settings.worker.bytes_in_flight), (64, 64 << 20));
        assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9464");
        assert_eq!(settings.llm.providers["rules"].kind, ProviderKind::Rules);
    }

    #[test]
    fn the_environment_stands_over_the_file() {
        let file = "[queue]\nwait = \"5s\"\n[worker]\nconcurrency = 7\ndrills = true\n";
        let loaded = load(
            file,
            &[
                ("LONGSHORE_WORKER_CONCURRENCY", "9"),
                ("LONGSHORE_WORKER_DRILLS", "false"),
                ("LONGSHORE_QUEUE_WAIT", ""),
                ("LONGSHORE_QUEUE_REGION", "1"),
            ],
        );
        assert_eq!(shown(&loaded), Vec::<String>::new());
        assert_eq!((loaded.settings.worker.concurrency, loaded.settings.worker.drills), (9, false));
        assert_eq!(loaded.settings.queue.wait, Duration::from_secs(5));
        assert_eq!(loaded.settings.queue.region.as_deref(), Some("1"));
        assert_eq!(loaded.origins["worker.drills"], Origin::Environment("LONGSHORE_WORKER_DRILLS".into()));
        assert_eq!(loaded.origins["queue.wait"], Origin::File);
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let file = r#"
            quue = 1
            [queue]
            wiat = "20s"
            wait = "twenty"
            [worker]
            concurrency = -1
            [sources.wa]
            vendr = "whatsapp"
            keys = [{ id = "a", secret = 1234567 }]
            [sources.hs]
            vendor = "hubspot"
            tolerance = 5
        "#;
        let variables = [("LONGSHORE_WORKER_ATEMPTS", "3"), ("LONGSHORE_ADMIN_LISTEN", "nowhere")];
        let text = shown(&load(file, &variables)).join("\n");
        for expected in [
            "quue: unknown setting `quue` (did you mean `queue`?)",
            "queue.wiat: unknown setting `wiat` (did you mean `wait`?)",
            "queue.wait: ",
            "worker.concurrency: ",
            "sources.wa.vendr: unknown setting `vendr` (did you mean `vendor`?)",
            "sources.wa.vendor: is missing",
            "sources.wa.keys[0].secret: must be text",
            "sources.hs.tolerance: ",
            "LONGSHORE_ADMIN_LISTEN: ",
            "unknown variable `LONGSHORE_WORKER_ATEMPTS` (did you mean `LONGSHORE_WORKER_ATTEMPTS`?)",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("1234567"), "{text}");
    }

    #[test]
    fn maps_and_lists_have_their_defaults() {
        let file = r#"
            [[seal.keys]]
            id = "edge"
            secret = "env:LONGSHORE_EDGE"
            sources = ["*"]
            [sources.wa]
            vendor = "whatsapp"
            accounts = { "123" = "acme" }
            [[sources.wa.keys]]
            id = "a"
            secret = "env:A"
            state = "replay-only"
            [llm.providers.openai]
            kind = "openai"
        "#;
        let loaded = load(file, &[("LONGSHORE_EDGE", "x"), ("LONGSHORE_SERVICE_HOST", "10.0.0.1")]);
        assert_eq!(shown(&loaded), Vec::<String>::new());
        let source = &loaded.settings.sources["wa"];
        assert_eq!((source.tolerance, source.max_body), (Duration::from_secs(300), 1 << 20));
        assert_eq!(source.keys[0].state, crate::config::senders::KeyState::ReplayOnly);
        assert_eq!(loaded.settings.seal.keys[0].key.id, "edge");
        assert_eq!(loaded.settings.llm.providers["openai"].attempts, 3);
    }

    #[test]
    fn a_syntax_error_names_the_line_without_its_text() {
        let error = from_toml("[queue]\nurl = sk-live-1\n", &[]).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("sk-live"), "{error}");
    }
}
