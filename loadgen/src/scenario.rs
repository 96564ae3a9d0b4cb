//! Scenarios: what virtual users send, read from a TOML file and checked whole before a run.
//!
//! A lane of the engine has one user. A user begins an **iteration** by choosing, by weight, a request or a flow, and
//! sends its steps in order; variables are made at their first use in an iteration and stay the same until it ends.
//! What an iteration chooses and makes at random follows from the seed and its number, and a reactor's iterations take
//! one residue class of the numbers: the same seed gives the same requests, and reactors share nothing.
//! Requests without anything variable are formatted once; loading finds every error there is, so that making a request
//! can't fail.

pub mod args;
mod blueprint;
mod compile;
mod extract;
mod generator;
pub mod random;
pub mod template;
mod text;
mod think;
mod typed;
mod user;

use std::ops::Range;
use std::path::Path;

use crate::check::{Check, CheckList};
use crate::limits::{Limit, Limits};
use crate::list::read_limited;
use crate::request::{Protocol, Request};
use crate::sigv4::Signer;
use crate::target::Url;
use blueprint::Blueprint;
use extract::Extraction;
use generator::Generator;
use text::Text;
use think::Think;

pub use args::ScenarioArgs;
pub use user::{Share, User};

/// What a scenario is loaded for.
#[derive(Debug)]
pub struct Target<'a> {
    /// Relative URLs are put behind its path.
    pub url: &'a Url,
    pub protocol: Protocol,
    /// `Name: value` fields that every request has as well.
    pub headers: &'a [String],
    /// Checks that hold for every request.
    pub checks: &'a [Check],
    /// Most bytes of a reply's body that are kept for checks and extractions.
    pub captured_body_bytes_max: usize,
    /// In place of the file's.
    pub seed: Option<u64>,
    /// The command line's.
    pub limits: Limits,
}

impl<'a> Target<'a> {
    /// HTTP/1.1 to a URL, of which the command line says no more.
    pub fn new(url: &'a Url) -> Self {
        Self {
            url,
            protocol: Protocol::Http1,
            headers: &[],
            checks: &[],
            captured_body_bytes_max: 0,
            seed: None,
            limits: Limits::default(),
        }
    }
}

/// A checked scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Names of requests; each step has one of them.
    pub labels: Vec<String>,
    pub requests_per_connection: Option<u64>,
    /// Where requests go, in the order in which they are named; never none.
    pub hosts: Vec<Url>,
    /// What each check of all steps is called.
    pub check_names: Vec<CheckName>,
    pub seed: u64,
    protocol: Protocol,
    plans: Vec<Plan>,
    steps: Vec<Step>,
    variables: Vec<Variable>,
    generators: Vec<Generator>,
    signers: Vec<Signer>,
}

/// Which request a check belongs to, and what it checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckName {
    pub label: String,
    pub check: String,
}

/// What an iteration may be.
#[derive(Debug)]
struct Plan {
    /// Sum of the weights up to and with this one.
    weight_to: u64,
    steps: Range<usize>,
}

#[derive(Debug)]
struct Step {
    label: usize,
    form: Form,
    checks: CheckList,
    extractions: Vec<Extraction>,
    /// After this step.
    think: Think,
}

#[derive(Debug)]
enum Form {
    Fixed(Request),
    Made(Box<Blueprint>),
}

#[derive(Debug)]
struct Variable {
    name: String,
    /// How it is made; one without is only ever extracted.
    text: Option<Text>,
    /// It gets into a URL or a field, where no line may end.
    one_line: bool,
}

impl Scenario {
    /// Reads and checks a file. Errors are sentences with the file, the line and the key.
    pub fn load(file: &Path, target: &Target<'_>) -> Result<Self, String> {
        let text = read_limited(file, &target.limits, Limit::ScenarioBytes)?;
        let text =
            String::from_utf8(text).map_err(|_| format!("{}: the file isn't UTF-8", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder, target).map_err(|reason| format!("{}:{reason}", file.display()))
    }

    /// The same from a text; files that it names are looked for in `folder`. Errors begin with the line.
    pub fn parse(text: &str, folder: &Path, target: &Target<'_>) -> Result<Self, String> {
        compile::compile(&typed::parse(text)?, text, folder, target)
    }

    /// Whether users pause between requests.
    pub fn thinks(&self) -> bool {
        self.steps.iter().any(|step| step.think != Think::Not)
    }
}

#[cfg(test)]
mod tests;
