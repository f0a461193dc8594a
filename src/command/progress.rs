//! What people see while cells are measured: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::OutputArgs;
use crate::fleet::coordinator::Progress;
use crate::measure::cell::{Cell, Status};
use crate::scenario::plan::CellSpec;

/// How progress is shown.
#[derive(Clone)]
pub struct Display {
    mode: Mode,
    total: Option<usize>,
}

#[derive(Clone)]
enum Mode {
    Bars(MultiProgress),
    Lines,
    Silent,
}

/// One cell's progress.
pub struct Line {
    name: String,
    clients: u32,
    length_s: f64,
    mode: Mode,
    bar: Option<ProgressBar>,
    seconds: u32,
    failures: u64,
}

impl Display {
    /// For a run of `total` cells, if their number is known.
    pub fn new(output: &OutputArgs, total: Option<usize>) -> Display {
        let mode = match (output.quiet, output.no_tui || !std::io::stderr().is_terminal()) {
            (true, _) => Mode::Silent,
            (false, true) => Mode::Lines,
            (false, false) => Mode::Bars(MultiProgress::new()),
        };
        Display { mode, total }
    }

    /// Something is known that people wait for.
    pub fn say(&self, text: &str) {
        match &self.mode {
            // A terminal that is gone has nobody who waits.
            Mode::Bars(all) => drop(all.println(text)),
            Mode::Lines => eprintln!("{text}"),
            Mode::Silent => {}
        }
    }

    /// A cell begins.
    pub fn begin(&self, number: usize, spec: &CellSpec) -> Line {
        let of = self.total.map_or(String::new(), |total| format!("/{total}"));
        let name = format!("[{number}{of}] {}", spec.label());
        let bar = match &self.mode {
            Mode::Bars(all) => {
                let bar = all.add(ProgressBar::new((spec.duration_s * 1000.0) as u64));
                let style = "{prefix:.bold} {bar:20} {msg} {elapsed}";
                bar.set_style(
                    ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                bar.set_prefix(name.clone());
                bar.set_message("starting");
                bar.enable_steady_tick(Duration::from_millis(250));
                Some(bar)
            }
            Mode::Lines => {
                eprintln!("{name}: {} clients", spec.clients);
                None
            }
            Mode::Silent => None,
        };
        Line {
            name,
            clients: spec.clients,
            length_s: spec.duration_s,
            mode: self.mode.clone(),
            bar,
            seconds: 0,
            failures: 0,
        }
    }
}

impl Line {
    /// The cell says how far it is.
    pub fn update(&mut self, progress: Progress) {
        match progress {
            Progress::Connecting { connected, failures } => {
                self.failures = failures;
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("connected {connected}/{}{}", self.clients, self.errors()));
                }
            }
            Progress::Second(interval) => {
                self.seconds += 1;
                self.failures = interval.failures_so_far;
                let p99 =
                    interval.p99_ns.map_or(String::new(), |ns| format!(", p99 {:.2} ms", ns as f64 / 1e6));
                let left_s = (self.length_s - interval.at_s).max(0.0);
                let text = format!(
                    "{} connected, {} messages/s{p99}{}, {left_s:.0} s left",
                    interval.connected,
                    interval.delivered,
                    self.errors()
                );
                match &self.bar {
                    Some(bar) => {
                        bar.set_position((interval.at_s * 1000.0) as u64);
                        bar.set_message(text);
                    }
                    // A line every five seconds is enough for a log.
                    None if self.seconds.is_multiple_of(5) && left_s > 0.0 => self.say(&text),
                    None => {}
                }
            }
        }
    }

    fn errors(&self) -> String {
        if self.failures == 0 { String::new() } else { format!(", {} errors", self.failures) }
    }

    fn say(&self, text: &str) {
        if matches!(self.mode, Mode::Lines) {
            eprintln!("{}: {text}", self.name);
        }
    }

    /// The cell has ended.
    pub fn end(self, cell: &Cell) {
        let counts = &cell.counts;
        let text = match &cell.status {
            Status::Failed(reason) => format!("failed: {reason}"),
            Status::Finished if counts.expected == 0 => "done".to_owned(),
            status => format!(
                "{} {}/{} delivered{}",
                if *status == Status::Interrupted { "interrupted," } else { "done," },
                counts.delivered,
                counts.expected,
                self.errors()
            ),
        };
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                if let (Mode::Bars(all), Status::Failed(_)) = (&self.mode, &cell.status) {
                    let _ = all.println(format!("{}: {text}", self.name));
                }
            }
            None => self.say(&text),
        }
    }
}
