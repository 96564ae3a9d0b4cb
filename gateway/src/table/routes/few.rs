//! A few routes, tried one after the other, the most specific first: that takes less than to hash a path.

use turnpike_snapshot::Protocol;

use super::index::{kinds_of, rank};
use super::{ANY, DEFAULT_ROUTE, Route, Variables, is_any};

/// A look at one more costs about as much as a tenth of an index's. Arbitrary within a few.
const ROUTES_MAX: usize = 4;

/// Numbers of routes.
#[derive(Debug)]
pub(super) struct Few {
    order: [u8; ROUTES_MAX],
    count: u8,
}

impl Few {
    /// `None` if there are more.
    pub(super) fn compile(protocol: Protocol, routes: &[Route]) -> Option<Self> {
        if routes.len() > ROUTES_MAX {
            return None;
        }
        let mut numbers: Vec<u8> = (0..)
            .zip(routes)
            .filter(|(_, route)| route.path() != DEFAULT_ROUTE)
            .map(|(number, _)| number)
            .collect();
        // A method's own come first among those of one path.
        numbers.sort_by_key(|number| {
            let route = &routes[usize::from(*number)];
            (rank(protocol, kinds_of(route)), route.method() == ANY.as_bytes())
        });
        let mut few = Self { order: [0; ROUTES_MAX], count: numbers.len() as u8 };
        few.order[..numbers.len()].copy_from_slice(&numbers);
        Some(few)
    }

    /// The number of the route that comes first of those that match.
    pub(super) fn find(&self, routes: &[Route], method: &str, path: &str) -> Option<u32> {
        let order = self.order.iter().take(usize::from(self.count));
        order.map(|number| u32::from(*number)).find(|number| {
            let route = &routes[*number as usize];
            takes(route, method) && Variables { template: route.path_bytes(), path }.match_up()
        })
    }
}

/// A request's own method isn't what routes mean by ANY.
fn takes(route: &Route, method: &str) -> bool {
    if route.method() == ANY.as_bytes() { is_any(method) } else { route.method() == method.as_bytes() }
}
