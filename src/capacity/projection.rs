//! What more clients than were measured would cost: a straight line through the steps that held, read far to the right.

use super::curve::Curve;
use super::search::{Vary, Verdict};
use crate::measure::cell::{Cell, ServerCost};
use crate::stats::slope::{Slope, theil_sen};

/// The figures that the guide quotes: clients, and servers that share them.
pub const FIGURES: [(f64, f64); 3] = [(10_000.0, 1.0), (100_000.0, 1.0), (1_000_000.0, 100.0)];

/// What a server costs as its clients grow, and what that makes of many.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Fewest and most clients of one server that it rests on.
    pub measured: [f64; 2],
    /// The server's own memory, in bytes.
    pub memory: Option<Slope>,
    /// Memory of the host's kernel, in bytes: both ends of each connection, where clients and server share the host.
    pub kernel: Option<Slope>,
    /// The server's CPU at the scenario's rate, in cores.
    pub cpu: Option<Slope>,
    /// What it makes of the guide's figures.
    pub figures: Vec<Figure>,
}

/// What so many clients would cost; absent is what did not grow measurably.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// All clients.
    pub clients: f64,
    /// Servers that share them.
    pub servers: f64,
    /// Memory of one server, in bytes.
    pub memory_bytes: Option<f64>,
    /// Kernel memory for the connections of one server, in bytes.
    pub kernel_bytes: Option<f64>,
    /// Cores that one server keeps busy.
    pub cores: Option<f64>,
}

impl Figure {
    /// Clients of one server.
    pub fn clients_per_server(&self) -> f64 {
        self.clients / self.servers
    }
}

/// The projection of a search over clients; `None` without two different numbers of clients that held.
pub fn of(curve: &Curve<'_>) -> Option<Projection> {
    if curve.plan.vary != Vary::Clients {
        return None;
    }
    let held = curve.steps.iter().filter(|step| step.judgement.verdict == Verdict::Held);
    // Of several servers, the groups are spread evenly: what follows is about one of them.
    let steps: Vec<(f64, &Cell)> = held.map(|step| (step.servers().into(), step.cell)).collect();
    let clients = steps.iter().map(|(servers, cell)| cell.counts.connected as f64 / servers);
    let measured = [clients.clone().fold(f64::INFINITY, f64::min), clients.fold(0.0, f64::max)];
    if measured[0] >= measured[1] {
        return None;
    }
    let memory = grows(&steps, |_, server| Some(server.memory_after_bytes? as f64));
    let kernel = grows(&steps, |_, server| {
        Some(server.kernel_after_bytes? as f64 - server.kernel_empty_bytes? as f64)
    });
    let cpu = grows(&steps, |cell, server| Some(server.cpu_ns? as f64 / 1e9 / cell.measured_s));
    let figures = FIGURES.map(|(clients, servers)| {
        let [memory_bytes, kernel_bytes, cores] =
            [&memory, &kernel, &cpu].map(|slope| slope.as_ref().map(|slope| at(slope, clients / servers)));
        Figure { clients, servers, memory_bytes, kernel_bytes, cores }
    });
    Some(Projection { measured, memory, kernel, cpu, figures: figures.into() })
}

/// How something of the server grows with connected clients; `None` where it was not measured everywhere, or where the
/// interval of the slope does not exclude that it stays as it is.
fn grows(steps: &[(f64, &Cell)], value: impl Fn(&Cell, &ServerCost) -> Option<f64>) -> Option<Slope> {
    let point = |(servers, cell): &(f64, &Cell)| {
        Some((cell.counts.connected as f64 / servers, value(cell, cell.server.as_ref()?)? / servers))
    };
    let points: Vec<(f64, f64)> = steps.iter().map(point).collect::<Option<_>>()?;
    theil_sen(&points).filter(|slope| slope.bounds.low > 0.0)
}

