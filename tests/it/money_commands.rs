//! What people do about money: set budgets, ask what was spent, hold it against the provider's account, fill in prices.
//! Through the real binary, on both databases.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use longshore::{
    app::open_store,
    config::{Loaded, from_toml},
    domain::{
        budget::{Budget, BudgetMode, Period},
        event::{Drill, Event, Fact},
        ids::{EventKey, SourceName},
        money::Money,
        outcome::{Fence, Outcome, Settled, Verdict},
        record::{LedgerRow, LedgerStatus, Write},
        timestamp::Timestamp,
        usage::{Usage, UsageSource},
    },
    store::{
        contract::{Claim, ClaimRequest},
        report::LedgerQuery,
    },
};
use serde_json::{Value, json};

use crate::world::{Database, Kind, on_both};

const LEASE: std::time::Duration = std::time::Duration::from_secs(60);

/// A folder with settings, and a database.
struct Desk {
    folder: tempfile::TempDir,
    database: Database,
}

impl Desk {
    async fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(kind, folder.path()).await;
        let url = match kind {
            Kind::Sqlite => database.url.clone(),
            Kind::Postgres => {
                let file = folder.path().join("url");
                fs::write(&file, &database.url).unwrap();
                private(&file);
                format!("file:{}", file.display())
            }
        };
        let settings = format!("[store]\nurl = \"{url}\"\n[tenants.acme]\nllm = \"rules\"\n");
        fs::write(folder.path().join("longshore.toml"), settings).unwrap();
        Self { folder, database }
    }

    /// Runs a command in an empty environment.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("USER", "tester");
        tokio::task::block_in_place(|| command.output().unwrap())
    }

    /// Runs it, insists on this exit code, and answers both outputs.
    async fn says(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    async fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await;
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.path().join(name), text).unwrap();
        name.to_owned()
    }

    async fn store(&self) -> std::sync::Arc<dyn longshore::store::contract::Store> {
        let text = fs::read_to_string(self.folder.path().join("longshore.toml")).unwrap();
        open_store(&from_toml(&text, &[]).and_then(Loaded::into_settings).unwrap()).await.unwrap()
    }

    /// Ledger rows, written as a handler's are.
    async fn fill(&self, rows: Vec<LedgerRow>) {
        let store = self.store().await;
        let claims =
            store.claim(&[ClaimRequest { event: drill(), seal: None, start: true }], LEASE).await.unwrap();
        let [Claim::Mine(work)] = &claims[..] else { panic!("not claimed: {claims:?}") };
        let writes = rows.into_iter().map(|row| Write::Ledger(Box::new(row))).collect();
        let verdict = Verdict::Done(Outcome { writes, commands: Vec::new() });
        let settled = [Settled { held: work.held.clone(), verdict }];
        assert_eq!(store.settle(&settled).await.unwrap(), [Fence::Committed]);
        store.close().await;
    }

    async fn ledger(&self) -> Vec<LedgerRow> {
        let store = self.store().await;
        let rows = store.ledger(&LedgerQuery { limit: 1_000, ..LedgerQuery::default() }).await.unwrap();
        store.close().await;
        rows
    }
}

fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn drill() -> Event {
    let now = now();
    Event {
        vendor_type: "rehearsal".to_owned(),
        key: EventKey::new(&SourceName::from("jobs"), "account", "1"),
        source: "jobs".into(),
        account: "account".to_owned(),
        tenant: "acme".into(),
        occurred_at: Some(now),
        received_at: now,
        due_at: None,
        expires_at: None,
        order_key: None,
        correlation_id: "c".into(),
        fact: Fact::Drill(Drill::Work { millis: 0 }),
    }
}

fn now() -> Timestamp {
    use longshore::clock::{Clock as _, SystemClock};
    SystemClock.now()
}

fn row(id: &str, model: &str, cost: Option<&str>) -> LedgerRow {
    LedgerRow {
        id: id.to_owned(),
        tenant: "acme".into(),
        at: now(),
        event_key: drill().key,
        step: "reply".to_owned(),
        status: LedgerStatus::Answered,
        provider: "openai".to_owned(),
        requested_model: model.to_owned(),
        served_model: None,
        usage: Usage { uncached_input: 900, cache_read: 100, output: 50, ..Usage::default() },
        usage_source: UsageSource::Provider,
        cost: cost.map(|text| Money::parse_usd(text).unwrap()),
        price_version: cost.map(|_| "2026-11-21".to_owned()),
        latency_ms: 100,
        user: None,
        specialist: None,
        request_id: Some(format!("req_{id}")),
        prompt: Some("email_draft@2".to_owned()),
        prompt_hash: Some("0".repeat(64)),
        requested_tier: None,
        served_tier: None,
    }
}

on_both! {
    a_budget_is_set_shown_changed_and_removed
    what_cannot_be_a_budget_is_refused_with_a_hint
    a_report_goes_by_prompt_and_into_a_spreadsheet
    peers_2_14_the_ledger_is_held_against_the_providers_account
    only_rows_without_a_cost_get_one
}

