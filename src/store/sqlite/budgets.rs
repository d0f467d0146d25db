//! Budgets and what is left of them.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        budget::{Budget, BudgetStatus, Period},
        ids::TenantId,
        money::Money,
        reason::Reason,
        timestamp::Timestamp,
    },
    store::{
        budget_rows::{self, Alert, Ended, Standing, Window, WindowKey, Windows, tenant_text},
        contract::Result,
        rows::{AuditEntry, json},
        sqlite::{
            audit,
            db::{Db, Tx, failed, get, time},
            parked, plan,
        },
    },
};

const OF_TENANTS: &str = "
    SELECT tenant, period, amount, mode, time_zone FROM budgets
    WHERE tenant IN (SELECT value FROM json_each(?1)) ORDER BY tenant, period";

const ALL: &str = "
    SELECT tenant, period, amount, mode, time_zone FROM budgets WHERE ?1 IS NULL OR tenant = ?1
    ORDER BY tenant, period";

/// Windows with their limits, where these are still there.
const WINDOWS: &str = "
    SELECT w.tenant, w.period, w.from_at, w.until_at, w.spent, w.held, w.alerted, b.amount, b.mode, b.time_zone
    FROM json_each(?1) AS asked
    JOIN budget_windows w ON w.tenant = asked.value ->> 'tenant' AND w.period = asked.value ->> 'period'
                         AND w.from_at = asked.value ->> 'from_at'
    LEFT JOIN budgets b ON b.tenant = w.tenant AND b.period = w.period";

const WRITE: &str = "
    INSERT INTO budget_windows (tenant, period, from_at, until_at, spent, held, alerted)
    SELECT value ->> 'tenant', value ->> 'period', value ->> 'from_at', value ->> 'until_at', value ->> 'spent',
           value ->> 'held', value ->> 'alerted'
    FROM json_each(?1) WHERE true
    ON CONFLICT (tenant, period, from_at) DO UPDATE SET
        spent = excluded.spent, held = excluded.held, alerted = excluded.alerted";

const SET: &str = "
    INSERT INTO budgets (tenant, period, amount, mode, time_zone, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (tenant, period) DO UPDATE SET
        amount = excluded.amount, mode = excluded.mode, time_zone = excluded.time_zone,
        updated_at = excluded.updated_at";

/// Calls under way follow their budget into the window that begins elsewhere.
const MOVE_DAY: &str = "
    UPDATE llm_journal SET day_from = ?3 WHERE tenant = ?1 AND day_from = ?2 AND state IN ('reserved', 'sent')";
const MOVE_MONTH: &str = "
    UPDATE llm_journal SET month_from = ?3 WHERE tenant = ?1 AND month_from = ?2 AND state IN ('reserved', 'sent')";

#[derive(Serialize)]
struct WindowRow<'a> {
    tenant: &'a str,
    period: &'static str,
    from_at: i64,
    until_at: i64,
    spent: Money,
    held: Money,
    alerted: i32,
}

impl<'a> WindowRow<'a> {
    fn new((key, window): (&'a WindowKey, &Window)) -> Self {
        Self {
            tenant: &key.tenant,
            period: key.period.name(),
            from_at: key.from.0,
            until_at: window.until.0,
            spent: window.spent,
            held: window.held,
            alerted: window.alerted,
        }
    }
}

/// The windows in which the budgets of these tenants stand now, as they stand.
pub(super) async fn open(tx: &mut Tx, tenants: &[String]) -> Result<Windows> {
    let rows = sqlx::query(OF_TENANTS).bind(json(tenants)?).fetch_all(tx.on()).await.map_err(failed)?;
    let budgets = rows.iter().map(budget).collect::<Result<Vec<_>>>()?;
    let mut windows = budget_rows::open_windows(budgets, Timestamp(tx.now))?;
    stand(tx, &mut windows).await?;
    Ok(windows)
}

/// Reads what the rows of these windows hold; one that has none holds nothing.
async fn stand(tx: &mut Tx, windows: &mut Windows) -> Result<()> {
    if windows.is_empty() {
        return Ok(());
    }
    for (key, found) in lock(tx, windows.keys()).await? {
        if let Some(window) = windows.get_mut(&key) {
            let Window { spent, held, alerted, .. } = found;
            window.stand(Standing { spent, held, alerted });
        }
    }
    Ok(())
}

async fn lock(tx: &mut Tx, keys: impl Iterator<Item = &WindowKey>) -> Result<Windows> {
    let asked: Vec<_> = keys.map(asked).collect();
    let rows = sqlx::query(WINDOWS).bind(json(&asked)?).fetch_all(tx.on()).await.map_err(failed)?;
    rows.iter().map(window).collect()
}

fn asked(key: &WindowKey) -> serde_json::Value {
    serde_json::json!({ "tenant": key.tenant, "period": key.period.name(), "from_at": key.from })
}

fn window(row: &SqliteRow) -> Result<(WindowKey, Window)> {
    let amount: Option<i64> = get(row, "amount")?;
    let (tenant, period): (String, String) = (get(row, "tenant")?, get(row, "period")?);
    let budget = match amount {
        Some(_) => budget(row)?,
        // Only for the period's name: it has no limit any more.
        None => budget_rows::budget(tenant.clone(), &period, 0, "soft", String::new())?,
    };
    let from = time(row, "from_at")?;
    let window = Window {
        from,
        until: time(row, "until_at")?,
        spent: Money(get(row, "spent")?),
        held: Money(get(row, "held")?),
        alerted: get(row, "alerted")?,
        budget: amount.map(|_| budget.clone()),
    };
    Ok((WindowKey { tenant, period: budget.period, from }, window))
}

fn budget(row: &SqliteRow) -> Result<Budget> {
    let (period, mode): (&str, &str) = (get(row, "period")?, get(row, "mode")?);
    budget_rows::budget(get(row, "tenant")?, period, get(row, "amount")?, mode, get(row, "time_zone")?)
}

/// Keeps windows as they are now.
pub(super) async fn write(tx: &mut Tx, windows: &Windows) -> Result<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = windows.iter().map(WindowRow::new).collect();
    sqlx::query(WRITE).bind(json(&rows)?).execute(tx.on()).await.map_err(failed)?;
    Ok(())
}

