//! `longshore budget`: what a tenant may spend on models.

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{
    cli::{
        context::{Context, actor},
        output::{say, say_aside, say_json, say_table},
    },
    config::Settings,
    domain::{
        budget::{Budget, BudgetMode, BudgetStatus, Period},
        ids::TenantId,
        money::Money,
        timestamp::Timestamp,
    },
    lifecycle::{ExitCode, Stop},
    store::contract::Store,
};

/// Names of zones that are offered for one that nobody knows.
const SUGGESTED: usize = 3;
/// Names that are less alike are none to offer.
const ALIKE: f64 = 0.8;

/// Budgets of tenants.
#[derive(Debug, Args)]
pub(super) struct BudgetCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Set a limit for the day, the month or both, or change it. What was spent in its window counts.
    #[command(after_help = "Examples:
  longshore budget set --tenant acme --daily 5.00 --time-zone Europe/Berlin
  longshore budget set --tenant acme --monthly 100 --mode soft")]
    Set(Set),
    /// Show limits, and what is left of them now.
    Show {
        /// Only this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// JSON instead of a table; money in pico-dollars (10^-12), times in microseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Remove a tenant's limits: of the day, the month, or both when none is named.
    #[command(after_help = "Example:\n  longshore budget remove --tenant acme --daily")]
    Remove {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// The limit of the day.
        #[arg(long)]
        daily: bool,
        /// The limit of the month.
        #[arg(long)]
        monthly: bool,
        /// Who decides, for the audit log; $USER when absent.
        #[arg(long)]
        actor: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Set {
    /// Whose.
    #[arg(long)]
    tenant: String,
    /// Dollars for a day, such as 5.00.
    #[arg(long, value_name = "USD", value_parser = dollars, required_unless_present = "monthly")]
    daily: Option<Money>,
    /// Dollars for a month, such as 100.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    monthly: Option<Money>,
    /// What happens at the limit. As before where there is one already, else strict.
    #[arg(long)]
    mode: Option<Mode>,
    /// IANA name of the zone in which days and months begin. As before where there is one already, else UTC.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Who decides, for the audit log; $USER when absent.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The worst case of a call is set aside before it; what does not fit is not called.
    Strict,
    /// Somebody is told; calls go on.
    Soft,
}

impl From<Mode> for BudgetMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Strict => Self::Strict,
            Mode::Soft => Self::Soft,
        }
    }
}

fn dollars(text: &str) -> Result<Money, String> {
    let bare = text.trim().trim_start_matches('$');
    Money::parse_usd(bare)
        .ok_or_else(|| "dollars such as 5.00: digits, a point, at most twelve decimals".to_owned())
}

impl BudgetCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        let store = context.store().await?;
        let done = match self.verb {
            Verb::Set(set) => set.run(&settings, &*store).await,
            Verb::Show { tenant, json } => show(&*store, tenant.map(TenantId), json).await,
            Verb::Remove { tenant, daily, monthly, actor: who } => {
                let both = !daily && !monthly;
                let periods = [(Period::Day, daily || both), (Period::Month, monthly || both)];
                remove(&*store, &TenantId(tenant), &periods, &actor(who)).await
            }
        };
        store.close().await;
        done
    }
}

impl Set {
    async fn run(self, settings: &Settings, store: &dyn Store) -> anyhow::Result<ExitCode> {
        let zone = self.time_zone.as_deref().map(zone).transpose()?;
        let tenant = TenantId(self.tenant);
        if tenant.as_str().trim().is_empty() {
            return Err(Stop::new(ExitCode::BadInput, "the tenant has no name").into());
        }
        if !is_known(settings, tenant.as_str()) {
            say_aside(&format!("no source and no setting names a tenant `{tenant}`: is it spelled right?"));
        }
        let before = store.budgets(Some(&tenant)).await?;
        let who = actor(self.actor);
        for (period, limit) in [(Period::Day, self.daily), (Period::Month, self.monthly)] {
            let Some(limit) = limit else { continue };
            let same = before.iter().map(|status| &status.budget).find(|budget| budget.period == period);
            // The other limit's zone is a better guess than UTC: a tenant lives in one.
            let near = same.or_else(|| before.first().map(|status| &status.budget));
            let budget = Budget {
                tenant: tenant.clone(),
                period,
                limit,
                mode: self
                    .mode
                    .map(BudgetMode::from)
                    .or(same.map(|old| old.mode))
                    .unwrap_or(BudgetMode::Strict),
                time_zone: zone.clone().or(near.map(|old| old.time_zone.clone())).unwrap_or("UTC".to_owned()),
            };
            store.budget_set(&budget, &who).await?;
        }
        show(store, Some(tenant), false).await
    }
}

/// Does any setting speak of it?
fn is_known(settings: &Settings, tenant: &str) -> bool {
    settings.tenants.contains_key(tenant)
        || settings.sources.values().any(|source| {
            source.tenant.as_deref() == Some(tenant) || source.accounts.values().any(|name| name == tenant)
        })
}

/// The zone's own spelling.
fn zone(name: &str) -> Result<String, Stop> {
    if let Ok(zone) = TimeZone::get(name)
        && let Some(name) = zone.iana_name()
    {
        return Ok(name.to_owned());
    }
    let stop = Stop::new(ExitCode::BadInput, format!("no time zone is called `{name}`"));
    let near = nearest(name);
    Err(if near.is_empty() {
        stop.hint("IANA names such as Europe/Berlin, America/New_York or UTC")
    } else {
        stop.hint(format!("did you mean {}?", near.join(", ")))
    })
}

