//! A stage's routes on matchit.
//!
//! One router a method, with the ANY routes among the method's own, so that the method takes part in the
//! match: `POST /pets/5` beside `GET /pets/{id}` doesn't hide the latter from a GET of that path.
//!
//! REST APIs prefer, segment by segment, static before variable before greedy, which is matchit's order.
//! HTTP APIs prefer any full match over any greedy one, so their greedy routes stand in a second router,
//! asked when the first finds nothing; `$default` comes last.

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
    greedy: Option<Router<usize>>,
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
            for (_, own) in &mut self.methods {
                match own.insert(protocol, &route.path, index) {
                    Ok(()) | Err(InsertError::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn look_up<'t, 'p>(&'t self, method: &str, path: &'p str) -> Option<Matched<'t, 'p>> {
        let own = self.methods.iter().find(|(known, _)| **known == *method).map_or(&self.any, |(_, own)| own);
        let matched = own.at(path).or_else(|| own.at(self.trimmed(path)?));
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
            Protocol::Http if greedy => self.greedy.get_or_insert_default(),
            _ => &mut self.first,
        };
        router.insert(pattern, index)
    }

    fn at<'t, 'p>(&'t self, path: &'p str) -> Option<matchit::Match<'t, 'p, &'t usize>> {
        self.first.at(path).ok().or_else(|| self.greedy.as_ref()?.at(path).ok())
    }
}

/// AWS writes a greedy variable `{name+}`, matchit `{*name}`.
fn pattern(path: &str) -> (String, bool) {
    match path.strip_suffix("+}").and_then(|head| head.rsplit_once("/{")) {
        Some((head, name)) => (format!("{head}/{{*{name}}}"), true),
        None => (path.to_owned(), false),
    }
}
