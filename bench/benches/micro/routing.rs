//! From host, method and path to an integration.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use turnpike_gateway::bench::{Adopted, Adoption, Routed};
use turnpike_snapshot::{Protocol, Unit, UnitHash};

use crate::units::{self, Key, PORT};

/// How many APIs, and how many routes each has.
const TABLES: [(u32, u32); 4] = [(1, 10), (1, 1_000), (1, 100_000), (2_000, 50)];
/// Steps through all numbers below any that isn't a multiple of it.
const STRIDE: usize = 7_919;

/// Routes' kinds, in turn: how a route of this kind is written, and what asks for it.
const KINDS: [Kind; 3] = [
    Kind { name: "static", path: |service| format!("/service{service}/items"), asked: "" },
    Kind { name: "variable", path: |service| format!("/service{service}/items/{{id}}"), asked: "4711" },
    Kind { name: "greedy", path: |service| format!("/service{service}/files/{{path+}}"), asked: "a/b/c.txt" },
];

struct Kind {
    name: &'static str,
    path: fn(u32) -> String,
    /// What stands for the variable.
    asked: &'static str,
}

impl Kind {
    fn asks(&self, service: u32) -> String {
        let path = (self.path)(service);
        let fixed = path.split_once('{').map_or(&*path, |(fixed, _)| fixed);
        format!("{fixed}{}", self.asked)
    }
}

/// What comes to be routed, and where it has to arrive.
struct Request {
    host: String,
    path: String,
    route_id: Option<String>,
}

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routing");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for (protocol, type_name) in [(Protocol::Rest, "REST API"), (Protocol::Http, "HTTP API")] {
        for (apis, routes_each) in TABLES {
            let table = table(protocol, apis, routes_each);
            let size = match apis {
                1 => format!("{routes_each} routes"),
                apis => format!("{} routes in {apis} APIs", apis * routes_each),
            };
            for number in 0..KINDS.len() as u32 {
                let requests = mixed(hits(apis, routes_each, number));
                let name = format!("{type_name}, {size}, {}", KINDS[number as usize].name);
                group.bench_function(name, |bencher| look_up(bencher, &table, &requests));
            }
            let requests = mixed(misses(apis, routes_each));
            group.bench_function(format!("{type_name}, {size}, unknown"), |bencher| {
                look_up(bencher, &table, &requests);
            });
        }
    }
    group.finish();
}

fn look_up(bencher: &mut criterion::Bencher<'_>, table: &Adopted, requests: &[Request]) {
    for request in requests {
        let expected = request.route_id.as_deref().map(|route_id| Routed { route_id, port: Some(PORT) });
        assert_eq!(table.route(request.host.as_bytes(), "GET", &request.path), expected, "{}", request.path);
    }
    let mut requests = requests.iter().cycle();
    bencher.iter(|| {
        let request = requests.next().expect("there are some");
        table.route(black_box(request.host.as_bytes()), "GET", &request.path)
    });
}

fn table(protocol: Protocol, apis: u32, routes_each: u32) -> Adopted {
    let stages = (0..apis).map(|api| units::stage(&api_id(api), protocol, keys(routes_each)));
    let units: Vec<(UnitHash, Arc<Unit>)> =
        std::iter::once(units::account()).chain(stages).map(units::hashed).collect();
    let mut adoption = Adoption::new().expect("random numbers");
    adoption.adopt(1, &units).expect("a sound snapshot")
}

fn api_id(api: u32) -> String {
    format!("a1b2c3{api:04}")
}

fn keys(routes: u32) -> impl Iterator<Item = Key> {
    let kinds = KINDS.len() as u32;
    (0..routes).map(move |route| ("GET", (KINDS[(route % kinds) as usize].path)(route / kinds)))
}

/// One for each route of a kind.
fn hits(apis: u32, routes_each: u32, kind: u32) -> Vec<Request> {
    let kinds = KINDS.len() as u32;
    let of_api = |api: u32| {
        (kind..routes_each).step_by(KINDS.len()).map(move |route| Request {
            host: units::host(&api_id(api)),
            path: KINDS[kind as usize].asks(route / kinds),
            route_id: Some(format!("r{route}")),
        })
    };
    (0..apis).flat_map(of_api).collect()
}

/// Paths of which all but the last segment are some route's.
fn misses(apis: u32, routes_each: u32) -> Vec<Request> {
    let services = routes_each / KINDS.len() as u32;
    let of_api = |api: u32| {
        (0..services).map(move |service| Request {
            host: units::host(&api_id(api)),
            path: format!("/service{service}/orders"),
            route_id: None,
        })
    };
    (0..apis).flat_map(of_api).collect()
}

/// In an order in which neighbours have nothing to do with each other. They are made again in it, so that they lie one
/// behind the other and only the table is looked for all over the memory.
fn mixed(requests: Vec<Request>) -> Vec<Request> {
    let stride = if requests.len().is_multiple_of(STRIDE) { 1 } else { STRIDE };
    let order = (0..requests.len()).map(|index| &requests[index * stride % requests.len()]);
    let again = |request: &Request| Request {
        host: request.host.clone(),
        path: request.path.clone(),
        route_id: request.route_id.clone(),
    };
    order.map(again).collect()
}