/// The names most like this one, by all of it or by the city alone.
fn nearest(name: &str) -> Vec<String> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    let city = |text: &str| plain(text.rsplit('/').next().unwrap_or(text));
    let likeness = |other: &str| {
        let whole = strsim::jaro_winkler(&plain(name), &plain(other));
        whole.max(strsim::jaro_winkler(&city(name), &city(other)))
    };
    let mut known: Vec<(f64, String)> = jiff::tz::db()
        .available()
        .map(|other| (likeness(other.as_str()), other.as_str().to_owned()))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    known.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

/// A budget as it is told.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    status: &'a BudgetStatus,
    left: Money,
    percent: i64,
}

async fn show(store: &dyn Store, tenant: Option<TenantId>, json: bool) -> anyhow::Result<ExitCode> {
    let budgets = store.budgets(tenant.as_ref()).await?;
    let told: Vec<Told<'_>> =
        budgets.iter().map(|status| Told { status, left: left(status), percent: percent(status) }).collect();
    if json {
        say_json(&told)?;
        return Ok(ExitCode::Ok);
    }
    let head = ["tenant", "period", "mode", "limit", "spent", "reserved", "left", "%", "resets at", "(UTC)"];
    say_table(&head, &told.iter().map(Told::cells).collect::<Vec<_>>());
    Ok(ExitCode::Ok)
}

impl Told<'_> {
    fn cells(&self) -> Vec<String> {
        let BudgetStatus { budget, until, spent, held, .. } = self.status;
        vec![
            budget.tenant.to_string(),
            budget.period.name().to_owned(),
            budget.mode.name().to_owned(),
            budget.limit.to_string(),
            spent.to_string(),
            held.to_string(),
            self.left.to_string(),
            self.percent.to_string(),
            local(*until, &budget.time_zone),
            until.to_string(),
        ]
    }
}

/// What may still be spent; below zero where a soft budget, or one that was lowered, is exceeded.
fn left(status: &BudgetStatus) -> Money {
    let used = status.spent + status.held;
    Money(status.budget.limit.0.saturating_sub(used.0))
}

/// How much is used or set aside, in whole percent, rounded down. Of nothing everything is used.
pub(super) fn percent(status: &BudgetStatus) -> i64 {
    let used = i128::from((status.spent + status.held).0) * 100;
    let limit = i128::from(status.budget.limit.0);
    if limit <= 0 { 100 } else { i64::try_from(used / limit).unwrap_or(i64::MAX) }
}

/// `2026-11-22 00:00 Europe/Berlin`.
fn local(at: Timestamp, zone: &str) -> String {
    let zoned = jiff::Timestamp::from_microsecond(at.0).ok().zip(TimeZone::get(zone).ok());
    zoned.map_or_else(
        || zone.to_owned(),
        |(at, place)| format!("{} {zone}", at.to_zoned(place).strftime("%Y-%m-%d %H:%M")),
    )
}

async fn remove(
    store: &dyn Store,
    tenant: &TenantId,
    periods: &[(Period, bool)],
    actor: &str,
) -> anyhow::Result<ExitCode> {
    let mut removed = false;
    for (period, _) in periods.iter().filter(|(_, wanted)| *wanted) {
        if store.budget_remove(tenant, *period, actor).await? {
            say(&format!("{tenant} has no limit for a {} any more", period.name()));
            removed = true;
        }
    }
    if removed {
        return Ok(ExitCode::Ok);
    }
    let stop = Stop::new(ExitCode::No, format!("{tenant} has no such limit"));
    Err(stop.hint("`longshore budget show` lists all of them").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_taken_in_its_own_spelling_and_a_wrong_one_has_near_names() {
        assert_eq!(zone("europe/berlin").unwrap(), "Europe/Berlin");
        assert_eq!(zone("UTC").unwrap(), "UTC");
        for (wrong, near) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("America/New York", "America/New_York"),
            ("Asia/Tokio", "Asia/Tokyo"),
        ] {
            assert_eq!(zone(wrong).unwrap_err().code, ExitCode::BadInput);
            assert!(nearest(wrong).iter().any(|name| name == near), "{wrong}: {:?}", nearest(wrong));
        }
        assert!(zone("xyzzy").unwrap_err().hint.unwrap().contains("IANA"));
    }

    #[test]
    fn shares_are_whole_and_never_divide_by_nothing() {
        let status = |limit, spent, held| BudgetStatus {
            budget: Budget {
                tenant: "t".into(),
                period: Period::Day,
                limit: Money(limit),
                mode: BudgetMode::Soft,
                time_zone: "UTC".to_owned(),
            },
            from: Timestamp(0),
            until: Timestamp(1),
            spent: Money(spent),
            held: Money(held),
        };
        let shares =
            [(100, 79, 0), (100, 70, 10), (1_000, 999, 0), (100, 250, 0), (0, 0, 0), (i64::MAX, i64::MAX, 0)];
        assert_eq!(shares.map(|(l, s, h)| percent(&status(l, s, h))), [79, 80, 99, 250, 100, 100]);
        assert_eq!(left(&status(100, 250, 0)), Money(-150));
    }

    #[test]
    fn the_reset_is_told_in_the_tenants_own_time() {
        let at = Timestamp::parse_rfc3339("2026-11-21T23:00:00Z").unwrap();
        assert_eq!(local(at, "Europe/Berlin"), "2026-11-22 00:00 Europe/Berlin");
    }
}
