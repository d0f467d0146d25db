//! Files made from the settings' own description.

use std::fmt::Write as _;

use confique::meta::{Field, FieldKind, LeafKind};

use crate::config::{
    print::default_of,
    shape::{Inside, Shape, inside, join},
};

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// `.env.example`: every variable.
    Environment,
    /// A commented TOML file.
    Toml,
    /// The reference page, Markdown.
    Reference,
}

/// Makes it.
#[must_use]
pub fn render(template: Template) -> String {
    let mut out = match template {
        Template::Environment => ENVIRONMENT_HEAD.to_owned(),
        Template::Toml => TOML_HEAD.to_owned(),
        Template::Reference => REFERENCE_HEAD.to_owned(),
    };
    match template {
        Template::Environment => environment(&Shape::settings(), &mut out),
        Template::Toml => toml(&Shape::settings(), "", "", &mut out),
        Template::Reference => reference(&Shape::settings(), "", &mut out),
    }
    out
}

const ENVIRONMENT_HEAD: &str = "\
# Settings of Longshore as environment variables. They stand over the TOML file; an empty one counts as unset.
# Made by `longshore config template --env`: change the documentation in src/config/, not here.
#
# Sources, tenants, LLM providers and seal keys exist many times each: they are set in the TOML file only.
# AWS credentials and region (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION ...) are read by the AWS SDK itself.
# A secret is never written here, only a reference to it: env:NAME, file:/path or credential:NAME (systemd).

# Which TOML file to read. Without it: ./longshore.toml, if there is one.
#LONGSHORE_CONFIG=/etc/longshore/longshore.toml
";

const TOML_HEAD: &str = "\
# Settings of Longshore. Every line that starts with `#name =` is a setting: with its default, or an example.
# Made by `longshore config template --toml`. Check yours with `longshore config check`.
#
# Durations are text: \"250ms\", \"20s\", \"5m\". A secret is never written here, only a reference to it:
# \"env:NAME\", \"file:/path\" (not readable by everybody; a new content counts without a restart) or
# \"credential:NAME\" (systemd LoadCredential). AWS Secrets Manager is not supported in this release.
";

const REFERENCE_HEAD: &str = "\
# Settings

Made by `longshore config template --reference`: change the documentation in `src/config/`, not here.

Settings come from a TOML file (`--config FILE`, else `$LONGSHORE_CONFIG`, else `./longshore.toml` if there is one),
and from environment variables, which stand over it. An empty variable counts as unset. Sources, tenants, LLM providers
and seal keys exist many times each, and come from the file only. `AWS_*` variables are read by the AWS SDK itself.

Durations are text such as `250ms`, `20s`, `5m`. Secrets are given by reference, never by value:

| reference | where the secret is |
|---|---|
| `env:NAME` | an environment variable |
| `file:/path` | a file; one trailing newline is cut, a file that everybody can read is refused |
| `credential:NAME` | a systemd credential (`LoadCredential=`), in `$CREDENTIALS_DIRECTORY` |

Files and credentials are read at use: a new content counts without a restart. `store.url` may also be `sqlite:PATH`, which holds no secret.
AWS Secrets Manager is not supported in this release.

`longshore config check` names everything that is wrong at once and exits 78; `longshore config print` shows the values that count and where each came from.
";

/// The documentation of a field without its example, and the example.
fn documented(field: &Field) -> (Vec<&'static str>, Option<&'static str>) {
    let lines = field.doc.iter().map(|line| line.trim());
    let example =
        lines.clone().find_map(|line| line.strip_prefix("Example: ")).map(|text| text.trim_matches('`'));
    (lines.filter(|line| !line.starts_with("Example: ")).collect(), example)
}

/// The value that a template shows: the example, else the default.
fn shown(field: &Field) -> String {
    let example = documented(field).1.map(str::to_owned);
    example.or_else(|| default_of(field)).unwrap_or_default()
}

/// A default worth telling: an empty one only means "not set".
fn default_told(field: &Field) -> Option<String> {
    default_of(field).filter(|default| !matches!(default.as_str(), "\"\"" | "{}" | "[]"))
}

fn is_required(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Leaf { kind: LeafKind::Required { default: None }, .. })
}

fn comment(lines: &[&str], out: &mut String) {
    lines.iter().for_each(|line| {
        let _ = writeln!(out, "# {line}");
    });
}