fn at(slope: &Slope, clients: f64) -> f64 {
    (slope.intercept + slope.value * clients).max(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::curve::{Judgement, Outcome, Step};
    use super::super::search::SearchPlan;
    use super::*;
    use crate::measure::sample;

    fn plan(vary: Vary) -> SearchPlan {
        SearchPlan {
            vary,
            from: 100.0,
            least: 100.0,
            max: 1e5,
            resolution: 0.1,
            quantum: 10.0,
            protocols: vec!["sse".into()],
            budget_s: 600.0,
        }
    }

    /// 4 MB and 7 KB a client; 2 KB of kernel a client; a core for every 5,000 clients.
    fn cell(clients: u32) -> Cell {
        let n = u64::from(clients);
        let cell = sample::cell("capacity/sse/1").with(|cell| {
            cell.spec.clients = clients;
            cell.counts.connected = n;
            cell.measured_s = 10.0;
            let server = cell.server.as_mut().unwrap();
            server.memory_after_bytes = Some(4_000_000 + 7_000 * n);
            server.kernel_empty_bytes = Some(50_000_000);
            server.kernel_after_bytes = Some(50_000_000 + 2_000 * n);
            server.cpu_ns = Some(10 * n * 200_000);
        });
        cell.build()
    }

    fn project(plan: &SearchPlan, cells: &[(Cell, Verdict)]) -> Option<Projection> {
        let step = |(cell, verdict): &'_ (Cell, Verdict)| (plan.vary.load(cell), *verdict);
        let steps = cells.iter().map(|each| {
            let (load, verdict) = step(each);
            Step { load, cell: &each.0, judgement: Judgement { verdict, reasons: Vec::new() } }
        });
        let curve = Curve {
            protocol: "sse",
            plan,
            steps: steps.collect(),
            held: None,
            broken: None,
            outcome: Outcome::OutOfTime,
        };
        of(&curve)
    }

    #[test]
    fn it_is_the_line_through_what_held_and_nothing_else() {
        let mut broken = cell(800);
        broken.server.as_mut().unwrap().memory_after_bytes = Some(900_000_000);
        let cells = [100, 200, 400].map(|clients| (cell(clients), Verdict::Held));
        let with_broken: Vec<_> = cells.into_iter().chain([(broken, Verdict::Broken)]).collect();
        let plan = plan(Vary::Clients);
        let projection = project(&plan, &with_broken).unwrap();
        assert_eq!(projection.measured, [100.0, 400.0]);
        let [ten_k, hundred_k, million] = &projection.figures[..] else { panic!("{projection:?}") };
        let near = |value: Option<f64>, want: f64| {
            assert!((value.unwrap() / want - 1.0).abs() < 1e-9, "{value:?} {want}")
        };
        near(ten_k.memory_bytes, 74e6);
        near(ten_k.kernel_bytes, 20e6);
        near(ten_k.cores, 2.0);
        near(hundred_k.memory_bytes, 704e6);
        near(hundred_k.cores, 20.0);
        assert_eq!((million.clients_per_server(), million.memory_bytes), (10_000.0, ten_k.memory_bytes));
    }

    #[test]
    fn what_several_servers_cost_is_shared_among_them() {
        let mut three = cell(900);
        three.server.as_mut().unwrap().memory_after_bytes = Some(3 * 4_000_000 + 7_000 * 900);
        three.server.as_mut().unwrap().servers = 3;
        let cells = [(cell(100), Verdict::Held), (cell(200), Verdict::Held), (three, Verdict::Held)];
        let projection = project(&plan(Vary::Clients), &cells).unwrap();
        assert_eq!((projection.measured, projection.memory.unwrap().value), ([100.0, 300.0], 7_000.0));
        assert!((projection.figures[0].cores.unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn without_two_numbers_of_clients_there_is_none() {
        let one = [(cell(100), Verdict::Held), (cell(200), Verdict::Broken)];
        assert_eq!(project(&plan(Vary::Clients), &one), None);
        let rates = [(cell(100), Verdict::Held), (cell(200), Verdict::Held)];
        assert_eq!(project(&plan(Vary::Rate), &rates), None);
    }

    #[test]
    fn what_does_not_grow_or_was_not_measured_is_absent() {
        let mut cells = [100, 200].map(|clients| (cell(clients), Verdict::Held));
        cells[1].0.server.as_mut().unwrap().cpu_ns = Some(0);
        cells[0].0.server.as_mut().unwrap().kernel_after_bytes = None;
        let projection = project(&plan(Vary::Clients), &cells).unwrap();
        assert!(projection.memory.is_some() && projection.kernel.is_none() && projection.cpu.is_none());
        assert_eq!(projection.figures[0].cores, None);
    }
}
