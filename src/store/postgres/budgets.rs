//! Budgets and what is left of them. Locks are taken in this order: limits, calls, windows, each by its key; parked
//! events last.

use sqlx::{PgConnection, PgExecutor, PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{
        budget::{Budget, BudgetStatus, Period},
        ids::TenantId,
        money::Money,
        reason::Reason,
    },
    store::{
        budget_rows::{self, Alert, Ended, Standing, Window, WindowKey, Windows, tenant_text},
        postgres::{
            audit,
            db::{Step, calendar, clean, column, time},
            parked, plan,
        },
        rows::AuditEntry,
    },
};

/// Whoever begins a call waits here for others of its tenants, so that no two find the same room.
const LOCK: &str = "
    SELECT tenant, period, amount, mode, time_zone, clock_timestamp() AS now FROM budgets
    WHERE tenant = ANY($1) ORDER BY tenant, period FOR UPDATE";

const ALL: &str = "
    SELECT tenant, period, amount, mode, time_zone, clock_timestamp() AS now FROM budgets
    WHERE $1::text IS NULL OR tenant = $1 ORDER BY tenant, period";

/// Windows with their limits, where these are still there.
const LOCK_WINDOWS: &str = "
    SELECT w.tenant, w.period, w.from_at, w.until_at, w.spent, w.held, w.alerted, b.amount, b.mode, b.time_zone
    FROM budget_windows w LEFT JOIN budgets b ON b.tenant = w.tenant AND b.period = w.period
    WHERE (w.tenant, w.period, w.from_at) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]))
    ORDER BY w.tenant, w.period, w.from_at FOR UPDATE OF w";
const WINDOWS: &str = "
    SELECT w.tenant, w.period, w.from_at, w.until_at, w.spent, w.held, w.alerted, b.amount, b.mode, b.time_zone
    FROM budget_windows w LEFT JOIN budgets b ON b.tenant = w.tenant AND b.period = w.period
    WHERE (w.tenant, w.period, w.from_at) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]))";

const WRITE: &str = "
    INSERT INTO budget_windows (tenant, period, from_at, until_at, spent, held, alerted)
    SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[],
        $7::int[])
    ON CONFLICT (tenant, period, from_at) DO UPDATE SET
        spent = excluded.spent, held = excluded.held, alerted = excluded.alerted";

const SET: &str = "
    INSERT INTO budgets (tenant, period, amount, mode, time_zone, updated_at)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp())
    ON CONFLICT (tenant, period) DO UPDATE SET
        amount = excluded.amount, mode = excluded.mode, time_zone = excluded.time_zone,
        updated_at = excluded.updated_at";

/// Calls under way follow their budget into the window that begins elsewhere.
const MOVE_DAY: &str = "
    UPDATE llm_journal SET day_from = $3 WHERE tenant = $1 AND day_from = $2 AND state IN ('reserved', 'sent')";
const MOVE_MONTH: &str = "
    UPDATE llm_journal SET month_from = $3 WHERE tenant = $1 AND month_from = $2 AND state IN ('reserved', 'sent')";

/// The windows in which the budgets of these tenants stand now; their limits are locked, the windows not yet.
pub(super) async fn open(tx: &mut PgConnection, tenants: &[String]) -> Step<Windows> {
    let rows = sqlx::query(LOCK).bind(tenants).fetch_all(tx).await?;
    opened(&rows)
}

fn opened(rows: &[PgRow]) -> Step<Windows> {
    let Some(first) = rows.first() else { return Ok(Windows::new()) };
    let now = time(first, "now")?;
    let budgets = rows.iter().map(budget).collect::<Step<Vec<_>>>()?;
    Ok(budget_rows::open_windows(budgets, now)?)
}

/// Locks the rows of these windows and reads what they hold; one that has none holds nothing.
pub(super) async fn stand(tx: &mut PgConnection, windows: &mut Windows) -> Step<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = windows.keys().cloned().collect();
    take_over(windows, read(tx, LOCK_WINDOWS, &keys).await?);
    Ok(())
}

fn take_over(windows: &mut Windows, found: Windows) {
    for (key, Window { spent, held, alerted, .. }) in found {
        if let Some(window) = windows.get_mut(&key) {
            window.stand(Standing { spent, held, alerted });
        }
    }
}

async fn read(executor: impl PgExecutor<'_>, statement: &'static str, keys: &[WindowKey]) -> Step<Windows> {
    let rows = sqlx::query(statement)
        .bind(column(keys, |key| key.tenant.as_str()))
        .bind(column(keys, |key| key.period.name()))
        .bind(column(keys, |key| calendar(key.from)))
        .fetch_all(executor)
        .await?;
    rows.iter().map(window).collect()
}

fn window(row: &PgRow) -> Step<(WindowKey, Window)> {
    let amount: Option<i64> = row.try_get("amount")?;
    let (tenant, period): (String, &str) = (row.try_get("tenant")?, row.try_get("period")?);
    let limited = match amount {
        Some(_) => budget(row)?,
        // Only for the period's name: it has no limit any more.
        None => budget_rows::budget(tenant.clone(), period, 0, "soft", String::new())?,
    };
    let from = time(row, "from_at")?;
    let key = WindowKey { tenant, period: limited.period, from };
    let window = Window {
        from,
        until: time(row, "until_at")?,
        spent: Money(row.try_get("spent")?),
        held: Money(row.try_get("held")?),
        alerted: row.try_get("alerted")?,
        budget: amount.map(|_| limited),
    };
    Ok((key, window))
}