fn environment(shape: &Shape, out: &mut String) {
    for field in &shape.fields {
        if let Some(section) = shape.section(field) {
            let _ = writeln!(out, "\n# --- {} {}", field.name, "-".repeat(70 - field.name.len()));
            comment(&documented(field).0, out);
            environment(&section, out);
        }
        let FieldKind::Leaf { env: Some(name), .. } = field.kind else { continue };
        out.push('\n');
        comment(&documented(field).0, out);
        if let Some(default) = default_told(field) {
            let _ = writeln!(out, "# Default: {}", default.trim_matches('"'));
        }
        let _ = writeln!(out, "#{name}={}", shown(field).trim_matches('"'));
    }
}

fn toml(shape: &Shape, path: &str, pattern: &str, out: &mut String) {
    let (leaves, tables): (Vec<_>, Vec<_>) = shape
        .fields
        .iter()
        .partition(|field| shape.section(field).is_none() && inside(&join(pattern, field.name)).is_none());
    for field in leaves {
        out.push('\n');
        comment(&documented(field).0, out);
        if is_required(field) {
            comment(&["Required."], out);
        }
        let _ = writeln!(out, "#{} = {}", field.name, shown(field));
    }
    for field in tables {
        let (path, pattern) = (join(path, field.name), join(pattern, field.name));
        out.push('\n');
        comment(&documented(field).0, out);
        match (shape.section(field), inside(&pattern)) {
            (Some(section), _) => {
                let _ = writeln!(out, "[{path}]");
                toml(&section, &path, &pattern, out);
            }
            (None, Some(Inside::Map(entry))) => {
                let path = join(&path, "NAME");
                let _ = writeln!(out, "#[{path}]");
                toml(&entry, &path, &join(&pattern, "*"), out);
            }
            (None, Some(Inside::List(entry))) => {
                let _ = writeln!(out, "#[[{path}]]");
                toml(&entry, &path, &join(&pattern, "*"), out);
            }
            (None, None) => {}
        }
    }
}

fn reference(shape: &Shape, pattern: &str, out: &mut String) {
    if pattern.is_empty() {
        return reference_tables(shape, pattern, out);
    }
    out.push_str("\n| setting | variable | default | meaning |\n|---|---|---|---|\n");
    for field in &shape.fields {
        let FieldKind::Leaf { env, .. } = field.kind else { continue };
        if inside(&join(pattern, field.name)).is_some() {
            continue;
        }
        let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
        let default = match default_told(field) {
            Some(default) => code(&default),
            None if is_required(field) => "required".to_owned(),
            None => "-".to_owned(),
        };
        let (doc, example) = documented(field);
        let example = example.map(|text| format!(" Example: {}", code(text))).unwrap_or_default();
        let variable = env.map_or_else(|| "-".to_owned(), code);
        let meaning = doc.join(" ").replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {variable} | {default} | {meaning}{example} |", field.name);
    }
    reference_tables(shape, pattern, out);
}

fn reference_tables(shape: &Shape, pattern: &str, out: &mut String) {
    for field in &shape.fields {
        let pattern = join(pattern, field.name);
        let named = pattern.replace('*', "NAME");
        let (heading, inner, pattern) = match (shape.section(field), inside(&pattern)) {
            (Some(section), _) => (format!("[{named}]"), section, pattern),
            (None, Some(Inside::Map(entry))) => (format!("[{named}.NAME]"), entry, join(&pattern, "*")),
            (None, Some(Inside::List(entry))) => (format!("[[{named}]]"), entry, join(&pattern, "*")),
            (None, None) => continue,
        };
        let _ = writeln!(out, "\n## `{heading}`\n\n{}", documented(field).0.join(" "));
        reference(&inner, &pattern, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{load::from_toml, problem::Problem};

    /// The template with every setting switched on.
    fn uncommented(template: &str) -> String {
        let on = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        template.lines().map(on).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_line_of_the_toml_template_is_a_setting() {
        let text = uncommented(&render(Template::Toml));
        let loaded = from_toml(&text, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(loaded.problems, Vec::<Problem>::new(), "{text}");
        assert_eq!(loaded.settings.sources["NAME"].keys.len(), 1);
        assert_eq!(loaded.settings.seal.keys.len(), 1);
    }

    #[test]
    fn every_line_of_the_environment_template_is_a_setting() {
        let variables: Vec<(String, String)> = uncommented(&render(Template::Environment))
            .lines()
            .filter(|line| line.starts_with("LONGSHORE_"))
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert!(variables.len() > 25, "{variables:?}");
        assert_eq!(from_toml("", &variables).unwrap().problems, Vec::<Problem>::new());
    }

    #[test]
    fn every_setting_is_documented() {
        let page = render(Template::Reference);
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            assert!(line.split(" | ").last().unwrap().trim_end_matches('|').trim().len() > 10, "{line}");
        }
        assert!(page.contains("`LONGSHORE_QUEUE_WAIT`") && page.contains("## `[[sources.NAME.keys]]`"));
    }
}
