//! A bounded run of everything at once: mixed protocols, credentials that come and go, reloads, and an authority that flaps.
//!
//! A model predicts each answer; one that it doesn't allow fails the test. Between two rests, the first after a warm-up and the
//! other at the end, memory, file handles and threads may not have grown beyond the bounds in `growth.rs`.
//! In the ordinary suite it takes about twenty seconds; `tests/run --long`, or `SIDEGATE_SOAK_SECONDS`, makes it longer. What it
//! measured stands in `target/tmp/soak.txt`.

mod clients;
mod growth;
mod model;
mod unrest;
mod world;

use std::path::Path;
use std::thread;
use std::time::Duration;

use growth::Footprint;
use model::{Model, Over};
use world::World;

/// Seconds in the ordinary suite.
const SHORT: u64 = 20;

#[test]
fn nothing_leaks_and_no_verdict_is_wrong_however_long_it_runs() {
    let seconds = std::env::var("SIDEGATE_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SHORT);
    let (world, model) = (World::build(), Model::default());
    world.populate(&model);
    let warm_up = Duration::from_secs(seconds / 4);
    run_for(warm_up, &world, &model);
    let start = Footprint::at_rest(&world.gate);
    run_for(Duration::from_secs(seconds) - warm_up, &world, &model);
    let end = Footprint::at_rest(&world.gate);
    let figures = format!(
        "seconds: {seconds}\n{}{}{}",
        model.figures(),
        start.told("after the warm-up"),
        end.told("at the end"),
    );
    std::fs::write(
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.txt"),
        &figures,
    )
    .unwrap();
    model.is_right(&world.gate);
    end.has_not_outgrown(&start, &figures);
}

/// Clients and unrest for so long; everybody has gone when it returns.
fn run_for(time: Duration, world: &World, model: &Model) {
    let over = Over::default();
    thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || unrest::churn(over, world, model));
        scope.spawn(move || unrest::reload(over, world, model));
        scope.spawn(move || unrest::flap(over, world, model));
        for number in 0..2 {
            scope.spawn(move || clients::keep_alive(over, world, model, number));
        }
        scope.spawn(move || clients::one_by_one(over, world, model));
        scope.spawn(move || clients::multiplexed(over, world, model));
        scope.spawn(move || clients::tunnels(over, world, model));
        scope.spawn(move || clients::events(over, world, model));
        over.pause(time);
        over.set();
    });
}
