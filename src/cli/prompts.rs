//! `longshore prompts`: what models are asked, and whether answers still get the verdict that they got.

use std::{fs, path::Path, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{
        context::Context,
        output::{say, say_aside, say_json, say_table},
    },
    config::Settings,
    domain::ids::CorrelationId,
    http::Http,
    lifecycle::{ExitCode, Stop},
    llm::{
        contract::{AnswerShape, Finish, Question, Request},
        models::Model,
        prompts::{
            cases::{Case, Tried, Verdict},
            catalogue::Catalogue,
            prompt::Prompt,
        },
    },
};

/// Digits of a hash that are shown.
const SHOWN: usize = 12;
/// Folder of cases beside prompts.
const CASES: &str = "cases";

/// What models are asked: list, show, render, hold stored cases against it.
#[derive(Debug, Args)]
pub(super) struct PromptsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All prompts with version, hash and where they come from; those of `llm.prompts` stand over the built-in ones.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print a prompt's file: a copy in the folder `llm.prompts` stands in for it.
    Show {
        /// Which prompt.
        id: String,
    },
    /// Print exactly what would be asked: system text, turns, schema and output cap.
    Render(RenderArgs),
    /// Render every stored case anew, judge its recorded answer, and compare the verdict with the recorded one. Exit 1
    /// when a verdict changed; a question that is rendered differently than before is told as drift.
    Test(TestArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore prompts render email_draft --case renewal")]
struct RenderArgs {
    /// Which prompt.
    id: String,
    /// With the values of this stored case; the first one when nothing is said.
    #[arg(long, value_name = "NAME", conflicts_with = "values")]
    case: Option<String>,
    /// With the values of this JSON file.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore prompts test message_reading --live openai")]
struct TestArgs {
    /// Only this prompt.
    id: Option<String>,
    /// Cases of this folder instead, as ID/NAME.json.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Ask this provider of the settings instead of judging the recorded answers. Costs money, beside all budgets.
    #[arg(long, value_name = "PROVIDER")]
    live: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl PromptsCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        let catalogue = Catalogue::load(settings.llm.prompts.as_deref()).map_err(|errors| {
            let hint = "`longshore prompts show ID` prints the built-in file when `llm.prompts` is not set";
            Stop::new(ExitCode::Config, errors.to_string()).hint(hint)
        })?;
        match self.verb {
            Verb::List { json } => list(&catalogue, json),
            Verb::Show { id } => {
                say(find(&catalogue, &id)?.text.trim_end());
                Ok(ExitCode::Ok)
            }
            Verb::Render(args) => render(&settings, &catalogue, &args),
            Verb::Test(args) => Box::pin(test(&settings, &catalogue, &args)).await,
        }
    }
}

fn find<'a>(catalogue: &'a Catalogue, id: &str) -> anyhow::Result<&'a Prompt> {
    let unknown = || {
        Stop::new(ExitCode::BadInput, format!("no prompt `{id}`")).hint("`longshore prompts list` shows them")
    };
    Ok(catalogue.get(id).ok_or_else(unknown)?)
}

fn list(catalogue: &Catalogue, json: bool) -> anyhow::Result<ExitCode> {
    let rows: Vec<Value> = catalogue.all().map(|prompt| row(prompt)).collect();
    if json {
        say_json(&rows)?;
        return Ok(ExitCode::Ok);
    }
    let columns =
        ["id", "version", "route", "schema", "max_output", "cache", "over_budget", "when_down", "file"];
    let cell =
        |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).replace("null", "-");
    let cells = |row: &Value| {
        let mut cells: Vec<String> = columns.iter().map(|name| cell(&row[name])).collect();
        cells.insert(2, cell(&row["hash"]).chars().take(SHOWN).collect());
        cells
    };
    let mut head = columns.to_vec();
    head.insert(2, "hash");
    say_table(&head, &rows.iter().map(cells).collect::<Vec<_>>());
    Ok(ExitCode::Ok)
}

fn row(prompt: &Prompt) -> Value {
    let front = &prompt.front;
    json!({
        "id": front.id,
        "version": front.version,
        "hash": prompt.hash,
        "route": front.route,
        "schema": front.schema,
        "max_output": front.max_output,
        "continuations": front.continuations,
        "cache": front.cache.map(|cache| format!("{}s", cache.as_secs())),
        "over_budget": front.over_budget,
        "when_down": front.when_down,
        "similar": front.similar.as_ref().map(|similar| similar.kind.clone()),
        "file": prompt.file,
    })
}

fn render(settings: &Settings, catalogue: &Catalogue, args: &RenderArgs) -> anyhow::Result<ExitCode> {
    let prompt = find(catalogue, &args.id)?;
    let values = match &args.values {
        Some(file) => {
            serde_json::from_str(&read(file)?).map_err(|error| bad_input(file, &error.to_string()))?
        }
        None => {
            let wanted = |name: &str| args.case.as_deref().is_none_or(|case| case == name);
            let found = cases(settings, prompt, None)?.into_iter().find(|(name, _)| wanted(name));
            let missing =
                || Stop::new(ExitCode::BadInput, "no such case").hint("`longshore prompts test` lists them");
            found.ok_or_else(missing)?.1.values
        }
    };
    let question = prompt.question(values)?;
    let schema = match &question.answer {
        AnswerShape::Text => Value::Null,
        AnswerShape::Json { schema, .. } => schema.clone(),
    };
    if args.json {
        say_json(&json!({
            "prompt": question.prompt.to_string(),
            "hash": question.prompt.hash,
            "system": question.system,
            "turns": question.turns,
            "schema": schema,
            "max_output": question.max_output,
        }))?;
        return Ok(ExitCode::Ok);
    }
    say(&format!("--- system of {}\n{}", question.prompt, question.system));
    for turn in &question.turns {
        say(&format!("--- {}\n{}", turn.role.name(), turn.text));
    }
    if !schema.is_null() {
        say(&format!("--- schema\n{}", serde_json::to_string_pretty(&schema)?));
    }
    say(&format!("--- at most {} tokens", question.max_output));
    Ok(ExitCode::Ok)
}

