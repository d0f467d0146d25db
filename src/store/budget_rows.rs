//! What budgets do with calls, in one form for both databases: windows as they stand, locked by the caller's
//! transaction, changed here, and written back by the caller together with the calls themselves.

use std::collections::{BTreeMap, btree_map::Entry};

use serde_json::json;

use crate::{
    domain::{
        budget::{ALERT_LEVELS, Budget, BudgetMode, BudgetStatus, Period},
        call::{Begun, CallStart},
        command::{Action, Command, WebhookTarget},
        ids::{CommandId, CorrelationId, TenantId},
        money::Money,
        timestamp::Timestamp,
    },
    store::{
        contract::{Result, StoreError},
        rows::{PlannedCommand, indexed},
    },
};

/// The event by which somebody is told.
const ALERT: &str = "longshore.budget.alert.v1";

/// Which window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowKey {
    /// As it is stored.
    pub(crate) tenant: String,
    pub(crate) period: Period,
    pub(crate) from: Timestamp,
}

/// A window as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) spent: Money,
    pub(crate) held: Money,
    /// The highest level that somebody was told of.
    pub(crate) alerted: i32,
    /// The limit; `None`: removed since.
    pub(crate) budget: Option<Budget>,
}

/// What a window's row holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) spent: Money,
    pub(crate) held: Money,
    pub(crate) alerted: i32,
}

/// Windows by their keys: the order in which they are locked.
pub(crate) type Windows = BTreeMap<WindowKey, Window>;

/// A budget whose spending passed a level.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    period: Period,
    level: i32,
    command: PlannedCommand,
}

impl Alert {
    /// The command that tells it.
    pub(crate) fn command(&self) -> &PlannedCommand {
        &self.command
    }
}

/// Counts alerts, once they are committed.
pub(crate) fn count_alerts(alerts: &[Alert]) {
    for alert in alerts {
        metrics::counter!(
            "longshore_budget_alerts_total",
            "period" => alert.period.name(),
            "level" => alert.level.to_string()
        )
        .increment(1);
    }
}

/// The text of a tenant in the tables of budgets.
pub(crate) fn tenant_text(tenant: &TenantId) -> String {
    indexed(tenant.as_str()).into_owned()
}

/// The windows in which these budgets stand now, nothing spent as yet.
pub(crate) fn open_windows(budgets: Vec<Budget>, now: Timestamp) -> Result<Windows> {
    let mut windows = Windows::new();
    for budget in budgets {
        let (from, until) = window_of(&budget, now)?;
        let key = WindowKey { tenant: tenant_text(&budget.tenant), period: budget.period, from };
        let (spent, held) = (Money::ZERO, Money::ZERO);
        windows.insert(key, Window { from, until, spent, held, alerted: 0, budget: Some(budget) });
    }
    Ok(windows)
}

/// Beginning and end of a budget's window.
pub(crate) fn window_of(budget: &Budget, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
    budget.window(now).map_err(|unknown| StoreError::Refused(unknown.to_string()))
}

impl Window {
    /// What its row holds.
    pub(crate) fn stand(&mut self, standing: Standing) {
        self.spent = standing.spent;
        self.held = standing.held;
        self.alerted = standing.alerted;
    }

    /// As people see it; `None` when its limit was removed.
    pub(crate) fn status(&self) -> Option<BudgetStatus> {
        let budget = self.budget.clone()?;
        Some(BudgetStatus { budget, from: self.from, until: self.until, spent: self.spent, held: self.held })
    }

    /// Is there room for this? A soft budget has always room, a strict one only for what has a price.
    fn has_room(&self, hold: Option<Money>) -> bool {
        let Some(budget) = self.budget.as_ref().filter(|budget| budget.mode == BudgetMode::Strict) else {
            return true;
        };
        // Wide, so that no sum is cut down to fit.
        let taken =
            |hold: Money| i128::from(self.spent.0) + i128::from(self.held.0) + i128::from(hold.0.max(0));
        hold.is_some_and(|hold| taken(hold) <= i128::from(budget.limit.0))
    }

    /// A call ended: what was set aside makes room for what is charged.
    fn end(&mut self, hold: Money, charge: Money) {
        self.held = Money(self.held.0.saturating_sub(hold.0).max(0));
        self.spent = self.spent + charge;
    }

    /// The levels that its spending has passed and that nobody was told of, which it remembers.
    fn alerts(&mut self) -> Result<Vec<Alert>> {
        let Some(budget) = &self.budget else { return Ok(Vec::new()) };
        let mut alerts = Vec::new();
        for level in ALERT_LEVELS {
            let share = i128::from(self.spent.0) * 100;
            let passed = self.spent > Money::ZERO && share >= i128::from(budget.limit.0) * i128::from(level);
            if passed && level > self.alerted {
                alerts.push(self.alert(budget, level)?);
            }
        }
        self.alerted = alerts.iter().map(|alert| alert.level).fold(self.alerted, i32::max);
        Ok(alerts)
    }

