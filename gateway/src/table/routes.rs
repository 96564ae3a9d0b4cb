//! A stage's routes on matchit.
//!
//! One router a method, with the ANY routes among the method's own, so that the method takes part in the
//! match: `POST /pets/5` beside `GET /pets/{id}` doesn't hide the latter from a GET of that path. ANY stands for seven
//! methods, as in AWS; nothing but `$default` takes another, such as `get` or `PROPFIND`.
//!
//! REST APIs prefer, segment by segment, static before variable before greedy, which is matchit's order.
//! HTTP APIs prefer any full match over any greedy one, so their greedy routes stand in routers of their own,
//! asked when the first finds nothing; `$default` comes last. matchit takes no `{a}` where it has a `{*b}`
//! (`/{a}/{rest+}` beside `/{proxy+}`), which can't happen among paths of one length: there is a router for each
//! length, and of their matches the one wins that is static before variable before greedy, segment by segment.
//!
//! Routes that begin with a literal segment stand in a router of that segment's own, looked at first, so that
//! precedence stays what it is: in a large API the upper nodes of one common tree are cold at each request.

use matchit::{InsertError, Params, Router};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;
use turnpike_snapshot::Protocol;

use super::{DEFAULT_ROUTE, Route};

const ANY: &str = "ANY";

#[derive(Debug)]
pub(crate) struct Routes {
    routes: Box<[Route]>,
    trim_slash: bool,
    /// The methods that some route names.
    methods: Vec<(SmolStr, MethodRoutes)>,
    /// For all other methods that ANY stands for.
    any: MethodRoutes,
    default: Option<Leaf>,
}

/// What a router finds: indexes, so that a match needn't fetch the route itself.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    route: u32,
    integration: u32,
}

#[derive(Debug, Default)]
struct MethodRoutes {
    /// By their first segment, where that is a literal.
    under: FxHashMap<SmolStr, Router<Leaf>>,
    /// All others, asked when none of those matches.
    first: Router<Leaf>,
    /// By the number of segments.
    greedy: Vec<(usize, Router<Leaf>)>,
}

/// How specific a segment of a route's path is, the most specific first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal,
    Variable,
    Greedy,
}

/// A route and the path variables that it took.
#[derive(Debug)]
pub(crate) struct Matched<'t, 'p> {
    pub(crate) route: &'t Route,
    /// Index into the stage's integrations.
    pub(super) integration: u32,
    pub(crate) variables: Option<Params<'t, 'p>>,
}

impl Routes {
    /// `routes` are the compiled `units`, in their order.
    pub(super) fn compile(
        protocol: Protocol,
        units: &[turnpike_snapshot::Route],
        routes: Vec<Route>,
    ) -> Result<Self, InsertError> {
        let mut compiled = Self {
            trim_slash: protocol == Protocol::Rest,
            methods: Vec::new(),
            any: MethodRoutes::default(),
            default: None,
            routes: routes.into(),
        };
        for unit in units.iter().filter(|unit| unit.method != ANY) {
            if compiled.methods.iter().all(|(known, _)| *known != unit.method) {
                compiled.methods.push((SmolStr::new(&unit.method), MethodRoutes::default()));
            }
        }
        for (unit, leaf) in leaves(units) {
            match (unit.method.as_str(), unit.path.as_str()) {
                (_, DEFAULT_ROUTE) => compiled.default = Some(leaf),
                (ANY, path) => compiled.any.insert(protocol, path, leaf)?,
                (method, path) => {
                    let own = compiled.methods.iter_mut().find(|(known, _)| *known == method);
                    own.expect("every method has its routes").1.insert(protocol, path, leaf)?;
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
        for (unit, leaf) in leaves(units).filter(|(unit, _)| unit.method == ANY && unit.path != DEFAULT_ROUTE)
        {
            let mut wanted = ("", shape(&unit.path));
            for (method, own) in self.methods.iter_mut().filter(|(method, _)| is_any(method)) {
                // The path's shape is made once and borrowed by each look.
                wanted.0 = method;
                if !taken.contains(&wanted) {
                    own.insert(protocol, &unit.path, leaf)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn look_up<'t, 'p>(&'t self, method: &str, path: &'p str) -> Option<Matched<'t, 'p>> {
        let named = self.methods.iter().find(|(known, _)| *known == method).map(|(_, own)| own);
        let own = named.or_else(|| is_any(method).then_some(&self.any));
        let matched = own
            .and_then(|own| own.at(&self.routes, path).or_else(|| own.at(&self.routes, self.trimmed(path)?)));
        let (leaf, variables) = match matched {
            Some(matched) => (*matched.value, Some(matched.params)),
            None => (self.default?, None),
        };
        Some(Matched { route: &self.routes[leaf.route as usize], integration: leaf.integration, variables })
    }

    /// REST APIs serve `/pets/` as `/pets`.
    fn trimmed<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_suffix('/').filter(|trimmed| self.trim_slash && !trimmed.is_empty())
    }
}

impl MethodRoutes {
    fn insert(&mut self, protocol: Protocol, path: &str, leaf: Leaf) -> Result<(), InsertError> {
        let (pattern, greedy) = pattern(path);
        let router = match protocol {
            Protocol::Http if greedy => self.greedy_of(segments(path).count()),
            _ => match literal_first(path) {
                Some(segment) => self.under.entry(SmolStr::new(segment)).or_default(),
                None => &mut self.first,
            },
        };
        router.insert(pattern, leaf)
    }

    fn greedy_of(&mut self, length: usize) -> &mut Router<Leaf> {
        let known = self.greedy.iter().position(|(known, _)| *known == length);
        let at = known.unwrap_or_else(|| {
            self.greedy.push((length, Router::new()));
            self.greedy.len() - 1
        });
        &mut self.greedy[at].1
    }

    fn at<'t, 'p>(&'t self, routes: &[Route], path: &'p str) -> Option<matchit::Match<'t, 'p, &'t Leaf>> {
        let greedy = || {
            let matches = self.greedy.iter().filter_map(|(_, router)| router.at(path).ok());
            let path = |leaf: &Leaf| segments(&routes[leaf.route as usize].path);
            matches.min_by(|a, b| path(a.value).cmp(path(b.value)))
        };
        let under = || if self.under.is_empty() { None } else { self.under.get(first_segment(path)) };
        under().and_then(|router| router.at(path).ok()).or_else(|| self.first.at(path).ok()).or_else(greedy)
    }
}

/// Methods are case-sensitive (RFC 9110 9.1).
fn is_any(method: &str) -> bool {
    matches!(method, "GET" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "HEAD" | "PATCH")
}

fn leaves(units: &[turnpike_snapshot::Route]) -> impl Iterator<Item = (&turnpike_snapshot::Route, Leaf)> {
    (0..).zip(units).map(|(route, unit)| (unit, Leaf { route, integration: unit.integration }))
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

fn segments(path: &str) -> impl Iterator<Item = Segment> {
    path.split('/').map(|segment| match segment.strip_prefix('{') {
        None => Segment::Literal,
        Some(name) if name.ends_with("+}") => Segment::Greedy,
        Some(_) => Segment::Variable,
    })
}

/// AWS writes a greedy variable `{name+}`, matchit `{*name}`.
fn pattern(path: &str) -> (String, bool) {
    match path.strip_suffix("+}").and_then(|head| head.rsplit_once("/{")) {
        Some((head, name)) => (format!("{head}/{{*{name}}}"), true),
        None => (path.to_owned(), false),
    }
}
