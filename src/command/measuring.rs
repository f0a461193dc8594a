//! What the verbs that measure share: measure cells in order, save each as it ends, show how far it is, obey Ctrl-C.

use std::cell::RefCell;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::progress::Display;
use super::prometheus::{Endpoint, Feed};
use crate::cli::OutputArgs;
use crate::cli::fault::Fault;
use crate::exit::Exit;
use crate::fleet::coordinator::Fleet;
use crate::fleet::server::ServerChoice;
use crate::guide::probe;
use crate::host::image::Image;
use crate::host::process;
use crate::host::termination::Farewell;
use crate::measure::cell::{Cell, ServerFailure, Status, TrustLevel};
use crate::measure::floor::Floor;
use crate::measure::run::{CellOutcome, Run, RunFile, RunStatus};
use crate::measure::store::{Store, StoreError};
use crate::quote;
use crate::report::{self, Format, UnknownFormat};
use crate::say;
use crate::scenario::spec::CellSpec;

/// Something that makes one cell.
pub(super) enum Job {
    /// Put the load on and measure.
    Load(CellSpec),
    /// Find out what the protocol can do.
    Probe(CellSpec),
}

impl Job {
    fn spec(&self) -> &CellSpec {
        match self {
            Job::Load(spec) | Job::Probe(spec) => spec,
        }
    }
}

/// A run about to begin.
pub(super) struct Measurement<'a> {
    /// What `run.json` says of it.
    pub(super) file: RunFile,
    /// Name of its directory.
    pub(super) name: &'a str,
    /// Lanes are measured side by side, the jobs of a lane one after the other.
    pub(super) lanes: Vec<Vec<Job>>,
    /// Where it goes and what is shown.
    pub(super) output: &'a OutputArgs,
}

/// The reference server as a fresh process for each cell, started by this very program.
///
/// # Errors
/// The system does not tell where this program lies.
pub(super) fn reference_server(args: &[&str], tls: bool, faults: &[Fault]) -> Result<ServerChoice> {
    let program = own_image()?;
    let faults = faults.iter().flat_map(|fault| ["--fault", &fault.text]);
    let tls = tls.then_some("--tls");
    let args = ["serve", "--stdin-guard"].into_iter().chain(tls).chain(args.iter().copied()).chain(faults);
    Ok(ServerChoice::Start { program, args: args.map(str::to_owned).collect() })
}

/// This very program, which is also worker and server.
///
/// # Errors
/// The system does not tell where it lies.
pub(super) fn own_image() -> Result<Image> {
    Image::own().context("cannot find this program's own file")
}

/// The command as typed, whatever path the program was started by.
pub(super) fn command_line() -> Vec<String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("rtbench".to_owned()).chain(words).collect()
}

/// The formats that are to be printed, looked up before anything is measured.
///
/// # Errors
/// There is none of a name.
pub(super) fn formats(output: &OutputArgs) -> Result<Vec<&'static dyn Format>, UnknownFormat> {
    output.format.iter().map(|name| report::find(name)).collect()
}

/// Shows what was measured: a summary, or what was asked for; and in the summary of a CI step, where there is one. Returns how
/// the command ends, which would be with `exit`: what cannot be printed was measured and is kept all the same.
pub(super) fn show(run: &Run, output: &OutputArgs, formats: &[&dyn Format], exit: Exit) -> Exit {
    show_at(run, &output.out.join(&run.name), output, formats, exit)
}

/// The same of a run that lies elsewhere than `output` says.
pub(super) fn show_at(
    run: &Run,
    dir: &Path,
    output: &OutputArgs,
    formats: &[&dyn Format],
    exit: Exit,
) -> Exit {
    report::step_summary(&report::markdown(run));
    let printed = match (formats.is_empty(), output.quiet) {
        (false, _) => report::print_as(run, formats),
        (true, false) => report::print(run),
        (true, true) => Ok(()),
    };
    match output.quiet {
        true => {
            report::complaints(run).iter().for_each(|complaint| say::line(format!("rtbench: {complaint}")))
        }
        false => say::line(format!("\nresults: {}", dir.display())),
    }
    let Err(error) = printed else { return exit };
    say::line(format!("rtbench: cannot write to standard output: {error}"));
    exit.max(Exit::Broken)
}

/// Turns true when the program is told to end; after that a Ctrl-C ends it at once.
fn stop_signal() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let Ok(mut farewell) = Farewell::listen() else { return sender.closed().await };
        farewell.asked().await;
        say::line("stopping; what was measured is kept (once more to quit at once)");
        let _ = sender.send(true);
        farewell.interrupted().await;
        std::process::exit(Exit::Interrupted.code().into());
    });
    receiver
}

