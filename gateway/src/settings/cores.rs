//! Which cores get a shard: as typed, and checked against what the scheduler allows this process.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::{SettingsError, invalid};

/// `all`, a count, or a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum CoreChoice {
    #[default]
    All,
    /// The first so many allowed cores.
    Count(usize),
    List(BTreeSet<usize>),
}

/// No host has more; keeps `0-4000000000` from being spelled out in memory.
const CORE_ID_MAX: usize = 8_191;

/// The ids that the scheduler lets this process run on.
pub(super) fn allowed() -> Result<Vec<usize>, SettingsError> {
    match core_affinity::get_core_ids() {
        Some(ids) => Ok(ids.into_iter().map(|core| core.id).collect()),
        None => invalid(
            "cores",
            "the system doesn't say which cores this process may use (sched_getaffinity failed); check the \
             container's seccomp profile",
        ),
    }
}

/// Ids for the shards, ascending; each is one of `allowed`.
pub(super) fn select(choice: CoreChoice, allowed: &[usize]) -> Result<Vec<usize>, SettingsError> {
    let mut allowed = allowed.to_vec();
    allowed.sort_unstable();
    match choice {
        CoreChoice::All => Ok(allowed),
        CoreChoice::Count(count) if count > allowed.len() => invalid(
            "cores",
            format!(
                "{count} cores are asked for, but this process may use {} ({}); lower the count, or widen its \
                 affinity (taskset, cpuset, container limits)",
                allowed.len(),
                spelled(&allowed)
            ),
        ),
        CoreChoice::Count(count) => Ok(allowed[..count].to_vec()),
        CoreChoice::List(ids) => match ids.iter().find(|id| !allowed.contains(id)) {
            Some(id) => invalid(
                "cores",
                format!(
                    "core {id} isn't allowed to this process, which may use {}; name others, or widen its \
                     affinity (taskset, cpuset, container limits)",
                    spelled(&allowed)
                ),
            ),
            None => Ok(ids.into_iter().collect()),
        },
    }
}

impl FromStr for CoreChoice {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let typed = typed.trim();
        if typed == "all" {
            return Ok(Self::All);
        }
        if let Ok(count) = typed.parse::<usize>() {
            return Self::count(count);
        }
        let mut ids = BTreeSet::new();
        for item in typed.split(',') {
            let (first, last) = parse_item(item.trim())?;
            for id in first..=last {
                if !ids.insert(id) {
                    return Err(format!("core {id} is listed twice in `{typed}`"));
                }
            }
        }
        Ok(Self::List(ids))
    }
}

impl CoreChoice {
    fn count(count: usize) -> Result<Self, String> {
        match count {
            0 => {
                Err("0 cores would serve nothing; write `all`, a count from 1, or a list such as 0,2-3"
                    .into())
            }
            count => Ok(Self::Count(count)),
        }
    }
}

impl<'de> Deserialize<'de> for CoreChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

struct ChoiceVisitor;

impl Visitor<'_> for ChoiceVisitor {
    type Value = CoreChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\", a count of cores, or a list such as \"0,2-3\"")
    }

    fn visit_str<E: de::Error>(self, typed: &str) -> Result<CoreChoice, E> {
        typed.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<CoreChoice, E> {
        match usize::try_from(count) {
            Ok(count) => CoreChoice::count(count).map_err(E::custom),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(count), &self)),
        }
    }
}

fn parse_item(item: &str) -> Result<(usize, usize), String> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last && last <= CORE_ID_MAX => Ok((first, last)),
        (Ok(_), Ok(last)) if last > CORE_ID_MAX => Err(format!("core ids end at {CORE_ID_MAX}, not {last}")),
        (Ok(first), Ok(last)) => Err(format!("the range {first}-{last} runs backwards")),
        _ => Err(format!(
            "`{item}` is no core; write `all`, a count such as 4, or a list such as 0,2-3 (core 2 alone: 2-2)"
        )),
    }
}

fn spelled(ids: &[usize]) -> String {
    ids.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(typed: &str, allowed: &[usize]) -> Result<Vec<usize>, String> {
        let choice = typed.parse::<CoreChoice>()?;
        select(choice, allowed).map_err(|error| error.to_string())
    }

    #[test]
    fn all_a_count_and_a_list_choose_among_the_allowed() {
        let allowed = [6, 0, 2, 3];
        assert_eq!(choose("all", &allowed).unwrap(), [0, 2, 3, 6]);
        assert_eq!(choose("2", &allowed).unwrap(), [0, 2]);
        assert_eq!(choose("0,2-3", &allowed).unwrap(), [0, 2, 3]);
        assert_eq!(choose(" 6-6 ", &allowed).unwrap(), [6]);
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_what_is() {
        let error = choose("1-2", &[0, 2]).unwrap_err();
        assert!(error.contains("core 1 ") && error.contains("0,2"), "{error}");
        let error = choose("3", &[0, 2]).unwrap_err();
        assert!(error.contains("3 cores") && error.contains("may use 2 (0,2)"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for typed in ["", "0", "-1", "1,,2", "3-1", "1,1", "0-2,2", "a", "0-99999999999", "1.5", "ALL"] {
            assert!(typed.parse::<CoreChoice>().is_err(), "{typed} was taken");
        }
    }
}
