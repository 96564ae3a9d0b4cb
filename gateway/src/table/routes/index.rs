//! Any number of routes, found by a hash of what is fixed in their paths.
//!
//! A shape says which segments are fixed and which are variables. Two routes of one shape that match the same path have the
//! same fixed segments: so one look for each shape, the most specific first, finds the route that comes first. There
//! are few shapes, however many routes there are. Among many routes nothing of them is in the core's cache when a
//! request comes: a look takes a line of slots, and where it finds something the route, and its key, which decides.

use std::collections::BTreeSet;
use std::hash::Hasher as _;

use rustc_hash::FxHasher;
use turnpike_snapshot::Protocol;

use super::{ANY, DEFAULT_ROUTE, Route, Segment, Variables, is_any, segments};

/// As many as a cache line has room for; more looks than that would take longer than the trees.
const SHAPES_MAX: usize = 16;
/// Bits of [`Shape::fixed`].
const SEGMENTS_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Index {
    /// The most specific first; what is behind `shapes_used` is none.
    shapes: [Shape; SHAPES_MAX],
    shapes_used: u8,
    /// Of the longest shape.
    segments_max: u8,
    any: u32,
    /// A power of two, of which half is free: a look goes on to the next until it comes to one that is free.
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    /// A bit for each segment.
    fixed: u16,
    segments: u8,
    /// The last segment stands for one or more.
    greedy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// Of path and method.
    tag: u32,
    route: u32,
}

const FREE: Slot = Slot { tag: 0, route: u32::MAX };

/// Hashes of a path's segments, as far as shapes go.
struct Hashes {
    segments: [u64; SEGMENTS_MAX],
    /// One more than shapes have, if there are more.
    count: usize,
}

impl Index {
    /// Tells each route its shape; `None` if there are too many of them, or one is too long.
    pub(super) fn compile(protocol: Protocol, routes: &mut [Route]) -> Option<Self> {
        let kinds_of = |route: &Route| -> Vec<Segment> { segments(below_root(route.path())).collect() };
        let indexed = || (0..).zip(routes.iter()).filter(|(_, route)| route.path() != DEFAULT_ROUTE);
        let mut shapes = BTreeSet::new();
        for (_, route) in indexed() {
            shapes.insert(rank(protocol, kinds_of(route)));
            if shapes.len() > SHAPES_MAX {
                return None;
            }
        }
        let shape_of = |route: &Route| shapes.range(..rank(protocol, kinds_of(route))).count();
        let of_routes: Vec<(u32, usize)> =
            indexed().map(|(number, route)| (number, shape_of(route))).collect();
        let mut index = Self {
            shapes: [Shape::default(); SHAPES_MAX],
            shapes_used: shapes.len() as u8,
            segments_max: 0,
            any: hash(ANY.as_bytes()) as u32,
            slots: vec![FREE; (2 * routes.len()).next_power_of_two()].into(),
        };
        for (shape, (_, kinds)) in index.shapes.iter_mut().zip(&shapes) {
            *shape = Shape::of(kinds)?;
            index.segments_max = index.segments_max.max(shape.segments);
        }
        // A method's own come first in their path's slots.
        for any in [false, true] {
            for &(number, shape) in &of_routes {
                let route = &mut routes[number as usize];
                route.shape = shape as u8;
                if (route.method() == ANY) == any {
                    index.insert(number, route);
                }
            }
        }
        Some(index)
    }

    fn insert(&mut self, number: u32, route: &Route) {
        let path = Hashes::of(route.path(), self.segments_max).of_shape(route.shape, &self.shapes);
        let mut at = self.first(path);
        while self.slots[at] != FREE {
            at = self.next(at);
        }
        self.slots[at] = Slot { tag: tag(path, hash(route.method().as_bytes()) as u32), route: number };
    }

