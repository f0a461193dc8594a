//! Every exit code, documented once; `rtbench --help` prints this table.

/// How the program ended. Of several endings the greatest counts: what is proven outweighs what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything was measured and everything asked for holds.
    Ok,
    /// Measured, but inconclusive or not to be trusted.
    Inconclusive,
    /// The tool or its surroundings failed: a server that died, a full disk, no descriptors.
    Broken,
    /// A threshold failed, or a regression is proven.
    Failed,
    /// The command line or a scenario is wrong.
    Usage,
    /// The user interrupted it; what was measured is kept.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Inconclusive => 3,
            Exit::Broken => 4,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// The table for people.
pub const HELP: &str = "\
Exit codes:
    0  everything was measured and holds
    1  a threshold failed, or a regression is proven
    2  the command line or a scenario is wrong
    3  inconclusive, or not to be trusted
    4  the tool or its surroundings failed
  130  interrupted; what was measured is kept
A failed threshold outweighs what could not be told or measured. Unless the scenario says otherwise every client must connect \
and stay, and nothing may be lost, corrupted or held back.";

/// What the codes mean for `rtbench capacity`.
pub const CAPACITY_HELP: &str = "\
Doubles the load from the start until a threshold breaks, then bisects. A step that breaks one, or that cannot be \
trusted, is measured once more before it counts. Where the generator gives out before the server does, the answer is \
'at least N'.

Exit codes:
    0  found for every protocol, or it holds up to --max
    1  for some protocol not even the smallest load holds
    2  the command line or a scenario is wrong
    3  for some protocol no limit was found: the generator gave out, or the time was over
    4  the tool or its surroundings failed
  130  interrupted; the curve so far is kept";

/// What the codes mean for `rtbench gate`.
pub const GATE_HELP: &str = "\
Both sides stand at the same time and are loaded in short turns, so that what the machine does hits both alike. A \
pair of fresh processes is one replicate; 8 to 40 replicates decide, by looks fixed beforehand whose false alarms add \
up to 0.5%. A regression is a lower limit above no change and a shift of at least --min-effect, so that a change of \
just that size is found by half of all gates; --plan says how often others are. What the new side alone does wrong is \
a regression as well: corrupt payloads, clients turned away or cut off, nothing delivered, a server that ends under load.

Exit codes:
    0  nothing is seen to be worse: a change of --min-effect is excluded, or none is proven where one of 1.5 times \
that would have been found with 90%
    1  a regression is proven, whatever else failed
    2  the command line or a scenario is wrong
    3  inconclusive: too noisy, out of time, a broken base, or not to be trusted (with --inconclusive warn 0, unless the \
new side is broken, too)
    4  the tool or its surroundings failed, e.g. a server that could never be started
  130  interrupted; the replicates so far are kept, and --resume goes on from them";

/// What the codes mean for `rtbench compare`.
pub const COMPARE_HELP: &str = "\
Repeats of a cell, within a run and over the runs of a side, are its sample. Runs that are not the same experiment are \
refused: other cells, other values of the scenario, another seed, another host.

Exit codes:
    0  compared, whatever came out: comparing does not judge, a gate does
    2  the command line is wrong, or the runs are not the same experiment
    3  some cells are not compared, because a repeat of them cannot be believed
    4  the tool or its surroundings failed";