impl Measurement<'_> {
    /// Measures every cell and writes every file. `fleet` makes the fleet of a cell.
    ///
    /// # Errors
    /// The results cannot be written. What went wrong with a cell is in the cell.
    pub(super) fn measure(
        self,
        fleet: impl Fn(&CellSpec, watch::Receiver<bool>) -> Result<Fleet>,
    ) -> Result<Run> {
        process::descriptor_limit();
        self.check_room(&fleet)?;
        let planned: Vec<String> = self.lanes.iter().flatten().map(|job| job.spec().label()).collect();
        let total = planned.len();
        let file = RunFile { planned, ..self.file };
        conduct(file, self.name, self.output, Some(total), async |bench| {
            let lanes = self.lanes.iter().map(|lane| measure_lane(lane, &fleet, bench));
            futures_util::future::try_join_all(lanes).await.map(drop)
        })
    }

    /// Before anything is measured: whether this host can carry every cell.
    fn check_room(&self, fleet: impl Fn(&CellSpec, watch::Receiver<bool>) -> Result<Fleet>) -> Result<()> {
        for job in self.lanes.iter().flatten() {
            if let Job::Load(spec) = job {
                let (_sender, stop) = watch::channel(false);
                let room = fleet(spec, stop)?.layout(spec);
                room.with_context(|| {
                    format!("this host cannot carry {} ({} clients)", spec.id, spec.clients)
                })?;
            }
        }
        Ok(())
    }
}

/// Prepares a run's directory, lets `work` measure cells on the bench, and writes every file. `total` is the number of
/// cells, where it is known.
///
/// # Errors
/// The results cannot be written, or what `work` says.
pub(super) fn conduct(
    mut file: RunFile,
    name: &str,
    output: &OutputArgs,
    total: Option<usize>,
    work: impl AsyncFnOnce(&Bench) -> Result<()>,
) -> Result<Run> {
    file.floor = Floor::load(&output.out, &file.host);
    conduct_in(|| Store::create(&output.out, name, file), output, total, work)
}