    /// The number of the route that comes first of those that match.
    pub(super) fn find(&self, routes: &[Route], method: &str, path: &str) -> Option<u32> {
        // A request's own method isn't what routes mean by ANY.
        if self.shapes_used == 0 || method == ANY {
            return None;
        }
        let hashes = Hashes::of(path, self.segments_max);
        let asked = Asked {
            method,
            path,
            own: hash(method.as_bytes()) as u32,
            any: is_any(method).then_some(self.any),
        };
        let shapes =
            (0..self.shapes_used).filter(|shape| self.shapes[usize::from(*shape)].takes(hashes.count));
        shapes
            .into_iter()
            .find_map(|shape| self.look(routes, &asked, shape, hashes.of_shape(shape, &self.shapes)))
    }

    fn look(&self, routes: &[Route], asked: &Asked<'_>, shape: u8, path: u64) -> Option<u32> {
        let (own, any) = (tag(path, asked.own), asked.any.map(|any| tag(path, any)));
        let mut at = self.first(path);
        while self.slots[at] != FREE {
            let Slot { tag, route: number } = self.slots[at];
            if tag == own || Some(tag) == any {
                let route = &routes[number as usize];
                let method = if tag == own { asked.method } else { ANY };
                if route.shape == shape && is_for(route, method, asked.path) {
                    return Some(number);
                }
            }
            at = self.next(at);
        }
        None
    }

    fn first(&self, path: u64) -> usize {
        (path >> 32) as usize & (self.slots.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

/// What is looked for.
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    own: u32,
    /// `None` for a method that ANY doesn't stand for.
    any: Option<u32>,
}

fn is_for(route: &Route, method: &str, path: &str) -> bool {
    route.method() == method && Variables { template: route.path(), path }.match_up()
}

impl Shape {
    /// `None` for one that is too long.
    fn of(kinds: &[Segment]) -> Option<Self> {
        if kinds.len() > SEGMENTS_MAX {
            return None;
        }
        let bits = kinds.iter().enumerate().filter(|(_, kind)| **kind == Segment::Literal);
        Some(Self {
            fixed: bits.fold(0, |fixed, (at, _)| fixed | 1 << at),
            segments: kinds.len() as u8,
            greedy: kinds.last() == Some(&Segment::Greedy),
        })
    }

    /// Whether paths of so many segments can have it.
    fn takes(self, segments: usize) -> bool {
        let own = usize::from(self.segments);
        segments == own || self.greedy && segments > own
    }
}

impl Hashes {
    fn of(path: &str, segments_max: u8) -> Self {
        let mut hashes = Self { segments: [0; SEGMENTS_MAX], count: 0 };
        let mut rest = Some(below_root(path).as_bytes());
        while let Some(bytes) = rest.filter(|_| hashes.count <= usize::from(segments_max)) {
            let end = memchr::memchr(b'/', bytes);
            if let Some(place) = hashes.segments.get_mut(hashes.count) {
                *place = hash(&bytes[..end.unwrap_or(bytes.len())]);
            }
            hashes.count += 1;
            rest = end.map(|end| &bytes[end + 1..]);
        }
        hashes
    }

    /// Of what a shape has fixed.
    fn of_shape(&self, shape: u8, shapes: &[Shape; SHAPES_MAX]) -> u64 {
        let mut hash = u64::from(shape) + 1;
        let mut left = shapes[usize::from(shape)].fixed;
        while left != 0 {
            let segment = self.segments[left.trailing_zeros() as usize];
            hash = (hash.rotate_left(5) ^ segment).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            left &= left - 1;
        }
        hash ^ hash >> 29
    }
}

/// What shapes are ordered by.
fn rank(protocol: Protocol, kinds: Vec<Segment>) -> (bool, Vec<Segment>) {
    let greedy_last = protocol == Protocol::Http && kinds.last() == Some(&Segment::Greedy);
    (greedy_last, kinds)
}

/// The keys are the operator's: what clients ask for decides where is looked, never how much lies there.
fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    hasher.finish()
}

fn tag(path: u64, method: u32) -> u32 {
    path as u32 ^ method
}

fn below_root(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}
