//! What this process and its metrics tell of its own cost.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusHandle;

/// What the gateway's own metrics say of its journal writes.
pub(crate) struct Journal(f64);

impl Journal {
    pub(crate) fn read(metrics: &PrometheusHandle) -> Self {
        let text = metrics.render();
        let sums = text.lines().filter(|line| line.starts_with("longshore_llm_journal_seconds_sum"));
        Self(sums.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    pub(crate) fn since(self, before: &Self) -> Self {
        Self(self.0 - before.0)
    }

    /// Of all writes of one call together.
    pub(crate) fn mean_ms(&self, calls: usize) -> f64 {
        self.0 * 1_000.0 / calls as f64
    }
}

/// Milliseconds of both kinds of CPU time; the kernel counts in hundredths of a second.
pub(crate) fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    ticks as f64 * 10.0
}

/// Bytes of resident memory.
pub(crate) fn memory() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

pub(crate) async fn watch_memory(most: Arc<AtomicUsize>) {
    loop {
        most.fetch_max(memory(), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