/// The same in a store of the caller's; whatever else could refuse the run is asked first.
///
/// # Errors
/// As [`conduct`].
pub(super) fn conduct_in(
    open: impl FnOnce() -> Result<Store, StoreError>,
    output: &OutputArgs,
    total: Option<usize>,
    work: impl AsyncFnOnce(&Bench) -> Result<()>,
) -> Result<Run> {
    process::descriptor_limit();
    let endpoint = output.prometheus.map(Endpoint::bind).transpose()?;
    let store = RefCell::new(open()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let display = Display::new(output, total);
    let (store, worked) = runtime.block_on(async {
        let feed = endpoint.map(Endpoint::serve).transpose()?.map(|(feed, url)| {
            match output.quiet {
                // Without it nobody could know where a free port was found.
                true => say::line(format!("metrics: {url}")),
                false => display.say(&format!("metrics: {url}")),
            }
            feed
        });
        let bench = Bench { store, display, feed, number: std::cell::Cell::new(0), stop: stop_signal() };
        let worked = work(&bench).await.map(|()| bench.is_stopped());
        anyhow::Ok((bench.store.into_inner(), worked))
    })?;
    let status = match &worked {
        Ok(true) => RunStatus::Interrupted,
        Ok(false) => RunStatus::Finished,
        Err(error) => RunStatus::Failed(quote::within(&format!("{error:#}"), quote::MAX_REASON_CHARS)),
    };
    let dir = store.dir().to_owned();
    let finished = store.finish(status).map_err(anyhow::Error::from);
    let saved = finished.and_then(|run| {
        report::save(&run, &dir)?;
        Ok(run)
    });
    // What ended it is the reason of whatever failed after that, on a full disk for one.
    worked.and(saved)
}

/// Where cells are measured one after the other: each is shown while it is, and saved as it ends.
pub(super) struct Bench {
    store: RefCell<Store>,
    display: Display,
    /// Who else is told, with `--prometheus`.
    feed: Option<Feed>,
    /// Cells begun.
    number: std::cell::Cell<usize>,
    stop: watch::Receiver<bool>,
}

impl Bench {
    /// Whether the user wants to stop.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Turns true when the user wants to stop.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Tells people something while they wait.
    pub(super) fn say(&self, text: &str) {
        self.display.say(text);
    }

    /// Measures a cell and saves it.
    ///
    /// # Errors
    /// It cannot be saved. What went wrong with the cell is in the cell.
    pub(super) async fn measure(&self, job: &Job, fleet: &Fleet) -> Result<Cell> {
        self.number.set(self.number.get() + 1);
        let mut line = self.display.begin(self.number.get(), job.spec());
        let feed = self.feed.as_ref();
        feed.inspect(|feed| feed.begin(job.spec()));
        let cell = match job {
            Job::Load(spec) => {
                let mut tell = |progress| {
                    feed.inspect(|feed| feed.update(spec, &progress));
                    line.update(progress);
                };
                fleet.measure(spec, &mut tell).await
            }
            Job::Probe(spec) => probe_until(spec, &fleet.server, self.stop()).await,
        };
        line.end(&cell);
        feed.inspect(|feed| feed.end(&cell));
        self.keep(&cell)?;
        Ok(cell)
    }

    /// Saves a cell that was measured elsewhere.
    ///
    /// # Errors
    /// It cannot be saved.
    pub(super) fn keep(&self, cell: &Cell) -> Result<()> {
        Ok(self.store.borrow_mut().append(cell)?)
    }

    /// Measures two cells that take turns, and saves both. Where the server of one ends it, the other goes on alone: so it is
    /// known whether its own server lives through the same. Where something else ends one, the other is stopped.
    ///
    /// # Errors
    /// They cannot be saved.
    pub(super) async fn measure_together(
        &self,
        specs: [CellSpec; 2],
        fleets: [Fleet; 2],
    ) -> Result<Vec<Cell>> {
        let (halt, halted) = watch::channel(false);
        let measure = async |spec: &CellSpec, fleet: Fleet| {
            let fleet = Fleet { stop: halted.clone(), ..fleet };
            let cell = fleet.measure(spec, &mut |_| {}).await;
            match (&cell.status, cell.server_failure) {
                (Status::Finished, _) => {}
                (_, Some(ServerFailure::NoClient | ServerFailure::Ended { .. })) => {
                    fleet.rendezvous.iter().for_each(|rendezvous| rendezvous.leave());
                }
                _ => drop(halt.send_replace(true)),
            }
            cell
        };
        let [first, second] = fleets;
        let both = futures_util::future::join(measure(&specs[0], first), measure(&specs[1], second));
        let mut both = std::pin::pin!(both);
        let mut stop = self.stop();
        let (first, second) = tokio::select! {
            cells = &mut both => cells,
            // An error says that nobody can stop it any more.
            Ok(_) = stop.wait_for(|&stop| stop) => {
                halt.send_replace(true);
                both.await
            }
        };
        let cells = vec![first, second];
        cells.iter().try_for_each(|cell| self.keep(cell))?;
        Ok(cells)
    }
}

async fn measure_lane(
    lane: &[Job],
    fleet: &impl Fn(&CellSpec, watch::Receiver<bool>) -> Result<Fleet>,
    bench: &Bench,
) -> Result<()> {
    for job in lane {
        if bench.is_stopped() {
            return Ok(());
        }
        bench.measure(job, &fleet(job.spec(), bench.stop())?).await?;
    }
    Ok(())
}

/// Probes a protocol, unless the user wants to stop; the server of a probe that is dropped is killed.
async fn probe_until(spec: &CellSpec, server: &ServerChoice, mut stop: watch::Receiver<bool>) -> Cell {
    tokio::select! {
        cell = probe::run(spec, server) => cell,
        // An error says that nobody can stop it any more.
        Ok(_) = stop.wait_for(|&stop| stop) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let mut cell = Cell::empty(spec.clone(), now.map_or(0.0, |since| since.as_secs_f64()));
            cell.status = Status::Interrupted;
            cell
        }
    }
}

/// What a run says about how it ended: its cells, and what had to hold in them.
pub(super) fn exit_of(run: &Run) -> Exit {
    let of_cell = |cell: &Cell| match (&cell.status, cell.trust.level) {
        (Status::Interrupted, _) => Exit::Interrupted,
        (Status::Failed(_), _) => Exit::Broken,
        (Status::Finished, TrustLevel::Invalid) => Exit::Inconclusive,
        (Status::Finished, _) => Exit::Ok,
    };
    let of_outcome = |outcome: CellOutcome| match outcome.outcome.passed {
        Some(true) => Exit::Ok,
        Some(false) => Exit::Failed,
        None => Exit::Inconclusive,
    };
    let of_run = if run.file.status == RunStatus::Interrupted { Exit::Interrupted } else { Exit::Ok };
    let of_outcomes = run.outcomes().into_iter().map(of_outcome);
    run.cells.iter().map(of_cell).chain(of_outcomes).fold(of_run, Exit::max)
}
