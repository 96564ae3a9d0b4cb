//! A virtual user: plays iterations of a scenario on one lane of the engine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::blueprint::Body;
use super::extract::Parsed;
use super::generator::Turns;
use super::random::Random;
use super::text::Values;
use super::{Form, Scenario, Step};
use crate::check::{Mismatch, ReplyView, Sample};
use crate::failure::Failure;
use crate::request::{Parts, Request};
use crate::sigv4::DayKey;
use crate::source::{Keep, Outcome, Script};

/// What the users of one reactor have in common.
#[derive(Debug)]
pub struct Share {
    turns: RefCell<Turns>,
    keys: RefCell<Vec<DayKey>>,
    /// The number of the iteration that begins next.
    iteration: Cell<u64>,
    reactors: u64,
}

impl Share {
    /// Of reactor `index` of `reactors`.
    pub fn new(scenario: &Scenario, index: usize, reactors: usize) -> Self {
        Self {
            turns: RefCell::new(Turns::new(scenario.generators.len(), index, reactors)),
            keys: RefCell::new(vec![DayKey::default(); scenario.signers.len()]),
            iteration: Cell::new(index as u64),
            reactors: reactors as u64,
        }
    }
}

/// One user; between requests it stands before a step of its iteration, or behind the last.
#[derive(Debug)]
pub struct User {
    maker: Maker,
    /// The step that is next, and the iteration's end.
    next: usize,
    end: usize,
    /// The step of the request that is under way.
    current: usize,
    pause: Duration,
    /// Used again for each request.
    parts: Parts,
}

/// Makes values.
#[derive(Debug)]
struct Maker {
    scenario: &'static Scenario,
    share: Rc<Share>,
    turns: Turns,
    random: Random,
    iteration: u64,
    values: Vec<Made>,
}

/// A variable's value and the iteration that it was made or extracted in.
#[derive(Debug, Clone)]
struct Made {
    iteration: Option<u64>,
    text: String,
}

impl User {
    pub fn new(scenario: &'static Scenario, share: Rc<Share>) -> Self {
        let maker = Maker {
            turns: Turns::new(scenario.generators.len(), 0, 1),
            random: Random::new(scenario.seed, 0),
            iteration: 0,
            values: vec![Made { iteration: None, text: String::new() }; scenario.variables.len()],
            scenario,
            share,
        };
        Self { maker, next: 0, end: 0, current: 0, pause: Duration::ZERO, parts: Parts::default() }
    }

    fn step(&self) -> &'static Step {
        &self.maker.scenario.steps[self.current]
    }

    fn begin_iteration(&mut self) {
        let steps = self.maker.begin_iteration();
        (self.next, self.end) = (steps.start, steps.end);
    }

    fn end_iteration(&mut self) {
        self.next = self.end;
    }

    /// Takes values out of a reply; the iteration ends where one is missing.
    fn extract(&mut self, reply: &ReplyView<'_>, mismatches: &mut Vec<Mismatch>) {
        let step = self.step();
        let mut parsed = Parsed::default();
        for (index, extraction) in step.extractions.iter().enumerate() {
            let variable = &self.maker.scenario.variables[extraction.slot];
            let made = &mut self.maker.values[extraction.slot];
            made.iteration = Some(self.maker.iteration);
            let taken = extraction.take(reply, &mut parsed, variable.one_line, &mut made.text);
            if let Err(came) = taken {
                mismatches.push(Mismatch {
                    check: step.checks.end() + index,
                    name: format!("extract {}", variable.name),
                    sample: Sample { wanted: extraction.wanted(), came },
                });
                self.end_iteration();
            }
        }
    }
}

impl Script for User {
    fn pause(&mut self) -> Duration {
        std::mem::take(&mut self.pause)
    }

    fn next(&mut self) -> Request {
        if self.next == self.end {
            self.begin_iteration();
        }
        self.current = self.next;
        self.next += 1;
        let step = self.step();
        let blueprint = match &step.form {
            Form::Fixed(request) => return request.clone(),
            Form::Made(blueprint) => blueprint,
        };
        blueprint.fill(&mut self.maker, &mut self.parts);
        if let Body::Random(bytes) = blueprint.body {
            let mut body = Vec::new();
            self.maker.random.append_bytes(bytes, &mut body);
            self.parts.body = Some(Bytes::from(body));
        }
        let scenario = self.maker.scenario;
        if let Some(signer) = blueprint.signer {
            let key = &mut self.maker.share.keys.borrow_mut()[signer];
            scenario.signers[signer].sign(&mut self.parts, SystemTime::now(), key);
        }
        Request { label: step.label, ..scenario.protocol.encode(&self.parts) }
    }

    fn keep(&self) -> Keep {
        self.step().checks.keep()
    }

    fn take(&mut self, outcome: Outcome<'_>) -> Result<(), Failure> {
        let step = self.step();
        self.pause = step.think.pause(&mut self.maker.random);
        let Outcome::Reply(reply, kept) = outcome else {
            self.end_iteration();
            return Ok(());
        };
        let view = ReplyView::new(reply.status, reply.body_bytes, kept);
        let mut mismatches = step.checks.judge(&view);
        if !step.extractions.is_empty() {
            self.extract(&view, &mut mismatches);
        }
        if mismatches.is_empty() { Ok(()) } else { Err(Failure::Unexpected(mismatches)) }
    }
}

impl Maker {
    /// Chooses what comes next.
    fn begin_iteration(&mut self) -> std::ops::Range<usize> {
        self.iteration = self.share.iteration.get();
        self.share.iteration.set(self.iteration + self.share.reactors);
        self.random = Random::new(self.scenario.seed, self.iteration);
        let plans = &self.scenario.plans;
        let [.., last] = plans.as_slice() else { return 0..0 };
        let chosen = self.random.below(last.weight_to);
        plans[plans.partition_point(|plan| plan.weight_to <= chosen)].steps.clone()
    }
}

impl Values for Maker {
    fn variable(&mut self, slot: usize) -> &str {
        let iteration = Some(self.iteration);
        if self.values[slot].iteration != iteration
            && let Some(text) = &self.scenario.variables[slot].text
        {
            let mut made = std::mem::take(&mut self.values[slot].text);
            made.clear();
            text.render(self, &mut made);
            self.values[slot] = Made { iteration, text: made };
        }
        &self.values[slot].text
    }

    fn generate(&mut self, generator: usize, out: &mut String) {
        let run = &mut self.share.turns.borrow_mut();
        self.scenario.generators[generator].append(generator, &mut self.random, run, &mut self.turns, out);
    }
}
