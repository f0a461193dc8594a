//! Where the run came from: the command, the host, the scenario; enough to do it again.

use super::markup::{Content, details, escape, section, table};
use crate::measure::run::{Run, Swept};
use crate::report::command_line;
use crate::report::terminal::bytes;

/// The section.
pub(super) fn origin(run: &Run) -> String {
    let mut body = format!("<h3>Command</h3>\n<pre>{}</pre>\n", escape(&command_line(run)));
    body += &format!("<h3>Run</h3>\n{}", facts(&about(run)));
    body += &format!("<h3>Host</h3>\n{}", facts(&host(run)));
    let scenario = &run.file.scenario;
    body += &format!("<h3>Scenario: {}</h3>\n", escape(&scenario.name));
    body += &match scenario.text.is_empty() {
        true => {
            super::markup::paragraph("", "There was no scenario file; the cells say what was asked of each.")
        }
        false => {
            swept(run)
                + &details("The file, verbatim", &format!("<pre>{}</pre>\n", escape(&scenario.text)), true)
        }
    };
    section("origin", "Command, host and scenario", &body)
}

/// What was measured with other values than the file's.
fn swept(run: &Run) -> String {
    let words = |swept: &Swept| {
        let values =
            swept.values.join(if swept.values.iter().any(|v| v.contains(',')) { "; " } else { ", " });
        super::markup::paragraph("", &format!("Swept: {} = {values}.", swept.key))
    };
    run.file.swept.iter().map(words).collect()
}

fn facts(facts: &[(&str, String)]) -> String {
    let known = facts.iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<Vec<String>> = known.map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    table(Content::Words, &["", ""], &rows)
}

fn about(run: &Run) -> Vec<(&'static str, String)> {
    let file = &run.file;
    let revision = file.tool.revision.as_ref().map_or(String::new(), |revision| format!(" ({revision})"));
    vec![
        ("name", run.name.clone()),
        ("started", file.started.clone()),
        ("finished", file.finished.clone().unwrap_or_default()),
        ("status", run.ending().to_owned()),
        ("seed", file.seed.to_string()),
        ("rtbench", format!("{}{revision}", file.tool.version)),
    ]
}

fn host(run: &Run) -> Vec<(&'static str, String)> {
    let host = &run.file.host;
    let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    let pair =
        |a: Option<u64>, b: Option<u64>| a.zip(b).map_or(String::new(), |(a, b)| format!("{a} to {b}"));
    let virtual_machine = host.virtualised.map_or("", |virtualised| if virtualised { "yes" } else { "no" });
    vec![
        ("processor", host.cpu_model.clone().unwrap_or_default()),
        ("cores", number(host.cores)),
        ("memory", host.memory_bytes.map_or(String::new(), |memory| bytes(memory as f64))),
        ("system", format!("{} {}", host.os, host.architecture).trim().to_owned()),
        ("kernel", host.kernel.clone().unwrap_or_default()),
        ("virtual machine", virtual_machine.to_owned()),
        ("clock source", host.clocksource.clone().unwrap_or_default()),
        ("frequency governor", host.governor.clone().unwrap_or_default()),
        (
            "longest wake-up allowed to processors",
            host.wake_limit_us.map_or(String::new(), |us| format!("{us} us")),
        ),
        ("open files, soft and hard limit", pair(host.nofile_soft, host.nofile_hard)),
        ("local ports", pair(host.port_first, host.port_last)),
        ("steal since boot", host.steal_s.map_or(String::new(), |steal| format!("{steal} s"))),
    ]
}
