//! Any number of routes, found by a hash of what is fixed in their paths.
//!
//! A shape says which segments are fixed and which are variables. Two routes of one shape that match the same path have the
//! same fixed segments: so one look for each shape, the most specific first, finds the route that comes first. There
//! are few shapes, however many routes there are. Among many routes nothing of them is in the core's cache when a
//! request comes: a look takes a line of slots, and where it finds something the route's, whose key decides. Up to
//! [`TAGS_MAX`] routes have tags in the stage itself, which comes as a whole, instead of slots.

use std::collections::BTreeSet;

use turnpike_snapshot::Protocol;

use super::text::{self, Hash};
use super::{ANY, DEFAULT_ROUTE, Route, Segment, Variables, is_any, segments};

/// As many as a cache line has room for; more looks than that would take longer than the trees.
const SHAPES_MAX: usize = 16;
/// Two cache lines.
const TAGS_MAX: usize = 64;
/// As many tags as are compared at once.
const TAGS_AT_ONCE: usize = 16;
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
    places: Places,
}

/// Where routes are.
#[derive(Debug)]
enum Places {
    /// The lower half of each route's tag, in their order.
    Tags([u16; TAGS_MAX]),
    /// A power of two, of which half is free: a look goes on to the next until it comes to one that is free.
    Slots(Box<[Slot]>),
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
            any: Hash::of(ANY.as_bytes()) as u32,
            places: Places::of(routes.len()),
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
                if (route.method() == ANY.as_bytes()) == any {
                    let path =
                        Hashes::of(route.path(), index.segments_max).of_shape(route.shape, &index.shapes);
                    index.places.insert(number, path, tag(path, Hash::of(route.method()) as u32));
                }
            }
        }
        Some(index)
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
            own: Hash::of(method.as_bytes()) as u32,
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
        let is_for = |number: u32, method: &str| {
            let route = &routes[number as usize];
            // What the request reads of it besides, whatever this look comes to.
            turnpike_rt::prefetch(&route.cache);
            route.shape == shape && is_for(route, method, asked.path)
        };
        match &self.places {
            Places::Tags(tags) => {
                let tags = &tags[..routes.len()];
                look_among(tags, own, |number| is_for(number, asked.method))
                    .or_else(|| look_among(tags, any?, |number| is_for(number, ANY)))
            }
            Places::Slots(slots) => {
                let mut at = first(slots, path);
                while slots[at] != FREE {
                    let Slot { tag, route: number } = slots[at];
                    let method = if tag == own { asked.method } else { ANY };
                    if (tag == own || Some(tag) == any) && is_for(number, method) {
                        return Some(number);
                    }
                    at = next(slots, at);
                }
                None
            }
        }
    }
}

impl Places {
    fn of(routes: usize) -> Self {
        if routes <= TAGS_MAX {
            return Self::Tags([0; TAGS_MAX]);
        }
        Self::Slots(vec![FREE; (2 * routes).next_power_of_two()].into())
    }

    fn insert(&mut self, number: u32, path: u64, tag: u32) {
        match self {
            Self::Tags(tags) => tags[number as usize] = tag as u16,
            Self::Slots(slots) => {
                let mut at = first(slots, path);
                while slots[at] != FREE {
                    at = next(slots, at);
                }
                slots[at] = Slot { tag, route: number };
            }
        }
    }
}

/// The first route with such a tag that is the one.
fn look_among(tags: &[u16], tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
    let tag = tag as u16;
    for (run, start) in tags.chunks(TAGS_AT_ONCE).zip((0..).step_by(TAGS_AT_ONCE)) {
        // Without a branch for each.
        if run.iter().fold(false, |found, other| found | (*other == tag)) {
            let same = (start..).zip(run).filter(|(_, other)| **other == tag);
            if let Some((number, _)) = same.into_iter().find(|(number, _)| is_it(*number)) {
                return Some(number);
            }
        }
    }
    None
}

fn first(slots: &[Slot], path: u64) -> usize {
    (path >> 32) as usize & (slots.len() - 1)
}

fn next(slots: &[Slot], at: usize) -> usize {
    (at + 1) & (slots.len() - 1)
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
    route.method() == method.as_bytes() && Variables { template: route.path_bytes(), path }.match_up()
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
        text::hash_segments(below_root(path).as_bytes(), |hash| {
            if let Some(place) = hashes.segments.get_mut(hashes.count) {
                *place = hash;
            }
            hashes.count += 1;
            hashes.count <= usize::from(segments_max)
        });
        hashes
    }

    /// Of what a shape has fixed.
    fn of_shape(&self, shape: u8, shapes: &[Shape; SHAPES_MAX]) -> u64 {
        let mut hash = Hash::default();
        hash.add(u64::from(shape) + 1);
        let mut left = shapes[usize::from(shape)].fixed;
        while left != 0 {
            hash.add(self.segments[left.trailing_zeros() as usize]);
            left &= left - 1;
        }
        hash.value()
    }
}

pub(super) fn kinds_of(route: &Route) -> Vec<Segment> {
    segments(below_root(route.path())).collect()
}

/// What shapes are ordered by.
pub(super) fn rank(protocol: Protocol, kinds: Vec<Segment>) -> (bool, Vec<Segment>) {
    let greedy_last = protocol == Protocol::Http && kinds.last() == Some(&Segment::Greedy);
    (greedy_last, kinds)
}

fn tag(path: u64, method: u32) -> u32 {
    path as u32 ^ method
}

fn below_root(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}
