//! A model that asks everybody to wait, or fails everybody, for a while, on a queue that gives up on a message at its
//! third receive: events wait, and none is lost by it.

use std::{fmt, time::Duration};

use longshore::cli::dev::outside::{
    script::{Fault, Script, Service},
    world::too_early,
};
use tokio::time::Instant;

use crate::world::{Kind, Knobs, World, judge::judge};

/// Until everything that waited must be done.
const TO_THE_END: Duration = Duration::from_secs(60);
/// People who write at the beginning; as many again write while the trouble lasts.
const PEOPLE: usize = 40;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Waited {
    pub(crate) events: usize,
    /// Requests that the model refused.
    pub(crate) refused: usize,
    /// Events put off, and failures counted, over all of them.
    pub(crate) deferrals: i64,
    pub(crate) failures: i64,
    pub(crate) dead_letters: i64,
    /// Messages on the dead-letter queue.
    pub(crate) dead: usize,
    /// Requests that came before their Retry-After.
    pub(crate) early: Vec<String>,
    /// Receives by the second in the second half of the trouble; none where the server does not count.
    pub(crate) receives: Option<f64>,
    /// From the end of the trouble until all was done.
    pub(crate) recovered: Duration,
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, refused, deferrals, failures, dead_letters, dead, early, receives, recovered } =
            self;
        let early = early.len();
        write!(
            f,
            "{events} events done {recovered:.1?} after the trouble; {refused} requests refused, {early} too early; \
             {deferrals} deferrals, {failures} failures, {dead_letters} dead letters, {dead} messages on the DLQ; \
             receives by the second: {receives:?}"
        )
    }
}

/// The settings for it.
pub(crate) fn knobs(model: &'static str) -> Knobs {
    Knobs { max_receives: 3, park_after: "10m", model, ..Knobs::default() }
}

/// Trouble for so long, then none.
pub(crate) async fn outlasted(mut world: World, fault: Fault, span: Duration) -> Waited {
    let script = Script { service: Service::Llm, contains: String::new(), fault, times: u32::MAX };
    world.outside.script(script);
    let worker = world.inside().await;
    write(&mut world, 0).await;
    tokio::time::sleep(span / 2).await;
    write(&mut world, PEOPLE).await;
    let before = world.receives();
    tokio::time::sleep(span / 2).await;
    let receives = world
        .receives()
        .zip(before)
        .map(|(now, before)| f64::from(u32::try_from(now - before).unwrap()) / (span / 2).as_secs_f64());
    world.outside.heal();
    let healed = Instant::now();
    world.settled(TO_THE_END).await;
    let recovered = healed.elapsed();
    judge(&world).await;
    let log = world.outside.log();
    let asked = log.iter().filter(|seen| seen.service == Service::Llm);
    let waited = Waited {
        events: world.expected.events.len(),
        refused: asked.filter(|seen| seen.status != Some(200)).count(),
        deferrals: world.sum("deferrals").await,
        failures: world.sum("failures").await,
        dead_letters: world.database.count("dead_letters").await,
        dead: world.dead_messages().await,
        early: too_early(&log),
        receives,
        recovered,
    };
    assert!(worker.stop().await);
    world.finish().await;
    waited
}

async fn write(world: &mut World, from: usize) {
    for person in from..from + PEOPLE {
        world.whatsapp(&format!("4915200{person:04}"), "what does it cost?");
    }
    world.send().await;
}

impl World {
    /// Receives so far, where the server is ours.
    fn receives(&self) -> Option<u64> {
        self.has_server().then(|| self.calls("ReceiveMessage"))
    }

    async fn sum(&self, column: &str) -> i64 {
        let rows = self.database.rows(&format!("SELECT CAST(sum({column}) AS TEXT) FROM inbox")).await;
        rows[0][0].as_deref().unwrap().parse().unwrap()
    }
}

/// As it must be whatever the trouble: all done, nothing dead, nobody asked too early.
pub(crate) fn nothing_lost(waited: &Waited) {
    println!("{waited}");
    assert_eq!((waited.dead_letters, waited.dead), (0, 0), "{waited:?}");
    assert!(waited.refused > 0, "{waited:?}");
    assert!(waited.early.is_empty(), "{waited:?}");
}

/// A world for it on the embedded queue, or on the server at this endpoint.
pub(crate) async fn world(kind: Kind, server: Option<&str>, model: &'static str) -> World {
    match server {
        Some(endpoint) => World::on_server(kind, knobs(model), endpoint).await,
        None => World::with(kind, knobs(model)).await,
    }
}
