//! Limits of what is read and made before a run: each has a name that ends in what is counted, a default, a highest
//! setting, and two ways to set it: `--limit NAME=N`, and for what scenarios do the `[limits]` table of the file. The
//! command line counts more. What is exceeded is an error that names the limit; nothing is cut off unsaid.

use std::fmt;

use clap::Args;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Steps,
    Variables,
    Names,
    Hosts,
    TemplateBytes,
    ListBytes,
    ListLines,
    RandomTextBytes,
    ExtractedValueBytes,
    ThinkSeconds,
    BodyBytes,
    RandomBodyBytes,
    CredentialsBytes,
    ScenarioBytes,
    HeadBytes,
    MessageBytes,
    FrameBytes,
    LogRequests,
    LogDistinctRequests,
    LogLineBytes,
    OpenapiBytes,
    OpenapiValues,
    OpenapiDepth,
    OpenapiReferences,
    OpenapiSampleDepth,
    OpenapiSampleValues,
}

/// A limit as users know it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub limit: Limit,
    pub name: &'static str,
    pub default: u64,
    /// The highest setting.
    pub most: u64,
    /// What is counted.
    pub what: &'static str,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn rule(limit: Limit, name: &'static str, default: u64, most: u64, what: &'static str) -> Rule {
    Rule { limit, name, default, most, what }
}

/// In the order of [`Limit`]; those of scenarios come first.
pub const RULES: [Rule; 26] = [
    rule(Limit::Steps, "steps_max", 10_000, 10_000_000, "requests and steps of a scenario"),
    rule(Limit::Variables, "variables_max", 1_000, 1_000_000, "variables of a scenario"),
    rule(
        Limit::Names,
        "names_max",
        256,
        100_000,
        "names of requests (each has histograms, up to 1 MiB a thread)",
    ),
    rule(
        Limit::Hosts,
        "hosts_max",
        16,
        1_000,
        "hosts of a scenario (each connection is one for each of them)",
    ),
    rule(Limit::TemplateBytes, "template_bytes_max", 16 * MIB, 4 * GIB, "bytes of a template"),
    rule(
        Limit::ListBytes,
        "list_bytes_max",
        256 * MIB,
        64 * GIB,
        "bytes of a file of values, paths or fields",
    ),
    rule(Limit::ListLines, "list_lines_max", 1_000_000, 1 << 32, "values, paths or fields of a file"),
    rule(Limit::RandomTextBytes, "random_text_bytes_max", MIB, GIB, "characters of string()"),
    rule(
        Limit::ExtractedValueBytes,
        "extracted_value_bytes_max",
        MIB,
        GIB,
        "bytes of a value that is taken out of a reply",
    ),
    rule(
        Limit::ThinkSeconds,
        "think_seconds_max",
        604_800,
        31_622_400,
        "seconds of a think time, or of its mean",
    ),
    rule(
        Limit::BodyBytes,
        "body_bytes_max",
        GIB,
        64 * GIB,
        "bytes of a request's body, or of an expected one",
    ),
    rule(Limit::RandomBodyBytes, "random_body_bytes_max", 64 * MIB, 4 * GIB, "bytes of body_random_bytes"),
    rule(Limit::CredentialsBytes, "credentials_bytes_max", MIB, GIB, "bytes of a file of credentials"),
    rule(Limit::ScenarioBytes, "scenario_bytes_max", 16 * MIB, 4 * GIB, "bytes of a scenario's file"),
    rule(
        Limit::HeadBytes,
        "head_bytes_max",
        64 * 1024,
        16 * MIB,
        "bytes of a reply's head, before and after decompression",
    ),
    rule(
        Limit::MessageBytes,
        "message_bytes_max",
        16 * MIB,
        4 * GIB,
        "bytes of a WebSocket message that is sent",
    ),
    rule(Limit::FrameBytes, "frame_bytes_max", GIB, 1 << 50, "bytes of a WebSocket frame that comes"),
    rule(Limit::LogRequests, "log_requests_max", 50_000_000, 1 << 32, "requests of a log (12 bytes each)"),
    rule(
        Limit::LogDistinctRequests,
        "log_distinct_requests_max",
        1_000_000,
        1 << 31,
        "distinct requests of a log",
    ),
    rule(
        Limit::LogLineBytes,
        "log_line_bytes_max",
        64 * 1024,
        GIB,
        "bytes of a log's line (longer ones are skipped)",
    ),
    rule(Limit::OpenapiBytes, "openapi_bytes_max", 32 * MIB, 4 * GIB, "bytes of an OpenAPI document"),
    rule(
        Limit::OpenapiValues,
        "openapi_values_max",
        2_000_000,
        1 << 32,
        "values of a YAML document, aliases unfolded",
    ),
    rule(Limit::OpenapiDepth, "openapi_depth_max", 100, 500, "levels of nesting in a YAML document"),
    rule(Limit::OpenapiReferences, "openapi_references_max", 32, 10_000, "references in a chain"),
    rule(
        Limit::OpenapiSampleDepth,
        "openapi_sample_depth_max",
        8,
        100,
        "levels of a made body (deeper ones lose what is optional)",
    ),
    rule(
        Limit::OpenapiSampleValues,
        "openapi_sample_values_max",
        2_000,
        1_000_000,
        "values of a made body (further ones are null)",
    ),
];

