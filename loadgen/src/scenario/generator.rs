//! The functions of templates: values made anew at each place and time. What a function needs is checked and read when
//! the scenario is loaded, so that making a value can't fail.

use std::path::Path;

use super::random::Random;
use crate::coding::hex;
use crate::limits::{Limit, Limits};
use crate::list::read_list;

const FUNCTIONS: &str = "sequence(first, last), user_sequence(first, last), integer(least, most), pick(a, b, …), \
     pick_line(file), next_line(file), uuid(), string(length[, alphabet]), env(NAME), braces()";

/// What makes values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Generator {
    /// The same always.
    Fixed(String),
    /// The numbers in turn, then from the first again.
    Sequence {
        first: i64,
        numbers: u64,
        of: Turn,
    },
    /// The lines in turn.
    Lines(Vec<Box<str>>),
    Integer {
        least: i64,
        numbers: u64,
    },
    Pick(Vec<Box<str>>),
    /// A version 4 UUID (RFC 9562).
    Uuid,
    Text {
        length: usize,
        alphabet: Vec<u8>,
    },
}

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// All users together.
    Run,
    User,
}

/// Turns that have been taken. A reactor takes one residue class of the run's turns (its own index, then each so many
/// reactors on), so that all together take each turn once and share nothing.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    taken: Vec<u64>,
    first: u64,
    step: u64,
}

impl Turns {
    /// For so many generators, of reactor `index` of `reactors`.
    pub(super) fn new(generators: usize, index: usize, reactors: usize) -> Self {
        Self { taken: vec![0; generators], first: index as u64, step: reactors as u64 }
    }

    fn take(&mut self, generator: usize) -> u64 {
        let turn = self.first + self.taken[generator] * self.step;
        self.taken[generator] += 1;
        turn
    }
}

impl Generator {
    /// Checks a call. Files are looked for in `folder`.
    pub(super) fn new(
        function: &str,
        arguments: &[String],
        folder: &Path,
        limits: &Limits,
    ) -> Result<Self, String> {
        let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match (function, texts.as_slice()) {
            ("sequence", [first, last]) => Self::sequence(first, last, Turn::Run),
            ("user_sequence", [first, last]) => Self::sequence(first, last, Turn::User),
            ("integer", [least, most]) => {
                let (least, numbers) = range(least, most)?;
                Ok(Self::Integer { least, numbers })
            }
            ("pick", [_, ..]) => Ok(Self::Pick(texts.iter().map(|text| (*text).into()).collect())),
            ("pick_line", [file]) => Ok(Self::Pick(read_list(&folder.join(file), limits, lines)?)),
            ("next_line", [file]) => Ok(Self::Lines(read_list(&folder.join(file), limits, lines)?)),
            ("uuid", []) => Ok(Self::Uuid),
            ("string", [length]) => Self::text(length, "alphanumeric", limits),
            ("string", [length, alphabet]) => Self::text(length, alphabet, limits),
            ("env", [name]) => match std::env::var(name) {
                Ok(value) => Ok(Self::Fixed(value)),
                Err(std::env::VarError::NotPresent) => Err(format!("the environment has no {name}")),
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(format!("{name} in the environment isn't UTF-8"))
                }
            },
            ("braces", []) => Ok(Self::Fixed("{{".to_owned())),
            _ => Err(format!(
                "there is no function {function} with {} arguments; there are {FUNCTIONS}",
                texts.len()
            )),
        }
    }

    fn sequence(first: &str, last: &str, of: Turn) -> Result<Self, String> {
        let (first, numbers) = range(first, last)?;
        Ok(Self::Sequence { first, numbers, of })
    }

    fn text(length: &str, alphabet: &str, limits: &Limits) -> Result<Self, String> {
        let Ok(length @ 1..) = length.parse::<usize>() else {
            return Err(format!("the length '{length}' is not a number from 1 on"));
        };
        limits.check(Limit::RandomTextBytes, length)?;
        let alphabet: Vec<u8> = match alphabet {
            "alphanumeric" => (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').collect(),
            "hex" => b"0123456789abcdef".to_vec(),
            "digits" => (b'0'..=b'9').collect(),
            "letters" => (b'a'..=b'z').collect(),
            other => {
                return Err(format!("'{other}' is no alphabet: alphanumeric, hex, digits or letters"));
            }
        };
        Ok(Self::Text { length, alphabet })
    }

    /// Appends the next value; `index` is the generator's among the scenario's.
    pub(super) fn append(
        &self,
        index: usize,
        random: &mut Random,
        run: &mut Turns,
        user: &mut Turns,
        out: &mut String,
    ) {
        match self {
            Self::Fixed(text) => out.push_str(text),
            Self::Sequence { first, numbers, of } => {
                let turn = match of {
                    Turn::Run => run.take(index),
                    Turn::User => user.take(index),
                };
                append_number(first.wrapping_add((turn % numbers) as i64), out);
            }
            Self::Lines(lines) => {
                let turn = run.take(index) % lines.len() as u64;
                out.push_str(&lines[turn as usize]);
            }
            Self::Integer { least, numbers } => {
                append_number(least.wrapping_add(random.below(*numbers) as i64), out);
            }
            Self::Pick(texts) => {
                let text = &texts[random.below(texts.len() as u64) as usize];
                out.push_str(text);
            }
            Self::Uuid => append_uuid(random, out),
            Self::Text { length, alphabet } => {
                out.extend(
                    (0..*length).map(|_| char::from(alphabet[random.below(alphabet.len() as u64) as usize])),
                );
            }
        }
    }
}

