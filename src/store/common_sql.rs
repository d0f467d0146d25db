//! Statements that both databases take as they are, and how long they keep keys.

use std::time::Duration;

/// Keys of events that are done stay in the inbox this long: a day longer than an event may be old.
pub(super) const FORGET_AFTER: Duration = Duration::from_secs(45 * 24 * 3600);
/// A window of a budget is kept this long after its end.
pub(super) const KEEP_WINDOWS: Duration = Duration::from_secs(400 * 24 * 3600);
/// A bucket that nobody took from for this long is full: it need not be remembered.
pub(super) const KEEP_BUCKETS: Duration = Duration::from_secs(24 * 3600);
/// A reserved call counts as under way for this much longer than it may be sent: its sending may have been decided in
/// the last moment, and not be committed yet.
pub(super) const SENDING: Duration = Duration::from_secs(2);
/// So many leave it in one short transaction.
pub(super) const FORGET_AT_ONCE: i64 = 500;

/// Levels for metrics, but for the dead letters.
pub(super) const GAUGES: &str = "
    SELECT (SELECT count(*) FROM parked) AS parked,
           (SELECT count(*) FROM outbox WHERE state = 'planned') AS planned,
           (SELECT count(*) FROM outbox WHERE state = 'unknown') AS unknown,
           (SELECT count(*) FROM llm_journal WHERE state IN ('reserved', 'sent')) AS calls";

/// Rows by table. The tables of transient rows (`lane_pauses`, `rate_buckets`) are left out: summaries compare these.
pub(super) const COUNTS: &str = "
    SELECT 'audit_log', count(*) FROM audit_log UNION ALL
    SELECT 'budget_windows', count(*) FROM budget_windows UNION ALL
    SELECT 'budgets', count(*) FROM budgets UNION ALL
    SELECT 'contact_properties', count(*) FROM contact_properties UNION ALL
    SELECT 'contacts', count(*) FROM contacts UNION ALL
    SELECT 'conversations', count(*) FROM conversations UNION ALL
    SELECT 'dead_letters', count(*) FROM dead_letters UNION ALL
    SELECT 'deliveries', count(*) FROM deliveries UNION ALL
    SELECT 'embeddings', count(*) FROM embeddings UNION ALL
    SELECT 'erasures', count(*) FROM erasures UNION ALL
    SELECT 'events', count(*) FROM events UNION ALL
    SELECT 'forgotten', count(*) FROM forgotten UNION ALL
    SELECT 'inbox', count(*) FROM inbox UNION ALL
    SELECT 'llm_journal', count(*) FROM llm_journal UNION ALL
    SELECT 'llm_ledger', count(*) FROM llm_ledger UNION ALL
    SELECT 'messages', count(*) FROM messages UNION ALL
    SELECT 'outbox', count(*) FROM outbox UNION ALL
    SELECT 'parked', count(*) FROM parked UNION ALL
    SELECT 'replays', count(*) FROM replays UNION ALL
    SELECT 'results', count(*) FROM results UNION ALL
    SELECT 'tenants', count(*) FROM tenants";
