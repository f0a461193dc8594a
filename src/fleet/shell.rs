//! A command as a shell reads it, whose shell is to give way to the program: it would stand between rtbench and the server, with
//! memory and a life of its own. Few shells do that by themselves, so they are told to.

/// First words of what is no program, or behind which the shell has something left to do.
const OF_THE_SHELL: [&str; 24] = [
    "!", "{", "}", "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "exec", "eval", ".", "cd", "exit", "set", "ulimit", "umask", "wait",
];

/// The line with `exec` before its last command, if that is all that the shell would still have to do; otherwise as it is.
pub(super) fn giving_way(line: &str) -> String {
    match last_program(line) {
        Some(at) => format!("{}exec {}", &line[..at], &line[at..]),
        None => line.to_owned(),
    }
}

/// Where the last program of a list stands, behind the variables that are set for it; `None` for what is more than a list of
/// commands, or not to be told in passing.
fn last_program(line: &str) -> Option<usize> {
    let mut program = None;
    for piece in pieces(line)? {
        match piece {
            Piece::Next => program = None,
            // What a trap says is done at the end.
            Piece::Word(_, text) if text == "trap" || text.starts_with('#') => return None,
            Piece::Word(at, text) if program.is_none() && !sets_variable(text) => program = Some((at, text)),
            Piece::Word(..) => {}
        }
    }
    let (at, text) = program?;
    (!OF_THE_SHELL.contains(&text)).then_some(at)
}

enum Piece<'a> {
    /// A word with its place, as it stands there.
    Word(usize, &'a str),
    /// Another command begins.
    Next,
}

/// The words of a list of commands; `None` if it has pipes, jobs, subshells or documents in it.
fn pieces(line: &str) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while let Some(character) = line[at..].chars().next() {
        at = match character {
            ' ' | '\t' => at + 1,
            ';' | '\n' | '&' | '|' => {
                let operator =
                    ["&&", "||", ";", "\n"].into_iter().find(|&text| line[at..].starts_with(text))?;
                pieces.push(Piece::Next);
                at + operator.len()
            }
            _ => {
                let end = word_end(line, at)?;
                pieces.push(Piece::Word(at, &line[at..end]));
                end
            }
        };
    }
    Some(pieces)
}

/// Where the word ends that begins at `at`.
fn word_end(line: &str, at: usize) -> Option<usize> {
    let (mut quote, mut before) = (None, ' ');
    let mut characters = line[at..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match (quote, character) {
            (Some(mark), _) if mark == character => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(characters.next()),
            (_, '`') => return None,
            (_, '(') if quote.is_none() || before == '$' => return None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, ')') => return None,
            (None, '<') if before == '<' => return None,
            // As in `2>&1`.
            (None, '&') if matches!(before, '<' | '>') => {}
            (None, ' ' | '\t' | '\n' | ';' | '&' | '|') => return Some(at + offset),
            (None, _) => {}
        }
        before = character;
    }
    quote.is_none().then_some(line.len())
}

fn sets_variable(word: &str) -> bool {
    let of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    word.split_once('=').is_some_and(|(name, _)| {
        name.chars().all(of_name) && name.starts_with(|first: char| !first.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gives_way_where_nothing_is_left_for_it_to_do() {
        for (line, told) in [
            ("server --port 80", "exec server --port 80"),
            ("A=b LOG=\"x y\" server", "A=b LOG=\"x y\" exec server"),
            ("cd app && A=b ./server", "cd app && A=b exec ./server"),
            ("ulimit -n 100; a || server > log 2>&1", "ulimit -n 100; a || exec server > log 2>&1"),
            ("echo 'a; b' \"c && d\" e\\;f", "exec echo 'a; b' \"c && d\" e\\;f"),
            ("sh -c \"(setsid a &); exec b\"", "exec sh -c \"(setsid a &); exec b\""),
            ("taskset -c 0 server --x=1", "exec taskset -c 0 server --x=1"),
            ("  >log server", "  exec >log server"),
            ("caf\u{e9} \u{1f44d}", "exec caf\u{e9} \u{1f44d}"),
        ] {
            assert_eq!(giving_way(line), told);
        }
    }

    #[test]
    fn whatever_is_more_than_a_list_of_commands_is_left_to_it() {
        for line in [
            "",
            "   ",
            "A=b",
            "server | tee log",
            "server & wait",
            "server &",
            "exec server",
            "server;",
            "(server)",
            "cd app",
            "if true; then server; fi",
            "for i in 1; do server; done",
            "{ server; }",
            "trap 'rm x' EXIT; server",
            "a $(b) c",
            "a \"$(b)\"",
            "a `b`",
            "cat <<END\nx\nEND",
            "server # and so on",
            "a 'b",
            "! server",
            "server &> log",
            "server >| log",
        ] {
            assert_eq!(giving_way(line), line);
        }
    }

    /// It still does what it did.
    #[test]
    fn fuzz_lines() {
        let right: [&[u8]; 4] = [
            b"cd app && A=b ./server > log 2>&1",
            b"echo 'a; b' \"c && d $(e)\" e\\;f || (g; h) | i &",
            b"if true; then server; fi; for x in 1 2; do y; done",
            "caf\u{e9}=1 \u{1f44d} <<END\nx\n".as_bytes(),
        ];
        crate::fuzz::fuzz(&right, |input, _| {
            let line = String::from_utf8_lossy(input);
            let told = giving_way(&line);
            assert!(
                told == line || told.replacen("exec ", "", 1) == line || line.contains("exec "),
                "{told}"
            );
        });
    }
}