async fn a_budget_is_set_shown_changed_and_removed(kind: Kind) {
    let desk = Desk::new(kind).await;
    let set = ["budget", "set", "--tenant", "acme"];
    let with = |more: &[&'static str]| [&set[..], more].concat();
    let text = desk.says(0, &with(&["--daily", "5.00", "--time-zone", "europe/berlin"])).await;
    assert!(text.contains("acme") && text.contains("Europe/Berlin") && text.contains("strict"), "{text}");
    // The month takes the zone of the day, and a mode of its own.
    desk.says(0, &with(&["--monthly", "$100", "--mode", "soft"])).await;
    // What is not named stays.
    desk.says(0, &with(&["--daily", "7.25"])).await;

    let shown = desk.json(0, &["budget", "show", "--tenant", "acme", "--json"]).await;
    let [day, month] = &shown.as_array().unwrap()[..] else { panic!("{shown}") };
    assert_eq!(
        (&day["period"], &day["limit"], &day["mode"]),
        (&json!("day"), &json!(7_250_000_000_000_i64), &json!("strict"))
    );
    assert_eq!(
        (&month["period"], &month["limit"], &month["mode"]),
        (&json!("month"), &json!(100_000_000_000_000_i64), &json!("soft"))
    );
    for budget in [day, month] {
        assert_eq!(
            (&budget["time_zone"], &budget["percent"], &budget["spent"]),
            (&json!("Europe/Berlin"), &json!(0), &json!(0))
        );
        assert_eq!(budget["left"], budget["limit"]);
    }
    // The end of the day in Berlin, by our own reckoning.
    let budget = Budget {
        tenant: "acme".into(),
        period: Period::Day,
        limit: Money::ZERO,
        mode: BudgetMode::Strict,
        time_zone: "Europe/Berlin".to_owned(),
    };
    assert_eq!(day["until"].as_i64(), Some(budget.window(now()).unwrap().1.0));

    let removed = desk.says(0, &["budget", "remove", "--tenant", "acme", "--daily"]).await;
    assert!(removed.contains("day"), "{removed}");
    assert_eq!(desk.json(0, &["budget", "show", "--json"]).await.as_array().unwrap().len(), 1);
    desk.says(0, &["budget", "remove", "--tenant", "acme"]).await;
    let none = desk.says(1, &["budget", "remove", "--tenant", "acme"]).await;
    assert!(none.contains("hint:"), "{none}");
    let audit = desk.database.count("audit_log WHERE actor = 'tester'").await;
    assert_eq!(audit, 5, "every order is in the audit log");
    desk.database.finish().await;
}

async fn what_cannot_be_a_budget_is_refused_with_a_hint(kind: Kind) {
    let desk = Desk::new(kind).await;
    let zone = desk
        .says(65, &["budget", "set", "--tenant", "acme", "--daily", "5", "--time-zone", "Europe/Berln"])
        .await;
    assert!(zone.contains("did you mean Europe/Berlin"), "{zone}");
    for wrong in ["five", "-5", "1e3", "5,00", "0.0000000000001"] {
        let text = desk.says(64, &["budget", "set", "--tenant", "acme", &format!("--daily={wrong}")]).await;
        assert!(text.contains("dollars such as 5.00"), "{text}");
    }
    desk.says(64, &["budget", "set", "--tenant", "acme"]).await;
    desk.says(64, &["budget", "set", "--daily", "5"]).await;
    assert_eq!(desk.json(0, &["budget", "show", "--json"]).await, json!([]));
    let unknown = desk.says(0, &["budget", "set", "--tenant", "acmee", "--daily", "5"]).await;
    assert!(unknown.contains("is it spelled right?"), "{unknown}");
    desk.database.finish().await;
}

async fn a_report_goes_by_prompt_and_into_a_spreadsheet(kind: Kind) {
    let desk = Desk::new(kind).await;
    let mut other = row("2", "=cmd()", Some("0.5"));
    other.prompt = Some("message_reading@1".to_owned());
    let mut bare = row("3", "gpt-5-mini", None);
    bare.prompt = None;
    desk.fill(vec![row("1", "gpt-5-mini", Some("0.000123")), other, bare]).await;

    let csv = desk.says(0, &["usage", "report", "--csv"]).await;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().next_back(), Some("USD"));
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |prompt: &str, at: usize| {
        records.iter().find(|record| &record[2] == prompt).unwrap_or_else(|| panic!("{csv}"))[at].to_owned()
    };
    assert_eq!((records.len(), cell("email_draft@2", 10).as_str()), (3, "0.000123"));
    assert_eq!(cell("message_reading@1", 3), "'=cmd()", "a formula is text");
    assert_eq!((cell("", 6), cell("", 10)), ("1".to_owned(), "0.00".to_owned()));

    let only = desk.json(0, &["usage", "report", "--prompt", "email_draft", "--json"]).await;
    assert_eq!((only.as_array().unwrap().len(), &only[0]["prompt"]), (1, &json!("email_draft@2")));
    let table = desk.says(0, &["usage", "report"]).await;
    assert!(table.contains("prompt") && table.contains("total: 0.500123 USD"), "{table}");
    desk.database.finish().await;
}

