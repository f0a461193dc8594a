//! The verbs that read what was measured, and the lists of what there is.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exit;
use crate::report::comparison::Form;

/// `rtbench list`.
#[derive(Args)]
pub struct ListArgs {
    /// What to list; without it, everything but columns
    pub what: Option<Topic>,
    /// Print a built-in scenario's file
    #[arg(long, value_name = "SCENARIO", conflicts_with = "what")]
    pub dump: Option<String>,
    /// Print the JSON Schema of a file [see `rtbench list schemas`]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["dump", "what"])]
    pub schema: Option<String>,
}

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topic {
    /// The protocols and what they can do.
    Protocols,
    /// The scenarios that come with the program.
    Scenarios,
    /// The emulated links with names.
    Links,
    /// The guide's claims.
    Claims,
    /// The metrics, their units and directions.
    Metrics,
    /// The report formats.
    Formats,
    /// The JSON Schemas of files.
    Schemas,
    /// The columns of every CSV file.
    Columns,
}

/// `rtbench claims`.
#[derive(Args)]
pub struct ClaimsArgs {
    /// Directories of runs, or `latest`; the later of two that measured the same counts. Without any: the reference
    /// runs in the results directory, then `latest`
    pub runs: Vec<String>,
    /// Only claims of sections whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub section: Option<String>,
    /// Directory for claims.csv, or `-` for standard output instead of the table; a run's own claims.csv has the
    /// verdicts of that run alone
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where `latest` and the reference runs are
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// `rtbench report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Directories of runs, or `latest`; several are shown side by side
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Formats to render; without it the summary, or with --out all files; of several runs cells.csv, intervals.csv and
    /// html [see `rtbench list formats`]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub format: Vec<String>,
    /// Directory to write to, or `-` for standard output; without it, the run's own, if it is one
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where `latest` looks
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// The option that `--` of a comparison is read as.
const AGAINST: &str = "against";

/// The words of a command line. In `compare BASE... -- NEW... --format html`, `--` stands between two lists of runs, as people
/// write it, and options stay options behind it.
pub(super) fn comparison_words(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|verb| verb == "compare")
        && let Some(between) = words.iter_mut().find(|word| *word == "--")
    {
        *between = format!("--{AGAINST}").into();
    }
    words
}

/// `rtbench compare`.
#[derive(Args)]
#[command(
    override_usage = "rtbench compare [OPTIONS] <BASE> <NEW>\n       rtbench compare [OPTIONS] <BASE>... -- <NEW>..."
)]
#[command(after_help = exit::COMPARE_HELP)]
pub struct CompareArgs {
    /// Directories of the base's runs, or `latest`; without `--` exactly two, the base and the new run
    #[arg(required = true, value_name = "BASE")]
    pub base: Vec<String>,
    /// Directories of the new side's runs; `--` on the command line
    #[arg(long = AGAINST, num_args = 1.., hide = true)]
    pub new: Vec<String>,
    /// Show every metric, not only the headline ones and those that differ
    #[arg(long)]
    pub all: bool,
    /// Compare runs of different machines; every output says so
    #[arg(long)]
    pub across_hosts: bool,
    /// Formats to render instead of the table on the terminal
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub format: Vec<Form>,
    /// Directory to write files to (without --format, all of them), or `-` for standard output [default: -]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where `latest` looks
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}
