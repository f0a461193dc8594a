//! What many users cost, projected from cells of one protocol and workload: the one place that computes it, for `matrix` and `capacity`.
//! Pure.

pub mod curve;
pub mod memory;
pub mod network;
pub mod work;

use reference_server::hub::Limits;

use crate::measure::bytes::polls;
use crate::measure::cell::Cell;
use crate::measure::usable::usable;
use crate::number::short;
use crate::scenario::spec::CellSpec;
use curve::{Drift, Point, Value};

/// Half of the widest range that is printed, as a share of the value; what is known less well is withheld.
pub const WIDEST: f64 = 0.25;

/// Turns below which a cell says nothing about the cost of one: what else a server does in the window is too large a part.
pub(crate) const ENOUGH_TURNS: u64 = 1_000;

/// Share of a core from which a server of one thread no longer keeps up: what it costs then is not the cost of its load.
const SATURATED: f64 = 0.9;

/// How far what was done may lie from what was due in a cell that carried its load.
const CARRIED: f64 = 0.1;

/// Servers beyond which nothing is tried.
const MOST_SERVERS: u32 = 100_000;

/// A figure, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Projected {
    /// It is known well enough.
    Known(Value),
    /// It is not, and why.
    Withheld(String),
}

impl Projected {
    fn of(value: Value) -> Projected {
        let half = value.half_width();
        if half > WIDEST {
            let [low, high] = [value.bounds.low, value.bounds.high].map(short);
            let percent = short((half * 100.0).round());
            let limit = short(WIDEST * 100.0);
            return Projected::Withheld(format!(
                "{low} to {high} is {percent}% to either side, and {limit}% is the widest that is printed"
            ));
        }
        Projected::Known(value)
    }

    /// The value, where it is known.
    pub fn value(&self) -> Option<Value> {
        match self {
            Projected::Known(value) => Some(*value),
            Projected::Withheld(_) => None,
        }
    }
}

/// What so many users would cost; CPU and memory are those of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Name of the protocol.
    pub protocol: String,
    /// Users of all servers together, publishers included.
    pub users: f64,
    /// Servers that share them.
    pub servers: f64,
    /// Events of each publisher per second.
    pub rate_per_s: f64,
    /// Size of an event, in bytes.
    pub payload_bytes: u32,
    /// Cores that one server keeps busy.
    pub cores: Projected,
    /// Private memory of one server, in bytes, once its history is full.
    pub memory_bytes: Projected,
    /// Kernel memory of both ends of one server's connections, in bytes.
    pub kernel_bytes: Projected,
    /// IP packets of all users, in bytes per second.
    pub network_bytes_per_s: Projected,
    /// Smallest and largest load of one server that the CPU rests on, in turns per second.
    pub measured_per_s: Option<[f64; 2]>,
    /// Cores that as many users of one server were measured to take.
    pub direct_cores: Option<f64>,
    /// How the figures were reached, a line each; what is withheld says why.
    pub arithmetic: Vec<String>,
}

impl Projection {
    /// The same beside a cell in which as many users were measured.
    pub fn beside(mut self, cell: &Cell) -> Projection {
        let cpu_ns = cell.server.as_ref().and_then(|server| server.cpu_ns).filter(|_| usable(cell).is_ok());
        let Some(cpu_ns) = cpu_ns.filter(|_| cell.measured_s > 0.0) else { return self };
        let cores = cpu_ns as f64 / 1e9 / cell.measured_s / servers(cell);
        // A machine that did not carry the load says nothing about its cost.
        let due = work::of(&cell.spec).turns_per_s * f64::from(cell.spec.clients);
        let done = turns(cell) as f64 / cell.measured_s / due.max(f64::MIN_POSITIVE);
        if (done - 1.0).abs() > CARRIED {
            let percent = short((done * 100.0).round());
            self.arithmetic.push(format!(
                "measured with {} users: {percent}% of the load, so no figure",
                short(self.users)
            ));
            return self;
        }
        self.direct_cores = Some(cores);
        let within = |value: Value| value.bounds.low <= cores && cores <= value.bounds.high;
        let verdict = match self.cores.value().map(within) {
            Some(true) => "within the range",
            Some(false) => "outside of the range",
            None => "in its place",
        };
        self.arithmetic.push(format!(
            "measured with {} users: {} cores, {verdict}",
            short(self.users),
            short(cores)
        ));
        self
    }
}

/// The cells of one protocol, and what is asked of them.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// All that may be used: loads of the workload, and idle clients.
    pub cells: &'a [&'a Cell],
    /// The workload of the users.
    pub like: &'a CellSpec,
    /// How cells drift.
    pub drift: Drift,
    /// How much the server keeps of its topics; `None` where nobody knows.
    pub keeps: Option<Limits>,
}

/// Server processes of a cell.
pub(crate) fn servers(cell: &Cell) -> f64 {
    cell.server.as_ref().map_or(1.0, |server| f64::from(server.servers.max(1)))
}

/// What a server did in the window: polls that were answered, or deliveries.
fn turns(cell: &Cell) -> u64 {
    if polls(cell) { cell.subscriber_wire.exchanges_in_window } else { cell.counts.received_in_window }
}

