//! From a scenario as typed to a checked one. Errors begin with the line and name the key.

mod request;
mod variables;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::typed::{self, line_of};
use super::{CheckName, Plan, Scenario, Step, Target};
use crate::limits::{Limit, Limits};
use crate::schedule::SEED_DEFAULT;
use crate::sigv4::{Credentials, Place, Signer};
use crate::target::Url;
use variables::Variables;

pub(super) fn compile(
    file: &typed::Scenario,
    text: &str,
    folder: &Path,
    target: &Target<'_>,
) -> Result<Scenario, String> {
    let places = Places { text };
    let limits = limits(file, target, places)?;
    let mut compiler = Compiler {
        file,
        folder,
        target,
        places,
        limits: &limits,
        variables: Variables::new(file, folder, places, &limits)?,
        signers: HashMap::new(),
        labels: Vec::new(),
        check_names: Vec::new(),
        hosts: Vec::new(),
        steps: Vec::new(),
    };
    let signers = compiler.signers()?;
    let plans = compiler.plans()?;
    let requests_per_connection = match &file.requests_per_connection {
        Some(none) if *none.get_ref() == 0 => {
            return Err(places.fail(&none.span(), "requests_per_connection", "at least 1"));
        }
        given => given.as_ref().map(|given| *given.get_ref()),
    };
    let (variables, generators) = compiler.variables.finish();
    Ok(Scenario {
        labels: compiler.labels,
        requests_per_connection,
        hosts: compiler.hosts,
        check_names: compiler.check_names,
        seed: target.seed.or(file.seed).unwrap_or(SEED_DEFAULT),
        protocol: target.protocol,
        plans,
        steps: compiler.steps,
        variables,
        generators,
        signers,
    })
}

/// The command line's and the file's.
fn limits(file: &typed::Scenario, target: &Target<'_>, places: Places<'_>) -> Result<Limits, String> {
    let mut limits = target.limits.clone();
    for (name, value) in &file.limits {
        limits.set(name, *value.get_ref()).map_err(|reason| places.fail(&value.span(), "limits", &reason))?;
    }
    Ok(limits)
}

/// Where in the file things stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    text: &'a str,
}

impl Places<'_> {
    fn fail(self, span: &Range<usize>, key: &str, reason: &str) -> String {
        format!("{}: {key}: {reason}", line_of(self.text, span.start))
    }
}

struct Compiler<'a> {
    file: &'a typed::Scenario,
    folder: &'a Path,
    target: &'a Target<'a>,
    places: Places<'a>,
    limits: &'a Limits,
    variables: Variables<'a>,
    /// Indices by name.
    signers: HashMap<&'a str, usize>,
    labels: Vec<String>,
    check_names: Vec<CheckName>,
    hosts: Vec<Url>,
    steps: Vec<Step>,
}

impl<'a> Compiler<'a> {
    fn signers(&mut self) -> Result<Vec<Signer>, String> {
        let mut signers = Vec::new();
        for (name, placed) in &self.file.signer {
            let key = format!("signer.{name}");
            let signer = self
                .signer(placed.get_ref())
                .map_err(|reason| self.places.fail(&placed.span(), &key, &reason))?;
            self.signers.insert(name, signers.len());
            signers.push(signer);
        }
        Ok(signers)
    }

    fn signer(&self, typed: &typed::Signer) -> Result<Signer, String> {
        let place = match (&typed.credentials_file, &typed.profile) {
            (Some(file), profile) => Place::File {
                path: self.folder.join(file),
                profile: profile.clone().unwrap_or_else(|| "default".to_owned()),
            },
            (None, Some(_)) => return Err("profile needs credentials_file".to_owned()),
            (None, None) => Place::Environment,
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|region| !region.is_empty());
        let region = typed
            .region
            .clone()
            .or_else(|| variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")));
        let fits = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let region = region.ok_or("region is missing, also as AWS_REGION in the environment")?;
        if !fits(&region) || !fits(&typed.service) {
            return Err("service and region are made of letters, digits, '-', '_' and '.'".to_owned());
        }
        Ok(Signer {
            service: typed.service.clone(),
            region,
            credentials: Credentials::read(&place, self.limits)?,
            unsigned_payload: typed.unsigned_payload,
        })
    }

    fn plans(&mut self) -> Result<Vec<Plan>, String> {
        let file = self.file;
        let mut plans = Vec::new();
        for placed in &file.request {
            let request = placed.get_ref();
            if let Some(extract) = request.extract.values().next() {
                let reason = "a request on its own has no next one: extract is for the steps of a [[flow]]";
                return Err(self.places.fail(&extract.span(), "extract", reason));
            }
            let first = self.steps.len();
            self.variables.begin_plan();
            self.add_step(placed, None)?;
            let weight = request.weight.unwrap_or(1);
            self.add_plan(&mut plans, weight, first, &placed.span())?;
        }
        for placed in &file.flow {
            let flow = placed.get_ref();
            if flow.step.is_empty() {
                return Err(self.places.fail(&placed.span(), "flow", "it has no [[flow.step]]"));
            }
            let first = self.steps.len();
            self.variables.begin_plan();
            for step in &flow.step {
                if step.get_ref().weight.is_some() {
                    let reason = "the flow has the weight: its steps follow each other";
                    return Err(self.places.fail(&step.span(), "weight", reason));
                }
                self.add_step(step, flow.name.as_deref())?;
            }
            self.add_plan(&mut plans, flow.weight, first, &placed.span())?;
        }
        if plans.last().is_none_or(|plan| plan.weight_to == 0) {
            return Err("1: there is no [[request]] and no [[flow]] with a weight above 0".to_owned());
        }
        Ok(plans)
    }

    fn add_plan(
        &self,
        plans: &mut Vec<Plan>,
        weight: u64,
        first: usize,
        span: &Range<usize>,
    ) -> Result<(), String> {
        let before = plans.last().map_or(0, |plan: &Plan| plan.weight_to);
        let too_much = || self.places.fail(span, "weight", "the weights add up to more than 2^64");
        let weight_to = before.checked_add(weight).ok_or_else(too_much)?;
        plans.push(Plan { weight_to, steps: first..self.steps.len() });
        Ok(())
    }

    fn add_step(
        &mut self,
        placed: &'a toml::Spanned<typed::Request>,
        flow: Option<&str>,
    ) -> Result<(), String> {
        self.limits
            .check(Limit::Steps, self.steps.len() + 1)
            .map_err(|reason| self.places.fail(&placed.span(), "request", &reason))?;
        let request = placed.get_ref();
        let method = request::method(request);
        let own = request.name.clone().unwrap_or_else(|| format!("{method} {}", request.url.get_ref()));
        let name = flow.map_or(own.clone(), |flow| format!("{flow}: {own}"));
        let label = self.label(&name, &placed.span())?;
        let step = self.step(request, method, label)?;
        let names = step.checks.names().chain(request.extract.keys().map(|name| format!("extract {name}")));
        self.check_names.extend(names.map(|check| CheckName { label: name.clone(), check }));
        self.steps.push(step);
        Ok(())
    }

    /// Requests of one name are counted together.
    fn label(&mut self, name: &str, span: &Range<usize>) -> Result<usize, String> {
        if let Some(label) = self.labels.iter().position(|label| label == name) {
            return Ok(label);
        }
        self.limits.check(Limit::Names, self.labels.len() + 1).map_err(|reason| {
            let reason = format!("{reason}, and so do requests of the same name");
            self.places.fail(span, "name", &reason)
        })?;
        self.labels.push(name.to_owned());
        Ok(self.labels.len() - 1)
    }
}