impl Limit {
    pub fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }

    /// Whether a scenario's `[limits]` may set it: what is checked once the file is read.
    fn is_of_scenarios(self) -> bool {
        (self as usize) < Self::ScenarioBytes as usize
    }

    fn named(name: &str) -> Result<&'static Rule, String> {
        RULES
            .iter()
            .find(|rule| rule.name == name)
            .ok_or_else(|| format!("there is no limit '{name}': 'turnpike-loadgen limits' lists them"))
    }
}

impl Rule {
    fn check(&self, value: u64) -> Result<(), String> {
        match (1..=self.most).contains(&value) {
            true => Ok(()),
            false => Err(format!("{}: 1 to {}", self.name, self.most)),
        }
    }
}

/// A limit that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    limit: Limit,
    value: u64,
}

impl Setting {
    /// `NAME=N`
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("'{text}' is not NAME=N, as in list_lines_max=5000000"))?;
        let rule = Limit::named(name.trim())?;
        let value = value.trim();
        let value = value.parse().map_err(|_| format!("{}: '{value}' is not a whole number", rule.name))?;
        rule.check(value)?;
        Ok(Self { limit: rule.limit, value })
    }
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Set a limit of what is read and made, as in list_lines_max=5000000; repeatable; 'turnpike-loadgen limits' lists
    /// them
    #[arg(long = "limit", value_name = "NAME=N", value_parser = Setting::parse)]
    pub settings: Vec<Setting>,
}

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for Setting { limit, value } in &self.settings {
            limits.values[*limit as usize] = *value;
            limits.given[*limit as usize] = true;
        }
        limits
    }
}

/// The limits that hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    values: [u64; RULES.len()],
    /// By the command line.
    given: [bool; RULES.len()],
}

impl Default for Limits {
    fn default() -> Self {
        Self { values: RULES.map(|rule| rule.default), given: [false; RULES.len()] }
    }
}

impl Limits {
    pub fn of(&self, limit: Limit) -> u64 {
        self.values[limit as usize]
    }

    /// The same as a number of things in memory.
    pub fn count(&self, limit: Limit) -> usize {
        usize::try_from(self.of(limit)).unwrap_or(usize::MAX)
    }

    /// Sets one as a scenario's `[limits]` says, unless the command line has set it.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), String> {
        let rule = Limit::named(name)?;
        if !rule.limit.is_of_scenarios() {
            return Err(format!("{name} is no scenario's: set it with --limit {name}=N"));
        }
        rule.check(value)?;
        if !self.given[rule.limit as usize] {
            self.values[rule.limit as usize] = value;
        }
        Ok(())
    }

    /// That there are no more than the limit. Errors are sentences for the user.
    pub fn check(&self, limit: Limit, amount: usize) -> Result<(), String> {
        if amount as u64 > self.of(limit) { Err(self.refusal(limit)) } else { Ok(()) }
    }

    /// What is said where there are more.
    pub fn refusal(&self, limit: Limit) -> String {
        let Rule { name, what, .. } = limit.rule();
        format!("more than {} {what}; --limit {name}=N allows more", self.of(limit))
    }
}

/// All limits, for people.
#[derive(Debug, Clone, Copy)]
pub struct Listing;

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Set with --limit NAME=N; the first {} also in a scenario, as [limits].",
            Limit::ScenarioBytes as usize
        )?;
        writeln!(f, "\n  {:<28} {:>12} {:>17}   what is counted", "name", "default", "at most")?;
        for Rule { name, default, most, what, .. } in RULES {
            writeln!(f, "  {name:<28} {default:>12} {most:>17}   {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_at_their_limits_places_and_say_what_is_counted() {
        for (place, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.limit as usize, place, "{}", rule.name);
            assert!(rule.name.ends_with("_max") && rule.default <= rule.most, "{}", rule.name);
            assert!(Listing.to_string().contains(rule.what));
        }
    }

    #[test]
    fn the_command_line_counts_more_than_the_file() {
        let args = LimitArgs { settings: vec![Setting::parse("steps_max = 5").unwrap()] };
        let mut limits = args.limits();
        limits.set("steps_max", 7).unwrap();
        limits.set("hosts_max", 7).unwrap();
        assert_eq!((limits.of(Limit::Steps), limits.of(Limit::Hosts)), (5, 7));
        assert_eq!(limits.of(Limit::Variables), 1_000);
        assert_eq!(limits.check(Limit::Hosts, 7), Ok(()));
        let refusal = limits.check(Limit::Steps, 6).unwrap_err();
        assert_eq!(refusal, "more than 5 requests and steps of a scenario; --limit steps_max=N allows more");
    }

    #[test]
    fn what_can_not_be_set_is_refused() {
        let cases = [
            ("steps_max", "not NAME=N"),
            ("step_max=1", "no limit 'step_max'"),
            ("steps_max=0", "steps_max: 1 to 10000000"),
            ("steps_max=many", "not a whole number"),
            ("openapi_depth_max=501", "openapi_depth_max: 1 to 500"),
        ];
        for (setting, reason) in cases {
            let error = Setting::parse(setting).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let mut limits = Limits::default();
        assert!(limits.set("scenario_bytes_max", 1).unwrap_err().contains("--limit scenario_bytes_max=N"));
        assert!(limits.set("steps", 1).unwrap_err().contains("no limit 'steps'"));
        assert!(limits.set("steps_max", 0).is_err());
    }
}
