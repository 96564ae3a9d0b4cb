//! A stage's routes on matchit.
//!
//! One router a method, with the ANY routes among the method's own, so that the method takes part in the
//! match: `POST /pets/5` beside `GET /pets/{id}` doesn't hide the latter from a GET of that path.
//!
//! REST APIs prefer, segment by segment, static before variable before greedy, which is matchit's order.
//! HTTP APIs prefer any full match over any greedy one, so their greedy routes stand in routers of their own,
//! asked when the first finds nothing; `$default` comes last. matchit takes no `{a}` where it has a `{*b}`
//! (`/{a}/{rest+}` beside `/{proxy+}`), which can't happen among paths of one length: there is a router for each
//! length, and of their matches the one wins that is static before variable before greedy, segment by segment.

use matchit::{InsertError, Params, Router};
use turnpike_snapshot::Protocol;

use super::Route;

const ANY: &str = "ANY";
const DEFAULT_ROUTE: &str = "$default";

#[derive(Debug)]
pub(crate) struct Routes {
    routes: Box<[Route]>,
    trim_slash: bool,
    /// The methods that some route names.
    methods: Vec<(Box<str>, MethodRoutes)>,
    /// For all other methods.
    any: MethodRoutes,
    default: Option<usize>,
}

#[derive(Debug, Default)]
struct MethodRoutes {
    first: Router<usize>,
    /// By the number of segments.
    greedy: Vec<(usize, Router<usize>)>,
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
    pub(crate) variables: Option<Params<'t, 'p>>,
}

impl Routes {
    /// `methods` are the routes' methods, in their order.
    pub(super) fn compile(
        protocol: Protocol,
        methods: &[&str],
        routes: Vec<Route>,
    ) -> Result<Self, InsertError> {
        let mut compiled = Self {
            trim_slash: protocol == Protocol::Rest,
            methods: Vec::new(),
            any: MethodRoutes::default(),
            default: None,
            routes: routes.into(),
        };
        for method in methods.iter().filter(|method| **method != ANY) {
            if compiled.methods.iter().all(|(known, _)| **known != **method) {
                compiled.methods.push(((*method).into(), MethodRoutes::default()));
            }
        }
        for (index, route) in compiled.routes.iter().enumerate() {
            match (methods[index], &*route.path) {
                (_, DEFAULT_ROUTE) => compiled.default = Some(index),
                (ANY, path) => compiled.any.insert(protocol, path, index)?,
                (method, path) => {
                    let own = compiled.methods.iter_mut().find(|(known, _)| **known == *method);
                    own.expect("every method has its routes").1.insert(protocol, path, index)?;
                }
            }
        }
        compiled.add_any_routes(protocol, methods)?;
        Ok(compiled)
    }

    /// An ANY route serves a method where that method has no route of its own on the same path.
    fn add_any_routes(&mut self, protocol: Protocol, methods: &[&str]) -> Result<(), InsertError> {
        for (index, route) in self.routes.iter().enumerate() {
            if methods[index] != ANY || &*route.path == DEFAULT_ROUTE {
                continue;
            }
            for (method, own) in &mut self.methods {
                let mut others = self.routes.iter().zip(methods);
                let overridden = others
                    .any(|(other, named)| **named == **method && is_same_path(&other.path, &route.path));
                if !overridden {
                    own.insert(protocol, &route.path, index)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn look_up<'t, 'p>(&'t self, method: &str, path: &'p str) -> Option<Matched<'t, 'p>> {
        let own = self.methods.iter().find(|(known, _)| **known == *method).map_or(&self.any, |(_, own)| own);
        let matched = own.at(&self.routes, path).or_else(|| own.at(&self.routes, self.trimmed(path)?));
        match (matched, self.default) {
            (Some(matched), _) => {
                Some(Matched { route: &self.routes[*matched.value], variables: Some(matched.params) })
            }
            (None, Some(default)) => Some(Matched { route: &self.routes[default], variables: None }),
            (None, None) => None,
        }
    }

    /// REST APIs serve `/pets/` as `/pets`.
    fn trimmed<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_suffix('/').filter(|trimmed| self.trim_slash && !trimmed.is_empty())
    }
}

impl MethodRoutes {
    fn insert(&mut self, protocol: Protocol, path: &str, index: usize) -> Result<(), InsertError> {
        let (pattern, greedy) = pattern(path);
        let router = match protocol {
            Protocol::Http if greedy => self.greedy_of(segments(path).count()),
            _ => &mut self.first,
        };
        router.insert(pattern, index)
    }

    fn greedy_of(&mut self, length: usize) -> &mut Router<usize> {
        let known = self.greedy.iter().position(|(known, _)| *known == length);
        let at = known.unwrap_or_else(|| {
            self.greedy.push((length, Router::new()));
            self.greedy.len() - 1
        });
        &mut self.greedy[at].1
    }

    fn at<'t, 'p>(&'t self, routes: &[Route], path: &'p str) -> Option<matchit::Match<'t, 'p, &'t usize>> {
        let greedy = || {
            let matches = self.greedy.iter().filter_map(|(_, router)| router.at(path).ok());
            matches.min_by(|a, b| segments(&routes[*a.value].path).cmp(segments(&routes[*b.value].path)))
        };
        self.first.at(path).ok().or_else(greedy)
    }
}

/// Whether two paths differ in the names of their variables at most.
fn is_same_path(one: &str, other: &str) -> bool {
    let literals = |path: &str| {
        path.split('/').filter(|part| !part.starts_with('{')).map(str::to_owned).collect::<Vec<_>>()
    };
    segments(one).eq(segments(other)) && literals(one) == literals(other)
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
