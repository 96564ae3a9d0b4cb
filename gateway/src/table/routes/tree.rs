//! Routes on matchit.
//!
//! One router a method, with the ANY routes among the method's own, so that the method takes part in the match.
//! matchit's order is a REST API's. An HTTP API's greedy routes stand in routers of their own, asked when the first finds
//! nothing. matchit takes no `{a}` where it has a `{*b}` (`/{a}/{rest+}` beside `/{proxy+}`), which can't happen among
//! paths of one length: there is a router for each length, and of their matches the one wins that is static before
//! variable before greedy, segment by segment.
//!
//! Routes that begin with a literal segment stand in a router of that segment's own, looked at first, so that
//! precedence stays what it is: in a large API the upper nodes of one common tree are cold at each request.

use matchit::{InsertError, Router};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;
use turnpike_snapshot::Protocol;

use super::{ANY, DEFAULT_ROUTE, Route, Segment, is_any, segments};

/// They find a route's number.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// The methods that some route names.
    methods: Vec<(SmolStr, MethodRoutes)>,
    /// For all other methods that ANY stands for.
    any: MethodRoutes,
}

#[derive(Debug, Default)]
struct MethodRoutes {
    /// By their first segment, where that is a literal.
    under: FxHashMap<SmolStr, Router<u32>>,
    /// All others, asked when none of those matches.
    first: Router<u32>,
    /// By the number of segments.
    greedy: Vec<(usize, Router<u32>)>,
}

impl Trees {
    /// # Errors
    /// Two routes that no order puts one before the other.
    pub(super) fn compile(
        protocol: Protocol,
        units: &[turnpike_snapshot::Route],
    ) -> Result<Self, InsertError> {
        let mut compiled = Self::default();
        for unit in units.iter().filter(|unit| unit.method != ANY) {
            if compiled.methods.iter().all(|(known, _)| *known != unit.method) {
                compiled.methods.push((SmolStr::new(&unit.method), MethodRoutes::default()));
            }
        }
        for (unit, number) in numbered(units).filter(|(unit, _)| unit.path != DEFAULT_ROUTE) {
            match unit.method.as_str() {
                ANY => compiled.any.insert(protocol, &unit.path, number)?,
                method => {
                    let own = compiled.methods.iter_mut().find(|(known, _)| *known == method);
                    own.expect("every method has its routes").1.insert(protocol, &unit.path, number)?;
                }
            }
        }
        compiled.add_any_routes(protocol, units)?;
        Ok(compiled)
    }

    /// An ANY route serves a method where that method has no route of its own on the same path.
    fn add_any_routes(
        &mut self,
        protocol: Protocol,
        units: &[turnpike_snapshot::Route],
    ) -> Result<(), InsertError> {
        let taken: FxHashSet<(&str, Vec<&str>)> = units
            .iter()
            .filter(|unit| unit.method != ANY)
            .map(|unit| (unit.method.as_str(), shape(&unit.path)))
            .collect();
        let any = numbered(units).filter(|(unit, _)| unit.method == ANY && unit.path != DEFAULT_ROUTE);
        for (unit, number) in any {
            let mut wanted = ("", shape(&unit.path));
            for (method, own) in self.methods.iter_mut().filter(|(method, _)| is_any(method)) {
                // The path's shape is made once and borrowed by each look.
                wanted.0 = method;
                if !taken.contains(&wanted) {
                    own.insert(protocol, &unit.path, number)?;
                }
            }
        }
        Ok(())
    }

    /// The number of the route that comes first of those that match.
    pub(super) fn find(&self, routes: &[Route], method: &str, path: &str) -> Option<u32> {
        let named = self.methods.iter().find(|(known, _)| *known == method).map(|(_, own)| own);
        let own = named.or_else(|| is_any(method).then_some(&self.any));
        own.and_then(|own| own.at(routes, path))
    }
}

impl MethodRoutes {
    fn insert(&mut self, protocol: Protocol, path: &str, number: u32) -> Result<(), InsertError> {
        let (pattern, greedy) = pattern(path);
        let router = match protocol {
            Protocol::Http if greedy => self.greedy_of(segments(path).count()),
            _ => match literal_first(path) {
                Some(segment) => self.under.entry(SmolStr::new(segment)).or_default(),
                None => &mut self.first,
            },
        };
        router.insert(pattern, number)
    }

    fn greedy_of(&mut self, length: usize) -> &mut Router<u32> {
        let known = self.greedy.iter().position(|(known, _)| *known == length);
        let at = known.unwrap_or_else(|| {
            self.greedy.push((length, Router::new()));
            self.greedy.len() - 1
        });
        &mut self.greedy[at].1
    }

    fn at(&self, routes: &[Route], path: &str) -> Option<u32> {
        let at = |router: &Router<u32>| router.at(path).ok().map(|matched| *matched.value);
        let greedy = || {
            let matches = self.greedy.iter().filter_map(|(_, router)| at(router));
            let path = |number: &u32| segments(routes[*number as usize].path());
            matches.min_by(|a, b| path(a).cmp(path(b)))
        };
        let under = || if self.under.is_empty() { None } else { self.under.get(first_segment(path)) };
        under().and_then(at).or_else(|| at(&self.first)).or_else(greedy)
    }
}

fn numbered(units: &[turnpike_snapshot::Route]) -> impl Iterator<Item = (&turnpike_snapshot::Route, u32)> {
    units.iter().zip(0..)
}

fn first_segment(path: &str) -> &str {
    let below = path.strip_prefix('/').unwrap_or(path);
    below.split_once('/').map_or(below, |(segment, _)| segment)
}

fn literal_first(path: &str) -> Option<&str> {
    Some(first_segment(path)).filter(|segment| !segment.is_empty() && !segment.contains(['{', '}']))
}

/// What paths have in common that differ in the names of their variables at most.
fn shape(path: &str) -> Vec<&str> {
    let part = |(segment, kind)| match kind {
        Segment::Literal => segment,
        Segment::Variable => "{}",
        Segment::Greedy => "{+}",
    };
    path.split('/').zip(segments(path)).map(part).collect()
}

/// AWS writes a greedy variable `{name+}`, matchit `{*name}`.
fn pattern(path: &str) -> (String, bool) {
    match path.strip_suffix("+}").and_then(|head| head.rsplit_once("/{")) {
        Some((head, name)) => (format!("{head}/{{*{name}}}"), true),
        None => (path.to_owned(), false),
    }
}
