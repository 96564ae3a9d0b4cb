//! Where something stands in a document: a JSON pointer (RFC 6901).

use std::sync::Arc;

/// From the document's root. A place costs its own name only, whatever stands above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(Option<Arc<Step>>);

#[derive(Debug, PartialEq, Eq)]
struct Step {
    above: Place,
    name: String,
}

impl Place {
    #[must_use]
    pub fn at(&self, name: &str) -> Self {
        Self(Some(Arc::new(Step { above: self.clone(), name: name.to_owned() })))
    }

    #[must_use]
    pub fn item(&self, at: usize) -> Self {
        self.at(&at.to_string())
    }

    fn write_below(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(step) = &self.0 else { return Ok(()) };
        step.above.write_below(f)?;
        write!(f, "/{}", step.name.replace('~', "~0").replace('/', "~1"))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_none() { f.write_str("/") } else { self.write_below(f) }
    }
}
