//! Files that the command line and scenarios name, read whole and no further than a limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::limits::{Limit, Limits};

/// The whole of a file that isn't larger than that. Errors begin with its name.
pub(crate) fn read_limited(file: &Path, limits: &Limits, limit: Limit) -> Result<Vec<u8>, String> {
    let in_file = |reason: String| format!("{}: {reason}", file.display());
    let mut content = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(limits.of(limit) + 1).read_to_end(&mut content))
        .map_err(|error| in_file(error.to_string()))?;
    limits.check(limit, content.len()).map_err(in_file)?;
    Ok(content)
}

/// The same as text.
pub(crate) fn read_text(file: &Path, limits: &Limits, limit: Limit) -> Result<String, String> {
    String::from_utf8(read_limited(file, limits, limit)?)
        .map_err(|_| format!("{}: the file isn't UTF-8", file.display()))
}

/// What an option says: the text itself, or behind an `@` the name of a file that holds it; whether it was a file.
pub(crate) fn text_or_file(text: &str, limits: &Limits, limit: Limit) -> Result<(Vec<u8>, bool), String> {
    match text.strip_prefix('@') {
        Some(file) => Ok((read_limited(Path::new(file), limits, limit)?, true)),
        None => Ok((text.as_bytes().to_vec(), false)),
    }
}

/// What the lines of a file say.
pub(crate) fn read_list<T>(
    file: &Path,
    limits: &Limits,
    parse: fn(&str) -> Result<Vec<T>, String>,
) -> Result<Vec<T>, String> {
    let in_file = |reason: String| format!("{}: {reason}", file.display());
    let entries = parse(&read_text(file, limits, Limit::ListBytes)?).map_err(in_file)?;
    limits.check(Limit::ListLines, entries.len()).map_err(in_file)?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LimitArgs, Setting};

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\nb\nc\n").unwrap();
        let read = |setting: &str| {
            let limits = LimitArgs { settings: vec![Setting::parse(setting).unwrap()] }.limits();
            let lines = |text: &str| Ok(text.lines().map(str::to_owned).collect());
            read_list(file.path(), &limits, lines)
        };
        assert_eq!(read("list_bytes_max=6").unwrap().len(), 3);
        let error = read("list_bytes_max=5").unwrap_err();
        assert!(
            error.starts_with(&file.path().display().to_string()) && error.contains("more than 5 bytes"),
            "{error}"
        );
        assert!(read("list_lines_max=2").unwrap_err().contains("--limit list_lines_max=N"));
        let at = format!("@{}", file.path().display());
        let limits = Limits::default();
        assert_eq!(text_or_file(&at, &limits, Limit::BodyBytes), Ok((b"a\nb\nc\n".to_vec(), true)));
        assert_eq!(text_or_file("a@b", &limits, Limit::BodyBytes), Ok((b"a@b".to_vec(), false)));
    }
}