/// Changes the windows of calls that ended in this transaction, and answers whom to tell once it is committed.
pub(super) async fn end(tx: &mut Tx, ended: &Ended) -> Result<Vec<Alert>> {
    let keys = ended.keys();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut windows = lock(tx, keys.iter()).await?;
    let alerts = ended.apply(&mut windows)?;
    write(tx, &windows).await?;
    tell(tx, &alerts).await?;
    Ok(alerts)
}

async fn tell(tx: &mut Tx, alerts: &[Alert]) -> Result<()> {
    let commands: Vec<_> = alerts.iter().map(|alert| alert.command().clone()).collect();
    plan::insert(tx, &commands).await
}

/// Sets a limit; should its window begin elsewhere now, what is spent and set aside follows it.
pub(super) async fn set(db: &Db, new: &Budget, actor: &str) -> Result<()> {
    budget_rows::check(new)?;
    let mut tx = db.write().await?;
    let tenant = tenant_text(&new.tenant);
    let now = Timestamp(tx.now);
    let mut windows = open(&mut tx, std::slice::from_ref(&tenant)).await?;
    windows.retain(|key, _| key.period == new.period);
    sqlx::query(SET)
        .bind(&tenant)
        .bind(new.period.name())
        .bind(new.limit.0)
        .bind(new.mode.name())
        .bind(&new.time_zone)
        .bind(now.0)
        .execute(tx.on())
        .await
        .map_err(failed)?;
    let mut alerts = Vec::new();
    for (key, window) in budget_rows::open_windows(vec![new.clone()], now)? {
        move_calls(&mut tx, &windows, &key).await?;
        windows.insert(key.clone(), window);
        stand(&mut tx, &mut windows).await?;
        alerts = budget_rows::carry(&mut windows, &key)?;
    }
    write(&mut tx, &windows).await?;
    tell(&mut tx, &alerts).await?;
    let detail = budget_rows::described(new);
    audit::insert(&mut tx, &[entry(actor, "budget_set", &new.tenant, detail)]).await?;
    parked::due_now(&mut tx, &new.tenant, Reason::BudgetExhausted).await?;
    tx.commit().await?;
    budget_rows::count_alerts(&alerts);
    Ok(())
}

async fn move_calls(tx: &mut Tx, left: &Windows, new: &WindowKey) -> Result<()> {
    let statement = if new.period == Period::Day { MOVE_DAY } else { MOVE_MONTH };
    for old in left.keys().filter(|old| *old != new) {
        let moved = sqlx::query(statement).bind(&new.tenant).bind(old.from.0).bind(new.from.0);
        moved.execute(tx.on()).await.map_err(failed)?;
    }
    Ok(())
}

pub(super) async fn remove(db: &Db, tenant: &TenantId, period: Period, actor: &str) -> Result<bool> {
    let mut tx = db.write().await?;
    let removed = sqlx::query("DELETE FROM budgets WHERE tenant = ?1 AND period = ?2")
        .bind(tenant_text(tenant))
        .bind(period.name())
        .execute(tx.on())
        .await
        .map_err(failed)?
        .rows_affected();
    if removed == 0 {
        return Ok(false);
    }
    audit::insert(&mut tx, &[entry(actor, "budget_remove", tenant, period.name().to_owned())]).await?;
    parked::due_now(&mut tx, tenant, Reason::BudgetExhausted).await?;
    tx.commit().await?;
    Ok(true)
}

fn entry<'a>(actor: &'a str, action: &'static str, tenant: &'a TenantId, detail: String) -> AuditEntry<'a> {
    AuditEntry { actor, action, subject: tenant.as_str(), tenant: Some(tenant.as_str()), detail }
}

pub(super) async fn list(db: &Db, tenant: Option<&TenantId>) -> Result<Vec<BudgetStatus>> {
    let now = Timestamp(db.now().await?);
    let rows =
        sqlx::query(ALL).bind(tenant.map(tenant_text)).fetch_all(db.readers()).await.map_err(failed)?;
    let budgets = rows.iter().map(budget).collect::<Result<Vec<_>>>()?;
    let mut windows = budget_rows::open_windows(budgets, now)?;
    let asked: Vec<_> = windows.keys().map(asked).collect();
    let rows = sqlx::query(WINDOWS).bind(json(&asked)?).fetch_all(db.readers()).await.map_err(failed)?;
    for row in &rows {
        let (key, Window { spent, held, alerted, .. }) = window(row)?;
        if let Some(window) = windows.get_mut(&key) {
            window.stand(Standing { spent, held, alerted });
        }
    }
    Ok(windows.values().filter_map(Window::status).collect())
}
