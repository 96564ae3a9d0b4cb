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

use crate::scenario::read_limited;
use document::Document;

/// Largest document.
const DOCUMENT_BYTES_MAX: u64 = 32 << 20;

/// Write a scenario from an OpenAPI document (3.0, 3.1 or Swagger 2; JSON or YAML) to standard output
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The document
    pub file: PathBuf,

    /// Where the API is, in place of the document's server
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
}

impl ImportArgs {
    /// The scenario's text. Errors are sentences for the user.
    pub fn run(&self) -> Result<String, String> {
        let in_file = |reason: String| format!("{}: {reason}", self.file.display());
        let content = read_limited(&self.file, DOCUMENT_BYTES_MAX)?;
        let text = String::from_utf8(content).map_err(|_| in_file("the file isn't UTF-8".to_owned()))?;
        import(&text, self.base_url.as_deref()).map_err(in_file)
    }
}

/// The scenario of a document's text.
pub fn import(text: &str, base_url: Option<&str>) -> Result<String, String> {
    let document = Document::parse(text)?;
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
