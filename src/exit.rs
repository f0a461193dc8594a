//! Every exit code, documented once; `rtbench --help` prints this table.

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything was measured and everything asked for holds.
    Ok,
    /// A threshold failed, or a regression is proven.
    Failed,
    /// The command line or a scenario is wrong.
    Usage,
    /// Measured, but inconclusive or not to be trusted.
    Inconclusive,
    /// The tool or its surroundings failed: a server that died, a full disk, no descriptors.
    Broken,
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
  130  interrupted; what was measured is kept";