fn budget(row: &PgRow) -> Step<Budget> {
    let (period, mode): (&str, &str) = (row.try_get("period")?, row.try_get("mode")?);
    let amount = row.try_get("amount")?;
    Ok(budget_rows::budget(row.try_get("tenant")?, period, amount, mode, row.try_get("time_zone")?)?)
}

/// Keeps windows as they are now; their rows are locked.
pub(super) async fn write(tx: &mut PgConnection, windows: &Windows) -> Step<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = windows.iter().collect();
    sqlx::query(WRITE)
        .bind(column(&rows, |(key, _)| key.tenant.as_str()))
        .bind(column(&rows, |(key, _)| key.period.name()))
        .bind(column(&rows, |(key, _)| calendar(key.from)))
        .bind(column(&rows, |(_, window)| calendar(window.until)))
        .bind(column(&rows, |(_, window)| window.spent.0))
        .bind(column(&rows, |(_, window)| window.held.0))
        .bind(column(&rows, |(_, window)| window.alerted))
        .execute(tx)
        .await?;
    Ok(())
}

/// Changes the windows of calls that ended in this transaction, and answers whom to tell once it is committed.
pub(super) async fn end(tx: &mut PgConnection, ended: &Ended) -> Step<Vec<Alert>> {
    let keys = ended.keys();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut windows = read(&mut *tx, LOCK_WINDOWS, &keys).await?;
    let alerts = ended.apply(&mut windows)?;
    write(tx, &windows).await?;
    tell(tx, &alerts).await?;
    Ok(alerts)
}

async fn tell(tx: &mut PgConnection, alerts: &[Alert]) -> Step<()> {
    let commands: Vec<_> = alerts.iter().map(|alert| alert.command().clone()).collect();
    plan::insert(tx, &commands).await
}

/// Sets a limit; should its window begin elsewhere now, what is spent and set aside follows it.
pub(super) async fn set(tx: &mut PgConnection, new: &Budget, actor: &str) -> Step<Vec<Alert>> {
    budget_rows::check(new)?;
    let tenant = tenant_text(&new.tenant);
    let mut windows = open(tx, std::slice::from_ref(&tenant)).await?;
    windows.retain(|key, _| key.period == new.period);
    sqlx::query(SET)
        .bind(&tenant)
        .bind(new.period.name())
        .bind(new.limit.0)
        .bind(new.mode.name())
        .bind(clean(&new.time_zone))
        .execute(&mut *tx)
        .await?;
    let now = time(&sqlx::query("SELECT clock_timestamp() AS now").fetch_one(&mut *tx).await?, "now")?;
    let mut alerts = Vec::new();
    for (key, window) in budget_rows::open_windows(vec![new.clone()], now)? {
        move_calls(tx, &windows, &key).await?;
        windows.insert(key.clone(), window);
        stand(tx, &mut windows).await?;
        alerts = budget_rows::carry(&mut windows, &key)?;
    }
    write(tx, &windows).await?;
    tell(tx, &alerts).await?;
    audit::insert(tx, &[entry(actor, "budget_set", &new.tenant, budget_rows::described(new))]).await?;
    parked::due_now(tx, &new.tenant, Reason::BudgetExhausted).await?;
    Ok(alerts)
}

async fn move_calls(tx: &mut PgConnection, left: &Windows, new: &WindowKey) -> Step<()> {
    let statement = if new.period == Period::Day { MOVE_DAY } else { MOVE_MONTH };
    for old in left.keys().filter(|old| *old != new) {
        sqlx::query(statement)
            .bind(&new.tenant)
            .bind(calendar(old.from))
            .bind(calendar(new.from))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

pub(super) async fn remove(
    tx: &mut PgConnection,
    tenant: &TenantId,
    period: Period,
    actor: &str,
) -> Step<bool> {
    let removed = sqlx::query("DELETE FROM budgets WHERE tenant = $1 AND period = $2")
        .bind(tenant_text(tenant))
        .bind(period.name())
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if removed == 0 {
        return Ok(false);
    }
    audit::insert(tx, &[entry(actor, "budget_remove", tenant, period.name().to_owned())]).await?;
    parked::due_now(tx, tenant, Reason::BudgetExhausted).await?;
    Ok(true)
}

fn entry<'a>(actor: &'a str, action: &'static str, tenant: &'a TenantId, detail: String) -> AuditEntry<'a> {
    AuditEntry { actor, action, subject: tenant.as_str(), tenant: Some(tenant.as_str()), detail }
}

pub(super) async fn list(pool: &PgPool, tenant: Option<&TenantId>) -> Step<Vec<BudgetStatus>> {
    let rows = sqlx::query(ALL).bind(tenant.map(tenant_text)).fetch_all(pool).await?;
    let mut windows = opened(&rows)?;
    let keys: Vec<_> = windows.keys().cloned().collect();
    take_over(&mut windows, read(pool, WINDOWS, &keys).await?);
    Ok(windows.values().filter_map(Window::status).collect())
}