async fn peers_2_14_the_ledger_is_held_against_the_providers_account(kind: Kind) {
    let desk = Desk::new(kind).await;
    let mut rules = row("r", "rules", Some("0"));
    rules.provider = "rules".to_owned();
    let rows = ["1", "2", "3"].map(|id| row(id, "gpt-5-mini", Some("0.0003"))).into_iter();
    desk.fill(rows.chain([rules]).collect()).await;
    let head = "request_id,model,input_tokens,cached_tokens,output_tokens,cost_usd\n";
    let bill = |id: &str, output: i64| format!("req_{id},gpt-5-mini-2025-08-07,1000,100,{output},0.0003\n");
    let same = desk.write("same.csv", &[head, &bill("1", 50), &bill("2", 50), &bill("3", 50)].concat());
    let ask = ["usage", "reconcile", "--provider-export"];

    let text = desk.says(0, &[&ask[..], &[&same]].concat()).await;
    assert!(text.contains("3 requests, all the same on both sides"), "{text}");

    let other = desk.write("other.csv", &[head, &bill("1", 50), &bill("2", 51), &bill("9", 7)].concat());
    let page = desk.json(1, &[&ask[..], &[&other, "--provider", "openai", "--json"]].concat()).await;
    let result = &page["result"];
    let shown: Vec<_> = result["different"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["request_id"].as_str().unwrap(), d["ledger"].is_null(), d["export"].is_null()))
        .collect();
    assert_eq!(shown, [("req_2", false, false), ("req_3", false, true), ("req_9", true, false)]);
    assert_eq!((&result["same"], &result["ledger"]["cost"]), (&json!(1), &json!(900_000_000_i64)));
    assert_eq!((&result["ledger"]["output"], &result["export"]["output"]), (&json!(150), &json!(108)));
    let text = desk.says(1, &[&ask[..], &[&other]].concat()).await;
    for words in ["req_2", "50 / 51", "1 requests are the same, 3 are not", "difference"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }

    // The same account as JSON lines, as answers are logged.
    let lines: String = ["1", "2", "3"]
        .map(|id| {
            let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": { "cached_tokens": 100 } });
            format!("{}\n", json!({ "id": format!("req_{id}"), "model": "gpt-5-mini", "usage": usage }))
        })
        .concat();
    let lines = desk.write("lines.jsonl", &lines);
    desk.says(0, &[&ask[..], &[&lines]].concat()).await;
    let empty = desk.write("empty.csv", head);
    for (file, words) in [("nowhere.csv", "No such file"), (empty.as_str(), "no rows")] {
        let text = desk.says(65, &[&ask[..], &[file]].concat()).await;
        assert!(text.contains(words), "{text}");
    }
    desk.database.finish().await;
}

async fn only_rows_without_a_cost_get_one(kind: Kind) {
    let desk = Desk::new(kind).await;
    let mut counted = row("c", "own-model", None);
    counted.usage_source = UsageSource::None;
    let rows = vec![
        row("1", "own-model", None),
        row("2", "own-model", None),
        row("3", "own-model", Some("9")),
        row("4", "nobodys-model", None),
        counted,
    ];
    desk.fill(rows).await;
    let prices = json!({ "models": { "own-model": { "as_of": "2026-01-01", "input": "1", "cached_input": "0.1", "output": "10" } } });
    desk.write("prices.json", &prices.to_string());
    let settings = desk.folder.path().join("longshore.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("[llm]\nprices = \"prices.json\"\n{text}")).unwrap();
    let costs = |rows: &[LedgerRow]| {
        let mut costs: Vec<_> =
            rows.iter().map(|row| (row.id.clone(), row.cost.map(|cost| cost.to_string()))).collect();
        costs.sort();
        costs
    };
    let before = costs(&desk.ledger().await);
    let dry = desk.json(0, &["usage", "reprice", "--dry-run", "--json"]).await;
    // 900 at 1, 100 at 0.1 and 50 at 10 dollars a million.
    let each = 900_000_000 + 10_000_000 + 500_000_000_i64;
    assert_eq!((&dry["priced"], &dry["written"], &dry["cost"]), (&json!(2), &json!(0), &json!(2 * each)));
    assert_eq!(costs(&desk.ledger().await), before, "a dry run writes nothing");

    let done = desk.says(0, &["usage", "reprice"]).await;
    assert!(done.contains("2 rows got a cost, 0.00282 USD in all; 2 stay unknown"), "{done}");
    assert!(done.contains("nobodys-model") && done.contains("own-model (tokens not known)"), "{done}");
    let after = costs(&desk.ledger().await);
    let some = |text: &str| Some(text.to_owned());
    let expected =
        [("1", some("0.00141")), ("2", some("0.00141")), ("3", some("9.00")), ("4", None), ("c", None)];
    assert_eq!(after, expected.map(|(id, cost)| (id.to_owned(), cost)));
    let again = desk.json(0, &["usage", "reprice", "--json"]).await;
    assert_eq!(
        (&again["written"], &again["unknown"]),
        (&json!(0), &json!(2)),
        "repeating it changes nothing"
    );
    desk.database.finish().await;
}
