//! A stage's routes: from method and path to the one that serves a request.
//!
//! ANY stands for seven methods, as in AWS; nothing but `$default` takes another, such as `get` or `PROPFIND`. A method's own
//! route comes before ANY on the same path alone: `POST /pets/5` beside `GET /pets/{id}` doesn't hide the latter from a GET of
//! that path. REST APIs prefer, segment by segment, static before variable before greedy. HTTP APIs prefer any full
//! match over any greedy one; `$default` comes last.
//!
//! Routes are sorted into matchit's trees ([`tree`]), which refuse those that contradict each other. What requests are looked up
//! in is an [`index`] over them, unless their paths have more shapes than that is good for: then it is the trees. A
//! [`few`] routes are tried one after the other.

mod few;
mod index;
mod text;
mod tree;

use matchit::InsertError;
use turnpike_snapshot::Protocol;

use super::{DEFAULT_ROUTE, Route};
use few::Few;
use index::Index;
use tree::Trees;

const ANY: &str = "ANY";

#[derive(Debug)]
#[repr(C)]
pub(crate) struct Routes {
    routes: Box<[Route]>,
    default: Option<u32>,
    trim_slash: bool,
    finder: Finder,
}

#[derive(Debug)]
enum Finder {
    Few(Few),
    Index(Index),
    Trees(Box<Trees>),
}

/// A route and the path variables that it took.
#[derive(Debug)]
pub(crate) struct Matched<'t, 'p> {
    pub(crate) route: &'t Route,
    pub(crate) variables: Option<Variables<'t, 'p>>,
}

/// The variables of a route's path, and the request's path that matches it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variables<'t, 'p> {
    template: &'t [u8],
    path: &'p str,
}

/// How specific a segment of a route's path is, the most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal,
    Variable,
    Greedy,
}

impl Routes {
    /// `routes` are the compiled `units`, in their order.
    pub(super) fn compile(
        protocol: Protocol,
        units: &[turnpike_snapshot::Route],
        mut routes: Vec<Route>,
    ) -> Result<Self, InsertError> {
        let trees = Trees::compile(protocol, units)?;
        let finder = match Few::compile(protocol, &routes) {
            Some(few) => Finder::Few(few),
            None => match Index::compile(protocol, &mut routes) {
                Some(index) => Finder::Index(index),
                None => Finder::Trees(Box::new(trees)),
            },
        };
        let default = (0..).zip(&routes).find(|(_, route)| route.path() == DEFAULT_ROUTE);
        Ok(Self {
            finder,
            trim_slash: protocol == Protocol::Rest,
            default: default.map(|(number, _)| number),
            routes: routes.into(),
        })
    }

    pub(crate) fn look_up<'t, 'p>(&'t self, method: &str, path: &'p str) -> Option<Matched<'t, 'p>> {
        let found = self.find(method, path).or_else(|| self.find(method, self.trimmed(path)?));
        if let Some((route, path)) = found {
            let route = self.route(route);
            return Some(Matched {
                route,
                variables: Some(Variables { template: route.path_bytes(), path }),
            });
        }
        self.default.map(|default| Matched { route: self.route(default), variables: None })
    }

    fn find<'p>(&self, method: &str, path: &'p str) -> Option<(u32, &'p str)> {
        let found = match &self.finder {
            Finder::Few(few) => few.find(&self.routes, method, path),
            Finder::Index(index) => index.find(&self.routes, method, path),
            Finder::Trees(trees) => trees.find(&self.routes, method, path),
        };
        found.map(|route| (route, path))
    }

    fn route(&self, number: u32) -> &Route {
        &self.routes[number as usize]
    }

    /// REST APIs serve `/pets/` as `/pets`.
    fn trimmed<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_suffix('/').filter(|trimmed| self.trim_slash && !trimmed.is_empty())
    }
}

impl<'p> Variables<'_, 'p> {
    /// A variable's value, as it was sent.
    pub(crate) fn get(mut self, name: &str) -> Option<&'p str> {
        loop {
            match self.step() {
                Step::Variable(found, value) if found == name.as_bytes() => return Some(value),
                Step::Variable(..) => {}
                Step::Matched | Step::Mismatched => return None,
            }
        }
    }

    /// Whether the path is one that the route takes.
    fn match_up(mut self) -> bool {
        loop {
            match self.step() {
                Step::Variable(..) => {}
                Step::Matched => return true,
                Step::Mismatched => return false,
            }
        }
    }
}

/// What comes next in a route's path and a request's, side by side.
enum Step<'t, 'p> {
    /// Name and value; the value is never empty.
    Variable(&'t [u8], &'p str),
    Matched,
    Mismatched,
}

impl<'t, 'p> Variables<'t, 'p> {
    /// Up to the next variable, and past it. Literal segments hold no brace (checked with the snapshot).
    fn step(&mut self) -> Step<'t, 'p> {
        let Some((fixed, rest)) = split(self.template, b'{') else {
            return if self.template == self.path.as_bytes() { Step::Matched } else { Step::Mismatched };
        };
        if !self.path.as_bytes().starts_with(fixed) {
            return Step::Mismatched;
        }
        let Some((name, template)) = split(rest, b'}') else { return Step::Mismatched };
        // Both are UTF-8, and so is what they begin with.
        let value = &self.path[fixed.len()..];
        let (name, end) = match name.strip_suffix(b"+") {
            Some(name) => (name, value.len()),
            None => (name, text::find(b'/', value.as_bytes()).unwrap_or(value.len())),
        };
        if end == 0 {
            return Step::Mismatched;
        }
        *self = Self { template, path: &value[end..] };
        Step::Variable(name, &value[..end])
    }
}

/// What is before and what is behind an ASCII character.
fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    text::find(at, text).map(|at| (&text[..at], &text[at + 1..]))
}

/// Methods are case-sensitive (RFC 9110 9.1).
fn is_any(method: &str) -> bool {
    matches!(method, "GET" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "HEAD" | "PATCH")
}

fn segments(path: &str) -> impl Iterator<Item = Segment> {
    path.split('/').map(|segment| match segment.strip_prefix('{') {
        None => Segment::Literal,
        Some(name) if name.ends_with("+}") => Segment::Greedy,
        Some(_) => Segment::Variable,
    })
}

#[cfg(test)]
mod tests;