/// The load of a server and what it cost; `None` where the cell does not tell, or where its server did not keep up.
pub fn point(cell: &Cell) -> Option<Point> {
    usable(cell).ok()?;
    let turns =
        if polls(cell) { cell.subscriber_wire.exchanges_in_window } else { cell.counts.received_in_window };
    let cpu_ns = cell.server.as_ref()?.cpu_ns? as f64;
    let cores = cpu_ns / 1e9 / cell.measured_s / servers(cell);
    let told = turns >= ENOUGH_TURNS && cpu_ns > 0.0 && cell.measured_s > 0.0 && cores < SATURATED;
    told.then(|| Point {
        per_s: turns as f64 / cell.measured_s / servers(cell),
        us: cpu_ns / 1e3 / turns as f64,
    })
}

/// How much the reference server keeps unless told otherwise.
pub fn reference_limits() -> Limits {
    reference_server::Config::default().limits
}

impl Question<'_> {
    fn points(&self) -> Vec<Point> {
        self.cells.iter().filter_map(|cell| point(cell)).collect()
    }

    /// What `users` cost on so few servers that each of them has less than it can bear.
    pub fn on_enough_servers(&self, users: f64) -> Projection {
        let points = self.points();
        let turns_per_s = work::of(self.like).turns_per_s;
        let bears = |servers: f64| {
            let per_s = users * turns_per_s / servers;
            curve::predict(&points, per_s, self.drift).is_none_or(|us| us.value * per_s / 1e6 <= 1.0)
        };
        // Twice as many until it is enough, then one by one.
        let mut enough = 1;
        while !bears(f64::from(enough)) && enough < MOST_SERVERS {
            enough *= 2;
        }
        let fewest = (enough / 2 + 1..=enough).find(|&servers| bears(f64::from(servers)));
        self.on(users, f64::from(fewest.unwrap_or(enough)))
    }

    /// What `users` cost who are spread evenly over so many servers.
    pub fn on(&self, users: f64, servers: f64) -> Projection {
        let work = work::of(self.like);
        let points = self.points();
        let (cores, cpu_line) = self.cpu(&points, &work, users, servers);
        let memory = memory::server(self, &work, users / servers);
        let kernel = memory::kernel(self, users / servers);
        let network = network::all(self, &work, users);
        let loads = || points.iter().map(|point| point.per_s);
        let measured = [loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max)];
        let mut arithmetic = vec![cpu_line, memory.line, kernel.line, network.line];
        for line in &mut arithmetic {
            // What is withheld names nobody.
            *line = if line.contains(" withheld: ") {
                format!("{} users: {line}", short(users))
            } else {
                std::mem::take(line)
            };
        }
        Projection {
            protocol: self.like.id.protocol.name.to_owned(),
            users,
            servers,
            rate_per_s: self.like.rate_per_s,
            payload_bytes: self.like.payload_bytes,
            cores,
            memory_bytes: memory.figure,
            kernel_bytes: kernel.figure,
            network_bytes_per_s: network.figure,
            measured_per_s: (!points.is_empty()).then_some(measured),
            direct_cores: None,
            arithmetic,
        }
    }

    fn cpu(&self, points: &[Point], work: &work::Work, users: f64, servers: f64) -> (Projected, String) {
        let withheld =
            |why: String| (Projected::Withheld(why.clone()), format!("server cores withheld: {why}"));
        if self.like.webrtc.peer_to_peer {
            return withheld(
                "peer to peer: the server carries signalling alone, and no message costs it anything".into(),
            );
        }
        let loads = curve::loads(points);
        let per_s = users * work.turns_per_s / servers;
        let Some(us) = curve::predict(points, per_s, self.drift) else {
            return withheld(format!(
                "a curve takes {} loads that the server kept up with, and there are {loads}",
                curve::LOADS
            ));
        };
        let cores = us.scaled(per_s / 1e6);
        let figure = Projected::of(cores);
        let what = if self.like.id.protocol.traits.exchanges { "polls" } else { "messages" };
        let how = if work.how.is_empty() { String::new() } else { format!(" ({})", work.how) };
        let spread = if servers > 1.0 { format!(" / {} servers", short(servers)) } else { String::new() };
        let [low, high] = [cores.bounds.low, cores.bounds.high].map(short);
        let line = format!(
            "{} users x {} {what}/s{how}{spread} x {} us at {}/s = {} cores ({low} to {high})",
            short(users),
            short(work.turns_per_s),
            short(us.value),
            short(per_s),
            short(cores.value)
        );
        match &figure {
            Projected::Known(_) => (figure, line),
            Projected::Withheld(why) => {
                let line = format!("server cores withheld: {why}");
                (figure, line)
            }
        }
    }
}

/// What holds for all projections with this drift: the model, and how far cells are taken to differ.
pub fn basis(drift: Drift) -> String {
    format!(
        "CPU is a curve over load, a x ((1 - s) + s / (1 + load / knee)), through the loads that were measured; ranges are those in which one \
         more measurement would lie (95%), with cells that drift by {}% (one standard deviation, {} degrees of freedom). Memory is what a server \
         has once its history is full; bytes are those of IP packets, TCP/IP or UDP/IP included. Nothing lost and sent again is added.",
        short(drift.deviation * 100.0),
        drift.freedom
    )
}

/// A figure and how it was reached.
pub(crate) struct Told {
    pub(crate) figure: Projected,
    pub(crate) line: String,
}

impl Told {
    pub(crate) fn withheld(what: &str, why: impl Into<String>) -> Told {
        let why = why.into();
        Told { line: format!("{what} withheld: {why}"), figure: Projected::Withheld(why) }
    }

    pub(crate) fn of(what: &str, value: Value, line: String) -> Told {
        match Projected::of(value) {
            Projected::Withheld(why) => Told::withheld(what, why),
            figure => Told { figure, line },
        }
    }
}

#[cfg(test)]
mod tests;
