//! Routing rules of a custom domain name: which requests go to which stage, by headers and base paths (AWS: 'Routing rules
//! to connect API stages to a custom domain name').

use serde::{Deserialize, Serialize};

use super::Entity;

pub const PRIORITY_MAX: u32 = 1_000_000;
/// AWS's bounds of a rule's conditions.
pub const HEADER_CONDITIONS_MAX: usize = 2;
const HEADER_NAME_CHARS_MAX: usize = 40;
const HEADER_GLOB_CHARS_MAX: usize = 128;
const BASE_PATH_CHARS_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingRule {
    pub id: String,
    pub domain: String,
    /// 1 to [`PRIORITY_MAX`]; no other rule of the domain has it, and the lowest that matches decides.
    pub priority: u32,
    /// All have to hold: at most two of headers, and one of base paths.
    pub conditions: Vec<RoutingCondition>,
    pub api_id: String,
    pub stage: String,
    /// The base path is taken off before the stage looks for a route.
    pub strip_base_path: bool,
}

/// Holds where one of its entries matches; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutingCondition {
    Headers(Vec<HeaderGlob>),
    /// Whole leading segments of the path.
    BasePaths(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderGlob {
    /// As the user wrote it; its case doesn't matter.
    pub header: String,
    /// A `*` at either end stands for anything.
    pub value_glob: String,
}

/// What of a domain leads to stages. The two versions of the API call its middle differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RoutingMode {
    #[default]
    Mappings,
    Rules,
    RulesThenMappings,
}

impl RoutingMode {
    const ALL: [Self; 3] = [Self::Mappings, Self::Rules, Self::RulesThenMappings];

    /// AWS's word; `mapping` is `API_MAPPING` in version 2 of the API, `BASE_PATH_MAPPING` in version 1.
    #[must_use]
    pub fn name(self, mapping: &str) -> String {
        match self {
            Self::Mappings => format!("{mapping}_ONLY"),
            Self::Rules => "ROUTING_RULE_ONLY".to_owned(),
            Self::RulesThenMappings => format!("ROUTING_RULE_THEN_{mapping}"),
        }
    }

    /// # Errors
    /// Names the modes that there are.
    pub fn of_name(name: &str, mapping: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.name(mapping) == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|mode| mode.name(mapping)).join(", ");
            format!("routingMode has to be one of {names}, not '{name}'")
        })
    }

    #[must_use]
    pub fn uses_rules(self) -> bool {
        matches!(self, Self::Rules | Self::RulesThenMappings)
    }

    #[must_use]
    pub fn uses_mappings(self) -> bool {
        matches!(self, Self::Mappings | Self::RulesThenMappings)
    }
}

impl RoutingRule {
    /// As its second name: sorted as text, priorities are in order.
    #[must_use]
    pub fn priority_name(priority: u32) -> String {
        format!("{priority:07}")
    }
}

impl Entity for RoutingRule {
    const KIND: &'static str = "routing-rule";

    fn id(&self) -> &str {
        &self.id
    }

    fn owner(&self) -> &str {
        &self.domain
    }

    fn name(&self) -> Option<String> {
        Some(Self::priority_name(self.priority))
    }

    fn uses(&self) -> Option<&str> {
        Some(&self.api_id)
    }
}

/// # Errors
/// Says what a header condition's entry has to look like.
pub fn check_header_glob(glob: &HeaderGlob) -> Result<(), String> {
    let HeaderGlob { header, value_glob } = glob;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"*?-!#$%&'.^_`|~".contains(&b);
    let fits =
        |text: &str, chars_max: usize| (1..=chars_max).contains(&text.len()) && text.bytes().all(is_token);
    if !fits(header, HEADER_NAME_CHARS_MAX) || header.contains(['*', '?']) {
        return Err(format!(
            "A header of matchHeaders has 1 to {HEADER_NAME_CHARS_MAX} characters of a-z, A-Z, 0-9 and -!#$%&'.^_`|~: '{header}'"
        ));
    }
    let inner = value_glob.strip_prefix('*').unwrap_or(value_glob);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    if !fits(value_glob, HEADER_GLOB_CHARS_MAX) || inner.contains('*') {
        return Err(format!(
            "A valueGlob of matchHeaders has 1 to {HEADER_GLOB_CHARS_MAX} characters of a-z, A-Z, 0-9 and *?-!#$%&'.^_`|~, and a \
             * only at its beginning or end: '{value_glob}'"
        ));
    }
    Ok(())
}

/// # Errors
/// Says what a base path condition's entry has to look like.
pub fn check_base_path(path: &str) -> Result<(), String> {
    if (1..=BASE_PATH_CHARS_MAX).contains(&path.len()) && super::check_mapping_key(path).is_ok() {
        return Ok(());
    }
    Err(format!(
        "A base path of matchBasePaths has 1 to {BASE_PATH_CHARS_MAX} characters: segments of letters, digits and \
         $-_.+!*'(), without '/' at either end: '{path}'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_have_stars_at_their_ends() {
        let check = |header: &str, value_glob: &str| {
            check_header_glob(&HeaderGlob { header: header.to_owned(), value_glob: value_glob.to_owned() })
        };
        for value in ["beta", "a*", "*a", "*a*", "*", "**", "Dog-?"] {
            assert_eq!(check("x-Version", value), Ok(()), "{value}");
        }
        for value in ["", "a*b", "*a*b*", "a b", "a/b", "é", &"x".repeat(129)] {
            assert!(check("x-version", value).is_err(), "{value}");
        }
        for header in ["", "a*", "a?", "a b", "a:b", &"x".repeat(41)] {
            assert!(check(header, "x").is_err(), "{header}");
        }
    }

    #[test]
    fn base_paths_are_segments() {
        for path in ["users", "a/b", "PetStoreShopper"] {
            assert_eq!(check_base_path(path), Ok(()), "{path}");
        }
        for path in ["", "/users", "users/", "a//b", "a b", &"x".repeat(129)] {
            assert!(check_base_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn modes_read_back() {
        for mode in RoutingMode::ALL {
            for mapping in ["API_MAPPING", "BASE_PATH_MAPPING"] {
                assert_eq!(RoutingMode::of_name(&mode.name(mapping), mapping), Ok(mode));
            }
        }
        assert!(RoutingMode::of_name("API_MAPPING_ONLY", "BASE_PATH_MAPPING").is_err());
    }

    #[test]
    fn priorities_sort_as_text() {
        assert!(RoutingRule::priority_name(9) < RoutingRule::priority_name(10));
        assert!(RoutingRule::priority_name(999_999) < RoutingRule::priority_name(PRIORITY_MAX));
    }
}
