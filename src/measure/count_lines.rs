//! Counts the code of a module.

/// Lines that are neither blank nor comment, outside of test modules.
pub(crate) fn lines(source: &str) -> usize {
    code(source).count()
}

/// Which of `crates` the code names, as `name::` or in a `use`.
pub(crate) fn crates_used<'a>(source: &str, crates: &[&'a str]) -> Vec<&'a str> {
    let code: Vec<&str> = code(source).collect();
    let named = |name: &&&str| code.iter().any(|line| names(line, name));
    crates.iter().filter(named).copied().collect()
}

/// Modules in files of their own that only tests have.
pub(crate) fn test_modules(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let declared = |pair: &[&str]| {
        let name = pair[1].strip_prefix("mod ")?.strip_suffix(';')?;
        (pair[0] == "#[cfg(test)]").then(|| name.to_owned())
    };
    lines.windows(2).filter_map(declared).collect()
}

/// The lines of code. rustfmt's layout is relied on: a module at the left margin ends with a brace there.
fn code(source: &str) -> impl Iterator<Item = &str> {
    let mut comment = false;
    let mut pending_test = false;
    let mut in_test = false;
    source.lines().filter(move |line| {
        let text = line.trim();
        if in_test {
            in_test = *line != "}";
            return false;
        }
        if pending_test {
            pending_test = text.starts_with("#[");
            in_test = line.starts_with("mod ") && line.ends_with('{');
            return false;
        }
        if *line == "#[cfg(test)]" {
            pending_test = true;
            return false;
        }
        if comment {
            comment = !text.contains("*/");
            return false;
        }
        if text.starts_with("/*") {
            comment = !text.contains("*/");
            return false;
        }
        !text.is_empty() && !text.starts_with("//")
    })
}

/// Whether a line names a crate: the name as a whole word, before `::` or as all of a `use`.
fn names(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        let starts = !before.is_some_and(|c| word(c) || c == ':' || c == '.');
        starts
            && (after.starts_with("::") || (line.trim_start().starts_with("use ") && after.starts_with(';')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"//! Doc.

use http::Request;
use std::io; // a trailing comment is on a line of code

/* a block
   of comment */
/// Doc of an item.
pub fn f(request: &Request<()>) -> bytes::Bytes {
    // a comment
    self::bytes::Bytes::new()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    #[test]
    fn t() {
    }
}

fn g() {}
"#;

    #[test]
    fn only_code_counts() {
        assert_eq!(lines(SOURCE), 6);
        assert_eq!(lines(""), 0);
        assert_eq!(lines("#[cfg(test)]\nmod tests;\nfn f() {}\n"), 1);
    }

    #[test]
    fn test_modules_are_known_by_their_declaration() {
        assert_eq!(
            test_modules("mod peer;\n#[cfg(test)]\nmod simulated;\n#[cfg(test)]\nmod tests {\n}\n"),
            ["simulated"]
        );
    }

    #[test]
    fn only_crates_that_the_code_names_count() {
        let crates = ["bytes", "http", "serde_json", "io", "ttp", "hyper"];
        assert_eq!(crates_used(SOURCE, &crates), ["bytes", "http"]);
        assert_eq!(crates_used("use hyper;", &crates), ["hyper"]);
        assert_eq!(crates_used("let x = a.bytes::<u8>();", &crates), Vec::<&str>::new());
    }
}