fn append_number(number: i64, out: &mut String) {
    if number < 0 {
        out.push('-');
    }
    let mut digits = ['0'; 20];
    let mut at = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = char::from(b'0' + (left % 10) as u8);
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend(&digits[at..]);
}

fn append_uuid(random: &mut Random, out: &mut String) {
    let mut bytes = [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
    out.push_str(&groups.join("-"));
}

/// The first number and how many there are.
fn range(first: &str, last: &str) -> Result<(i64, u64), String> {
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("'{text}' is not a whole number"));
    let (first, last) = (number(first)?, number(last)?);
    match u64::try_from(i128::from(last) - i128::from(first) + 1) {
        Ok(numbers @ 1..) => Ok((first, numbers)),
        _ => Err(format!("the range from {first} to {last} holds nothing, or more than can be counted")),
    }
}

/// Values, one a line.
fn lines(text: &str) -> Result<Vec<Box<str>>, String> {
    let lines: Vec<Box<str>> = text.lines().filter(|line| !line.is_empty()).map(Into::into).collect();
    if lines.is_empty() {
        return Err("the file holds no line that isn't empty".to_owned());
    }
    match lines.iter().position(|line| line.chars().any(|c| c.is_control() && c != '\t')) {
        // The line itself may be a key.
        Some(at) => Err(format!("value {} holds a control character", at + 1)),
        None => Ok(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(function: &str, arguments: &[&str]) -> Result<Generator, String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Generator::new(function, &arguments, Path::new("/nonexistent"), &Limits::default())
    }

    fn values(generator: &Generator, reactor: (usize, usize), count: usize) -> Vec<String> {
        let (mut random, mut user) = (Random::new(1, 1), Turns::new(1, 0, 1));
        let mut run = Turns::new(1, reactor.0, reactor.1);
        let mut value = || {
            let mut out = String::new();
            generator.append(0, &mut random, &mut run, &mut user, &mut out);
            out
        };
        (0..count).map(|_| value()).collect()
    }

    #[test]
    fn reactors_together_take_each_turn_once() {
        let sequence = generator("sequence", &["-1", "4"]).unwrap();
        let mut all: Vec<i64> = (0..3)
            .flat_map(|index| values(&sequence, (index, 3), 4))
            .map(|value| value.parse().unwrap())
            .collect();
        all.sort_unstable();
        assert_eq!(all, [-1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        let own = generator("user_sequence", &["1", "2"]).unwrap();
        assert_eq!(values(&own, (2, 3), 3), ["1", "2", "1"]);
    }

    #[test]
    fn random_values_are_of_their_kind() {
        let all = |function: &str, arguments: &[&str]| {
            values(&generator(function, arguments).unwrap(), (0, 1), 200)
        };
        assert!(all("integer", &["-5", "5"]).iter().all(|v| (-5..=5).contains(&v.parse::<i64>().unwrap())));
        let picks = all("pick", &["a", "b c"]);
        assert!(picks.contains(&"a".to_owned()) && picks.contains(&"b c".to_owned()));
        let whole = format!("{}", i64::MIN);
        assert!(all("integer", &[&whole, &format!("{}", i64::MAX - 1)]).iter().any(|v| v.starts_with('-')));
        for uuid in all("uuid", &[]) {
            assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
            assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
        }
        assert!(all("string", &["12", "hex"]).iter().all(|v| v.len() == 12 && !v.contains('g')));
        assert_eq!(all("braces", &[])[0], "{{");
    }

    #[test]
    fn lines_of_a_file_are_taken_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys"), "a\n\nb\r\nc").unwrap();
        let new =
            |function| Generator::new(function, &["keys".to_owned()], folder.path(), &Limits::default());
        let new = |function| new(function).unwrap();
        assert_eq!(values(&new("next_line"), (1, 2), 3), ["b", "a", "c"]);
        assert!(values(&new("pick_line"), (0, 1), 50).contains(&"c".to_owned()));
        std::fs::write(folder.path().join("keys"), "a\nse\x01cret\n").unwrap();
        let error =
            Generator::new("next_line", &["keys".to_owned()], folder.path(), &Limits::default()).unwrap_err();
        assert!(error.contains("value 2") && !error.contains("cret"), "{error}");
    }

    #[test]
    fn calls_that_make_no_sense_are_refused() {
        let cases: [(&str, &[&str], &str); 10] = [
            ("sequence", &["1"], "no function sequence with 1"),
            ("sequence", &["5", "1"], "holds nothing"),
            ("integer", &["a", "1"], "'a' is not a whole number"),
            ("pick", &[], "no function pick with 0"),
            ("rand", &[], "there are sequence"),
            ("string", &["0"], "from 1 on"),
            ("string", &["9999999"], "--limit random_text_bytes_max=N"),
            ("string", &["4", "greek"], "no alphabet"),
            ("env", &["TURNPIKE_SURELY_UNSET"], "environment has no"),
            ("next_line", &["keys"], "/nonexistent/keys"),
        ];
        for (function, arguments, reason) in cases {
            let error = generator(function, arguments).unwrap_err();
            assert!(error.contains(reason), "{function}: {error}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, -7, 1_234_567_890_123, i64::MIN, i64::MAX] {
            let mut out = String::new();
            append_number(number, &mut out);
            assert_eq!(out, number.to_string());
        }
    }
}
