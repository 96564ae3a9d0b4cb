//! `turnpike-loadgen import-openapi`: an OpenAPI document (3.0, 3.1) or a Swagger 2 one as a scenario to start from.
//!
//! Each operation becomes a request: parameters and bodies from the document's examples, else made to fit the types; the
//! statuses that it calls a success are expected; what has to be filled in (keys, tokens) is a variable with a comment.
//! What can't be brought over stands in the scenario as a comment, never left out unsaid.

mod document;
mod operation;
mod sample;
mod security;
mod write;
mod yaml;

use std::path::PathBuf;

use clap::Args;

use crate::limits::{Limit, LimitArgs, Limits};
use crate::list::read_text;
use document::Document;

/// Write a scenario from an OpenAPI document (3.0, 3.1 or Swagger 2; JSON or YAML) to standard output
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The document
    pub file: PathBuf,

    /// Where the API is, in place of the document's server
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    #[command(flatten)]
    pub limits: LimitArgs,
}

impl ImportArgs {
    /// The scenario's text. Errors are sentences for the user.
    pub fn run(&self) -> Result<String, String> {
        let in_file = |reason: String| format!("{}: {reason}", self.file.display());
        let limits = self.limits.limits();
        let text = read_text(&self.file, &limits, Limit::OpenapiBytes)?;
        import(&text, self.base_url.as_deref(), &limits).map_err(in_file)
    }
}

/// The scenario of a document's text.
pub fn import(text: &str, base_url: Option<&str>, limits: &Limits) -> Result<String, String> {
    let document = Document::parse(text, limits)?;
    let operations = operation::operations(&document)?;
    if operations.is_empty() {
        return Err("the document has no operation".to_owned());
    }
    if let Some(url) = base_url {
        crate::target::Url::parse(url).map_err(|reason| format!("--base-url: {reason}"))?;
    }
    Ok(write::scenario(&document, &operations, base_url))
}

#[cfg(test)]
mod tests;
