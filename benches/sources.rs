//! How much of one core the proof and the reading of a request take: for each vendor the typical signed request of the
//! tests, checked with its scheme and taken apart, over and over on one thread.
//!
//! `cargo bench --bench sources`; `LONGSHORE_BENCH_MILLIS` changes the time for each vendor (1,000).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to say")]
#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "its own setting comes from the environment")]

#[expect(dead_code, reason = "what the tests expect of it is nothing to measure")]
#[expect(unused_imports, reason = "change data capture carries no signature")]
#[path = "../tests/it/flows/cases/mod.rs"]
mod cases;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use cases::{CASES, Case, Told};
use comfy_table::{CellAlignment, Table, presets};
use longshore::{
    clock::{Clock as _, SystemClock},
    config::SourceSettings,
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    sources::inspect::{prove, take_apart},
};

/// Requests between two looks at the time.
const ROUND: u32 = 20;

fn main() {
    let asked = std::env::var("LONGSHORE_BENCH_MILLIS").ok().and_then(|number| number.parse().ok());
    let time = Duration::from_millis(asked.unwrap_or(1_000));
    let at = SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["source", "scheme", "bytes", "events", "proofs/s", "requests/s", "MB/s"]);
    for case in &CASES {
        table.add_row(row(case, at, time));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("one thread; a request is proved and taken apart\n{table}");
}

fn row(case: &Case, at: Timestamp, time: Duration) -> [String; 7] {
    let request = case.request(&Told { number: 1, at });
    let settings = case.settings();
    let proofs = per_second(time, || proved(case, &settings, &request, at));
    let mut events = 0;
    let requests = per_second(time, || {
        proved(case, &settings, &request, at);
        events = black_box(take_apart(case.vendor(), &settings, black_box(&request), at)).len();
    });
    let bytes = request.body.len();
    let megabytes = requests * f64::from(u32::try_from(bytes).unwrap()) / 1e6;
    [
        case.source.to_owned(),
        case.scheme.to_owned(),
        bytes.to_string(),
        events.to_string(),
        format!("{proofs:.0}"),
        format!("{requests:.0}"),
        format!("{megabytes:.1}"),
    ]
}

fn proved(case: &Case, settings: &SourceSettings, request: &HttpRequest, at: Timestamp) {
    prove(case.scheme(), black_box(settings), black_box(request), at).unwrap();
}

/// How often it runs in a second, after a tenth of the time to warm up.
fn per_second(time: Duration, mut run: impl FnMut()) -> f64 {
    let mut measured = |time: Duration| {
        let (started, mut runs) = (Instant::now(), 0_u32);
        while started.elapsed() < time {
            (0..ROUND).for_each(|_| run());
            runs += ROUND;
        }
        f64::from(runs) / started.elapsed().as_secs_f64()
    };
    measured(time / 10);
    measured(time)
}
