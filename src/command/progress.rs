//! What people see while cells are measured: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`. It is drawn
//! where standard error is written (`say`), so that a terminal that stands still holds up no measurement.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::OutputArgs;
use crate::fleet::coordinator::Progress;
use crate::measure::cell::{Cell, Status};
use crate::say;
use crate::scenario::spec::CellSpec;

/// Time from one plain line of a cell to the next: enough for a log.
const LINES_APART: Duration = Duration::from_secs(5);

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
    /// When its last plain line was said.
    said: Instant,
    failures: u64,
}

impl Display {
    /// For a run of `total` cells, if their number is known.
    pub fn new(output: &OutputArgs, total: Option<usize>) -> Display {
        let mode = match (output.quiet, output.no_tui || !draws()) {
            (true, _) => Mode::Silent,
            (false, true) => Mode::Lines,
            (false, false) => Mode::Bars(MultiProgress::new()),
        };
        Display { mode, total }
    }

    /// Something is known that people wait for.
    pub fn say(&self, text: &str) {
        match &self.mode {
            Mode::Bars(all) => above(all, text.to_owned()),
            Mode::Lines => say::line(text),
            Mode::Silent => {}
        }
    }

    /// A cell begins.
    pub fn begin(&self, number: usize, spec: &CellSpec) -> Line {
        let of = self.total.map_or(String::new(), |total| format!("/{total}"));
        let name = format!("[{number}{of}] {}", spec.label());
        let bar = match &self.mode {
            Mode::Bars(all) => {
                let length_ms = (spec.duration_s * 1000.0) as u64;
                let bar = ProgressBar::with_draw_target(Some(length_ms), ProgressDrawTarget::hidden());
                let style = ProgressStyle::with_template("{prefix:.bold} {bar:20} {msg} {elapsed}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_prefix(name.clone());
                bar.set_message("starting");
                let (all, added) = (all.clone(), bar.clone());
                say::act(move || all.add(added).enable_steady_tick(Duration::from_millis(250)));
                Some(bar)
            }
            Mode::Lines => {
                say::line(format!("{name}: {} clients", spec.clients));
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
            said: Instant::now(),
            failures: 0,
        }
    }
}

/// Whether standard error is a terminal on which something can be drawn.
fn draws() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stderr().is_terminal() && !is_dumb
}

/// Says a line above the bars.
fn above(bars: &MultiProgress, text: String) {
    let bars = bars.clone();
    say::act(move || drop(bars.println(text)));
}

impl Line {
    /// The cell says how far it is.
    pub fn update(&mut self, progress: Progress) {
        match progress {
            Progress::Connecting { connected, failures } => {
                self.failures = failures;
                self.tell(format!("connected {connected}/{}{}", self.clients, self.errors()), None);
            }
            Progress::Second(interval) => {
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
                self.tell(text, Some((interval.at_s * 1000.0) as u64));
            }
        }
    }

    /// How far it is, on the bar, or in a line if the last was long ago.
    fn tell(&mut self, text: String, position_ms: Option<u64>) {
        if let Some(bar) = self.bar.clone() {
            say::act(move || {
                position_ms.into_iter().for_each(|position_ms| bar.set_position(position_ms));
                bar.set_message(text);
            });
        } else if self.said.elapsed() >= LINES_APART {
            self.said = Instant::now();
            self.say(&text);
        }
    }

    fn errors(&self) -> String {
        if self.failures == 0 { String::new() } else { format!(", {} errors", self.failures) }
    }

    fn say(&self, text: &str) {
        if matches!(self.mode, Mode::Lines) {
            say::line(format!("{}: {text}", self.name));
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
        let Some(bar) = self.bar.clone() else { return self.say(&text) };
        say::act(move || bar.finish_and_clear());
        if let (Mode::Bars(all), Status::Failed(_)) = (&self.mode, &cell.status) {
            above(all, format!("{}: {text}", self.name));
        }
    }
}