async fn test(settings: &Settings, catalogue: &Catalogue, args: &TestArgs) -> anyhow::Result<ExitCode> {
    let live = args.live.as_deref().map(|name| live(settings, name)).transpose()?;
    let chosen: Vec<&Prompt> = match &args.id {
        Some(id) => vec![find(catalogue, id)?],
        None => catalogue.all().map(|prompt| &**prompt).collect(),
    };
    let mut tried = Vec::new();
    for prompt in chosen {
        for (name, case) in cases(settings, prompt, args.cases.as_deref())? {
            tried.push(match &live {
                None => case.judge(&name, prompt, None)?,
                Some(model) => ask_live(model, prompt, &name, case).await?,
            });
        }
    }
    let changed = tried.iter().filter(|tried| tried.changed()).count();
    let drifted = tried.iter().filter(|tried| tried.drift).count();
    if args.json {
        say_json(&json!({ "ok": changed == 0, "changed": changed, "drifted": drifted, "cases": tried }))?;
    } else {
        table(&tried);
        say(&format!(
            "{} cases: {changed} with another verdict, {drifted} with another question",
            tried.len()
        ));
    }
    Ok(if changed == 0 { ExitCode::Ok } else { ExitCode::No })
}

fn table(tried: &[Tried]) {
    let row = |tried: &Tried| {
        let was = if tried.changed() { format!("{} -> ", word(tried.was)) } else { String::new() };
        let drift = if tried.drift { format!("now {}", tried.rendered) } else { "same".to_owned() };
        vec![
            tried.prompt.clone(),
            tried.case.clone(),
            format!("{was}{}", word(tried.is)),
            drift,
            tried.why.clone(),
        ]
    };
    say_table(&["prompt", "case", "verdict", "question", "why"], &tried.iter().map(row).collect::<Vec<_>>());
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Wrong => "wrong",
        Verdict::Unusable => "unusable",
    }
}

/// The built-in cases and those beside the prompts of the settings, or those of one folder alone.
fn cases(settings: &Settings, prompt: &Prompt, folder: Option<&Path>) -> anyhow::Result<Vec<(String, Case)>> {
    let id = &prompt.front.id;
    let mut found = match folder {
        Some(_) => Vec::new(),
        None => prompt.cases().map_err(anyhow::Error::msg)?,
    };
    let beside = settings.llm.prompts.as_ref().map(|prompts| prompts.join(CASES));
    let own =
        folder.map(Path::to_owned).or(beside).map(|cases| cases.join(id)).filter(|cases| cases.is_dir());
    let Some(own) = own else { return Ok(found) };
    let entries = fs::read_dir(&own).with_context(|| format!("cannot read {}", own.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let case = Case::read(&read(file)?).map_err(|why| bad_input(file, &why))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.retain(|(known, _)| *known != name);
        found.push((name, case));
    }
    Ok(found)
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).map_err(|error| bad_input(file, &error.to_string()).into())
}

fn bad_input(file: &Path, why: &str) -> Stop {
    Stop::new(ExitCode::BadInput, format!("{}: {why}", file.display()))
}

fn live(settings: &Settings, name: &str) -> anyhow::Result<Model> {
    let known = || settings.llm.providers.keys().cloned().collect::<Vec<_>>().join(", ");
    let unknown =
        || Stop::new(ExitCode::BadInput, format!("no provider `{name}` in the settings")).hint(known());
    let provider = settings.llm.providers.get(name).ok_or_else(unknown)?;
    let model = Model::new(name, provider, &Http::new()?).map_err(anyhow::Error::msg)?;
    if !model.free {
        say_aside(&format!(
            "asking {} for real: this costs money, and no budget or ledger sees it",
            model.model
        ));
    }
    Ok(model)
}

/// One call, no retry, and nothing written down.
async fn ask_live(model: &Model, prompt: &Prompt, name: &str, case: Case) -> anyhow::Result<Tried> {
    let question = prompt.question(&case.values)?;
    let asked = model.provider.complete(&request(model, &question)).await;
    let completion = asked.with_context(|| format!("{} of {}", name, question.prompt))?;
    say_aside(&format!("{name}: {} tokens in, {} out", completion.usage.input(), completion.usage.output));
    let mut tried = case.judge(name, prompt, Some(&completion.text))?;
    if completion.finish != Finish::Complete {
        tried.is = Verdict::Unusable;
        tried.why = format!("{:?}", completion.finish);
    }
    // What a real model should say is what the case calls good; a recorded bad answer is no wish.
    tried.was = Verdict::Good;
    Ok(tried)
}

fn request(model: &Model, question: &Question) -> Request {
    let settings = &model.settings;
    Request {
        model: model.model.clone(),
        system: question.system.clone(),
        turns: question.turns.clone(),
        answer: question.answer.clone(),
        max_output: question.max_output.min(settings.max_output.unwrap_or(u32::MAX)),
        temperature: settings.temperature,
        reasoning_effort: settings.reasoning_effort.clone(),
        service_tier: settings.service_tier.clone(),
        stream: None,
        correlation_id: CorrelationId::from("prompts-test"),
        timeout: settings.timeout.max(Duration::from_secs(1)),
        idle_timeout: settings.idle_timeout,
    }
}
