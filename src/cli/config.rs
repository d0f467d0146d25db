//! `longshore config`.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        context::Context,
        output::{say, say_json, say_table},
    },
    config::{Effective, Problem, Problems, Settings, Severity, Template, effective, render},
    lifecycle::ExitCode,
    llm::prompts::{catalogue::Catalogue, error::PromptError},
};

/// The settings: check them, show them, make a template.
#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Name everything that is wrong, secrets that cannot be read included; exit 78 when it is an error.
    Check {
        /// JSON instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Show every setting that counts and where it came from. Secrets are shown as references only.
    Print {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print a template or the reference page.
    Template(TemplateArgs),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TemplateArgs {
    /// The variables, as a .env file.
    #[arg(long)]
    env: bool,
    /// A commented TOML file.
    #[arg(long)]
    toml: bool,
    /// The reference page, Markdown.
    #[arg(long)]
    reference: bool,
}

impl ConfigCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Check { json } => check(context, json),
            Verb::Print { json } => print(context, json),
            Verb::Template(TemplateArgs { env, toml, .. }) => {
                let template = match (env, toml) {
                    (true, _) => Template::Environment,
                    (_, true) => Template::Toml,
                    _ => Template::Reference,
                };
                say(render(template).trim_end());
                Ok(ExitCode::Ok)
            }
        }
    }
}

fn check(context: &Context, json: bool) -> anyhow::Result<ExitCode> {
    let problems = match context.loaded() {
        Ok(mut loaded) => {
            loaded.check_secrets();
            loaded.problems.extend(loaded.settings.worker_needs().into_iter().map(for_worker_only));
            loaded.problems.extend(prompt_problems(&loaded.settings));
            Problems(loaded.problems)
        }
        Err(problems) => problems,
    };
    let file = context.file().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    if json {
        say_json(&serde_json::json!({ "file": file, "ok": !problems.fatal(), "problems": problems.0 }))?;
    } else {
        problems.0.iter().for_each(|problem| say(&problem.to_string()));
        let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error).count();
        say(&format!("{file}: {errors} errors, {} warnings", problems.0.len() - errors));
    }
    Ok(if problems.fatal() { ExitCode::Config } else { ExitCode::Ok })
}

/// Other commands do without; a file for them alone is no error.
fn for_worker_only(mut problem: Problem) -> Problem {
    problem.severity = Severity::Warning;
    problem.message.push_str(", and the worker needs it");
    problem
}

/// A worker reads the prompts when it starts, and does not start with a bad one.
fn prompt_problems(settings: &Settings) -> Vec<Problem> {
    let errors =
        Catalogue::load(settings.llm.prompts.as_deref()).err().map(|errors| errors.0).unwrap_or_default();
    let problem = |error: PromptError| Problem {
        path: "llm.prompts".to_owned(),
        message: error.to_string(),
        hint: Some(
            "`longshore prompts list` reads them again; docs/PROMPTS.md says how they are written".to_owned(),
        ),
        severity: Severity::Error,
    };
    errors.into_iter().map(problem).collect()
}

fn print(context: &Context, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = context.loaded()?;
    let settings = effective(&loaded);
    if json {
        say_json(&settings)?;
    } else {
        let row = |setting: &Effective| {
            let value = setting.value.clone().unwrap_or_else(|| "-".to_owned());
            vec![setting.path.clone(), value, setting.origin.clone()]
        };
        say_table(&["setting", "value", "from"], &settings.iter().map(row).collect::<Vec<_>>());
    }
    Ok(ExitCode::Ok)
}
