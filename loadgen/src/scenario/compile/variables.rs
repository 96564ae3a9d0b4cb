//! Variables and templates of a scenario: names become indices, calls become generators, what never varies becomes
//! literal text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;

use super::Places;
use crate::limits::{Limit, Limits};
use crate::scenario::Variable;
use crate::scenario::generator::Generator;
use crate::scenario::template::{self, Filter, Part, Term};
use crate::scenario::text::{Piece, Text, Value, apply, encode_path, fixed_value};
use crate::scenario::typed::{self, Placed};

/// Where a template's values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Path,
    Field,
    Body,
    Variable,
}

pub(super) struct Variables<'a> {
    typed: &'a BTreeMap<String, Placed>,
    folder: &'a Path,
    places: Places<'a>,
    limits: &'a Limits,
    slots: HashMap<&'a str, usize>,
    variables: Vec<Variable>,
    progress: Vec<Progress>,
    /// Of names that some step extracts.
    extracted: BTreeSet<&'a str>,
    /// Extracted by a step before this one.
    available: BTreeSet<&'a str>,
    generators: Vec<Generator>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Untouched,
    /// Whoever comes here again goes in a circle.
    Begun,
    Done,
}

impl<'a> Variables<'a> {
    pub(super) fn new(
        file: &'a typed::Scenario,
        folder: &'a Path,
        places: Places<'a>,
        limits: &'a Limits,
    ) -> Result<Self, String> {
        let steps = file.flow.iter().flat_map(|flow| &flow.get_ref().step);
        let extracted: BTreeSet<&str> =
            steps.flat_map(|step| step.get_ref().extract.keys()).map(String::as_str).collect();
        let names: BTreeSet<&str> =
            file.variables.keys().map(String::as_str).chain(extracted.iter().copied()).collect();
        limits.check(Limit::Variables, names.len()).map_err(|reason| format!("1: variables: {reason}"))?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
            let reason = "a variable's name is made of letters, digits, '_', '-' and '.'";
            return Err(format!("1: variables: '{wrong}': {reason}"));
        }
        let variable = |name: &&str| Variable { name: (*name).to_owned(), text: None, one_line: false };
        let mut all = Self {
            typed: &file.variables,
            folder,
            places,
            limits,
            variables: names.iter().map(variable).collect(),
            progress: vec![Progress::Untouched; names.len()],
            slots: names.into_iter().enumerate().map(|(slot, name)| (name, slot)).collect(),
            extracted,
            available: BTreeSet::new(),
            generators: Vec::new(),
        };
        for (name, text) in &file.variables {
            all.define(name, text)?;
        }
        Ok(all)
    }

    /// Another iteration's steps follow.
    pub(super) fn begin_plan(&mut self) {
        self.available.clear();
    }

    /// A step has taken this one; the slot that it is kept in.
    pub(super) fn extract(&mut self, name: &'a str) -> usize {
        self.available.insert(name);
        self.slots[name]
    }

    pub(super) fn finish(self) -> (Vec<Variable>, Vec<Generator>) {
        (self.variables, self.generators)
    }

    fn define(&mut self, name: &str, text: &Placed) -> Result<(), String> {
        let slot = self.slots[name];
        match self.progress[slot] {
            Progress::Done => return Ok(()),
            Progress::Begun => {
                let reason = "it is made of itself";
                return Err(self.places.fail(&text.span(), &format!("variables.{name}"), reason));
            }
            Progress::Untouched => self.progress[slot] = Progress::Begun,
        }
        let text = self.text(text, &format!("variables.{name}"), Context::Variable)?;
        self.variables[slot].text = Some(text);
        self.progress[slot] = Progress::Done;
        Ok(())
    }

    /// Compiles a template.
    pub(super) fn text(&mut self, placed: &Placed, key: &str, context: Context) -> Result<Text, String> {
        self.text_of(placed.get_ref(), &placed.span(), key, context)
    }

    /// The same for a text of which only a part is the template.
    pub(super) fn text_of(
        &mut self,
        text: &str,
        span: &Range<usize>,
        key: &str,
        context: Context,
    ) -> Result<Text, String> {
        self.limits
            .check(Limit::TemplateBytes, text.len())
            .map_err(|reason| self.places.fail(span, key, &reason))?;
        let parts = template::parse(text).map_err(|error| {
            let character = text[..error.at].chars().count() + 1;
            self.places.fail(span, key, &format!("character {character}: {}", error.reason))
        })?;
        let mut compiled = Text::default();
        for part in parts {
            match part {
                Part::Text(literal) => compiled.push_literal(&literal),
                Part::Expression(expression) => {
                    let piece = match expression.term {
                        Term::Variable(name) => self.variable(&name, expression.filters, context),
                        Term::Call { function, arguments } => {
                            self.call(&function, &arguments, expression.filters)
                        }
                    };
                    match piece.map_err(|reason| self.unless_placed(span, key, reason))? {
                        Piece::Literal(value) if context == Context::Path => {
                            compiled.push_literal(&encode_path(&value));
                        }
                        Piece::Literal(value) => compiled.push_literal(&value),
                        value => compiled.0.push(value),
                    }
                }
            }
        }
        self.check_context(&compiled, context).map_err(|reason| self.places.fail(span, key, &reason))?;
        Ok(compiled)
    }

    fn unless_placed(&self, span: &Range<usize>, key: &str, reason: Reason) -> String {
        match reason {
            Reason::Here(reason) => self.places.fail(span, key, &reason),
            Reason::Placed(reason) => reason,
        }
    }

    fn variable(&mut self, name: &str, filters: Vec<Filter>, context: Context) -> Result<Piece, Reason> {
        let Some(&slot) = self.slots.get(name) else {
            let known: Vec<&str> = self.variables.iter().map(|variable| variable.name.as_str()).collect();
            return Err(Reason::Here(match known.is_empty() {
                true => {
                    format!("there is no variable '{name}', nor any other; a function is written {name}()")
                }
                false => format!("there is no variable '{name}'; there are {}", known.join(", ")),
            }));
        };
        if self.extracted.contains(name) {
            if context == Context::Variable {
                let reason = "is taken out of replies: put it where it is used, not into another variable";
                return Err(Reason::Here(format!("'{name}' {reason}")));
            }
            if !self.available.contains(name) && !self.typed.contains_key(name) {
                return Err(Reason::Here(format!("no step before this one extracts '{name}'")));
            }
            self.variables[slot].one_line |= context != Context::Body;
        } else if let Some(text) = self.typed.get(name) {
            self.define(name, text).map_err(Reason::Placed)?;
            if let Some(fixed) = self.variables[slot].text.as_ref().and_then(Text::fixed) {
                return Ok(Piece::Literal(apply(&filters, fixed.to_owned())));
            }
        }
        Ok(Piece::Value { value: Value::Variable(slot), filters })
    }

    fn call(&mut self, function: &str, arguments: &[String], filters: Vec<Filter>) -> Result<Piece, Reason> {
        let generator =
            Generator::new(function, arguments, self.folder, self.limits).map_err(Reason::Here)?;
        if let Some(fixed) = fixed_value(&generator, &filters) {
            return Ok(Piece::Literal(fixed));
        }
        self.generators.push(generator);
        Ok(Piece::Value { value: Value::Generator(self.generators.len() - 1), filters })
    }

    fn check_context(&self, text: &Text, context: Context) -> Result<(), String> {
        let literals = text.0.iter().filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal.as_str()),
            Piece::Value { .. } => None,
        });
        match context {
            Context::Path => match literals.flat_map(str::chars).find(|c| !c.is_ascii_graphic() || *c == '#')
            {
                Some(c) => Err(format!("a URL holds no {c:?}: percent-encode it")),
                None => Ok(()),
            },
            Context::Field if !self.is_one_line(text) => {
                Err("a header's value can't hold control characters".to_owned())
            }
            Context::Field | Context::Body | Context::Variable => Ok(()),
        }
    }

    /// Whether no value of it can hold a control character; what is extracted is looked at when it comes.
    fn is_one_line(&self, text: &Text) -> bool {
        let clean = |text: &str| !text.chars().any(|c| c.is_control() && c != '\t');
        text.0.iter().all(|piece| match piece {
            Piece::Literal(literal) => clean(literal),
            Piece::Value { value: Value::Generator(generator), .. } => match &self.generators[*generator] {
                Generator::Pick(texts) => texts.iter().all(|text| clean(text)),
                // Lines of files were looked at when they were read; the rest makes no such character.
                _ => true,
            },
            Piece::Value { value: Value::Variable(slot), .. } => {
                self.variables[*slot].text.as_ref().is_none_or(|text| self.is_one_line(text))
            }
        })
    }
}

/// Why a template can't be compiled: with its place already, or without.
enum Reason {
    Here(String),
    Placed(String),
}