    /// Its id says budget, window and level, so that it is planned once whatever happens.
    fn alert(&self, budget: &Budget, level: i32) -> Result<Alert> {
        let (tenant, period) = (&budget.tenant, budget.period.name());
        let id = CommandId(format!("budget:{tenant}:{period}:{}:{level}", self.from.0));
        let command = Command {
            tenant: tenant.clone(),
            correlation_id: CorrelationId(id.0.clone()),
            lane: format!("alert/{tenant}/{period}"),
            expires_at: None,
            action: Action::Webhook {
                to: WebhookTarget::Alerts,
                event_type: ALERT.to_owned(),
                data: json!({
                    "tenant": tenant,
                    "period": period,
                    "level": level,
                    "limit_usd": budget.limit.to_string(),
                    "spent_usd": self.spent.to_string(),
                    "from": self.from.to_string(),
                    "until": self.until.to_string(),
                    "time_zone": budget.time_zone,
                    "mode": budget.mode.name(),
                }),
            },
        };
        Ok(Alert { period: budget.period, level, command: PlannedCommand::new(id, None, &command)? })
    }
}

/// Sets a call's money aside in all windows of its tenant, or answers which budget has no room for it.
pub(crate) fn set_aside(windows: &mut Windows, call: &CallStart) -> Begun {
    let tenant = tenant_text(&call.tenant);
    let mut own: Vec<&mut Window> =
        windows.iter_mut().filter(|(key, _)| key.tenant == tenant).map(|(_, window)| window).collect();
    let full = own.iter().find(|window| !window.has_room(call.hold)).and_then(|window| window.status());
    if let Some(status) = full {
        return Begun::OverBudget(status);
    }
    let hold = held(call.hold);
    for window in &mut own {
        window.held = window.held + hold;
    }
    Begun::Written
}

/// What a call takes from its windows while it is under way; never less than nothing.
pub(crate) fn held(hold: Option<Money>) -> Money {
    hold.unwrap_or_default().max(Money::ZERO)
}

/// The windows' beginnings that a call of this tenant is charged to, by day and by month.
pub(crate) fn charged_to(windows: &Windows, tenant: &str) -> [Option<Timestamp>; 2] {
    Period::ALL.map(|period| {
        windows.keys().find(|key| key.tenant == tenant && key.period == period).map(|key| key.from)
    })
}

/// What calls that ended do to their windows.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    sums: BTreeMap<WindowKey, (Money, Money)>,
}

impl Ended {
    /// A call of this tenant ended, whose money was set aside in these windows, by day and by month.
    pub(crate) fn add(
        &mut self,
        tenant: &str,
        windows: [Option<Timestamp>; 2],
        hold: Option<Money>,
        charge: Money,
    ) {
        for (period, from) in Period::ALL.into_iter().zip(windows) {
            let Some(from) = from else { continue };
            let (hold, charge) = (held(hold), charge.max(Money::ZERO));
            match self.sums.entry(WindowKey { tenant: indexed(tenant).into_owned(), period, from }) {
                Entry::Vacant(place) => drop(place.insert((hold, charge))),
                Entry::Occupied(mut sum) => {
                    let (holds, charges) = sum.get_mut();
                    (*holds, *charges) = (*holds + hold, *charges + charge);
                }
            }
        }
    }

    /// Whose windows have to be locked, in order.
    pub(crate) fn keys(&self) -> Vec<WindowKey> {
        self.sums.keys().cloned().collect()
    }

    /// Changes the windows, and answers whom to tell.
    pub(crate) fn apply(&self, windows: &mut Windows) -> Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        for (key, (hold, charge)) in &self.sums {
            if let Some(window) = windows.get_mut(key) {
                window.end(*hold, *charge);
                alerts.extend(window.alerts()?);
            }
        }
        Ok(alerts)
    }
}

/// A budget is set, and stands in this window now. What the one that it leaves holds, should that begin elsewhere, stands
/// in the new one, too: it is spent in both. Answers whom to tell.
pub(crate) fn carry(windows: &mut Windows, new: &WindowKey) -> Result<Vec<Alert>> {
    let mut left = Standing::default();
    for (_, window) in windows.iter_mut().filter(|(key, _)| *key != new) {
        left = Standing { spent: window.spent, held: window.held, alerted: window.alerted };
        window.held = Money::ZERO;
    }
    let Some(window) = windows.get_mut(new) else { return Ok(Vec::new()) };
    // The greater, not the sum: after a change to and fro each holds what was spent in the other.
    window.spent = window.spent.max(left.spent);
    window.held = window.held + left.held;
    window.alerted = window.alerted.max(left.alerted);
    window.alerts()
}

/// How a budget is told in the audit log.
pub(crate) fn described(budget: &Budget) -> String {
    let Budget { period, limit, mode, time_zone, .. } = budget;
    format!("{}: {limit} USD, {}, {time_zone}", period.name(), mode.name())
}

/// Refuses what no budget can be.
pub(crate) fn check(budget: &Budget) -> Result<()> {
    if budget.limit < Money::ZERO {
        return Err(StoreError::Refused("a budget cannot be less than nothing".to_owned()));
    }
    window_of(budget, Timestamp(0)).map(|_| ())
}

/// A budget of a row, with the tenant, period, limit, mode and time zone as they are stored.
pub(crate) fn budget(
    tenant: String,
    period: &str,
    limit: i64,
    mode: &str,
    time_zone: String,
) -> Result<Budget> {
    let unknown = |what: &str, word: &str| {
        StoreError::Refused(format!("{what} `{word}` in a table is not known to this release"))
    };
    Ok(Budget {
        tenant: TenantId(tenant),
        period: Period::from_name(period).ok_or_else(|| unknown("period", period))?,
        limit: Money(limit),
        mode: BudgetMode::from_name(mode).ok_or_else(|| unknown("budget mode", mode))?,
        time_zone,
    })
}
