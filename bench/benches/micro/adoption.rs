//! From decoded and checked units to the table that shards route by.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use turnpike_gateway::bench::{Adoption, Routed};
use turnpike_snapshot::{Protocol, Unit, UnitHash};

use crate::units::{self, PORT};

const API: &str = "a1b2c3d4e5";
/// Of the snapshot of which one unit changes.
const APIS: u32 = 2_000;
const ROUTES_EACH: u32 = 50;

type Units = Vec<(UnitHash, Arc<Unit>)>;

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("adoption");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(10);
    for routes in [1_000, 100_000] {
        let units = vec![units::account(), units::stage(API, Protocol::Http, units::services(routes))];
        let units: Units = units.into_iter().map(units::hashed).collect();
        assert!(leads(&mut adoption(), 1, &units, API, routes - 1));
        assert!(!leads(&mut adoption(), 1, &units, API, routes));
        group.throughput(Throughput::Elements(routes.into()));
        group.bench_function(format!("stage of {routes} routes"), |bencher| {
            bencher.iter_batched(
                adoption,
                // What it has left is dropped when the clock has stopped.
                |mut adoption| (adoption.adopt(1, &units).expect("a sound snapshot"), adoption),
                BatchSize::PerIteration,
            );
        });
    }
    one_changes(&mut group);
    group.finish();
}

/// Two snapshots in turn, of which each has another unit for the same stage.
fn one_changes(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>) {
    let mut one: Units = (0..APIS).map(|api| unit(api, ROUTES_EACH)).collect();
    one.push(units::hashed(units::account()));
    let mut other = one.clone();
    other[7] = unit(7, ROUTES_EACH + 1);
    let mut adoption = adoption();
    assert!(!leads(&mut adoption, 1, &one, &api_id(7), ROUTES_EACH));
    assert!(leads(&mut adoption, 2, &other, &api_id(7), ROUTES_EACH));
    assert!(leads(&mut adoption, 3, &other, &api_id(8), ROUTES_EACH - 1));
    let mut version = 3;
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("one stage of {ROUTES_EACH} routes changes among {APIS}"), |bencher| {
        bencher.iter_with_large_drop(|| {
            version += 1;
            let units = if version % 2 == 0 { &one } else { &other };
            adoption.adopt(version, units).expect("a sound snapshot")
        });
    });
}

fn adoption() -> Adoption {
    Adoption::new().expect("random numbers")
}

fn api_id(api: u32) -> String {
    format!("a1b2c3{api:04}")
}

fn unit(api: u32, routes: u32) -> (UnitHash, Arc<Unit>) {
    units::hashed(units::stage(&api_id(api), Protocol::Http, units::services(routes)))
}

/// Whether the table of a snapshot leads a service's requests to its integration.
fn leads(adoption: &mut Adoption, version: u64, units: &Units, api_id: &str, service: u32) -> bool {
    let table = adoption.adopt(version, units).expect("a sound snapshot");
    let path = format!("/service{service}/items/7");
    let routed = table.route(units::host(api_id).as_bytes(), "GET", &path);
    routed == Some(Routed { route_id: &format!("r{service}"), port: Some(PORT) })
}
