//! What a server costs, whatever it is made of: threads that end, a master and those it forked, a script that stays the parent.
//! Held against the servers' own accounts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use program::{assert_exit, cells, lives, rtbench, run_dir, signal, wait_for};
use rtbench::host::cores::{self, Mask};
use rtbench::host::family::{Family, Root};
use serde_json::Value;

const RTBENCH: &str = env!("CARGO_BIN_EXE_rtbench");

/// How far a cost may be from the truth, as a share.
const TOLERANCE: f64 = 0.02;

const POLLS: &str = "about = \"Polls over new connections\"\n[load]\npattern = \"broadcast\"\nprotocols = \"short-poll\"\n\
    clients = 40\ngroup = 10\nrate = \"20/s\"\npayload = \"100B\"\nwarmup = \"0s\"\nduration = \"4s\"\n\
    [short_poll]\ninterval = \"200ms\"\nkeep_alive = false\n";

const ECHOES: &str = "about = \"Echoes\"\n[load]\npattern = \"echo\"\nprotocols = \"websocket\"\nclients = 12\n\
    rate = \"20/s\"\npayload = \"100B\"\nwarmup = \"0s\"\nduration = \"4s\"\n";

/// A server in a process of its own; it ends with everything it started.
struct Standing {
    child: Child,
    url: String,
}

impl Standing {
    fn start(command: &mut Command) -> Standing {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Standing { url: format!("http://{}", ready["ready"]["http"].as_str().unwrap()), child }
    }

    /// One of the servers in Python; `None` where there is no Python, which is said.
    fn python(script: &str, args: &[&str]) -> Option<Standing> {
        if missing::python() {
            return None;
        }
        let script = format!("{}/tests/servers/{script}", env!("CARGO_MANIFEST_DIR"));
        Some(Standing::start(Command::new("python3").arg(script).args(args)))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn family(&self) -> Vec<u32> {
        let family = Family::of(&[Root { pid: self.pid(), leads_group: true }]).unwrap();
        family.members().map(|(pid, _)| pid).collect()
    }

    /// The cell of a scenario that was put on it, with the cost of process `pid`.
    #[track_caller]
    fn measured(&self, scenario: &str, pid: u32) -> Value {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let mut command = rtbench();
        command.arg("run").arg(file).args([
            "--quiet",
            "--target",
            &self.url,
            "--server-pid",
            &pid.to_string(),
        ]);
        let output = command.arg("--out").arg(dir.path().join("out")).output().unwrap();
        assert_exit(&output, 0);
        let cell = cells(&run_dir(&dir.path().join("out")).unwrap()).remove(0);
        println!("{} trust {}", cell["server"], cell["trust"]);
        assert_eq!(cell["counts"]["delivered"], cell["counts"]["expected"]);
        cell
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        for pid in self.family() {
            signal(pid, libc::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

#[track_caller]
fn assert_close(what: &str, measured: f64, truth: f64) {
    let off = measured / truth - 1.0;
    println!("{what}: {measured:.0}, by its own account {truth:.0}: {:+.2}%", off * 100.0);
    assert!(off.abs() <= TOLERANCE, "{what} is {measured}, and by its own account {truth}");
}

fn doubts(cell: &Value) -> String {
    cell["trust"]["reasons"].to_string()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn threads_that_ended_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let account = dir.path().join("account");
    let Some(server) = Standing::python("threads.py", &[account.to_str().unwrap()]) else { return };
    let cell = server.measured(POLLS, server.pid());
    let truth_ns = own_account_ns(&account, number(&cell["measured_s"]));
    assert_close("CPU, ns", number(&cell["server"]["cpu_ns"]), truth_ns);
    assert_eq!(cell["server"]["listeners"][0]["place"], "read");
    let seconds = cell["intervals"].as_array().unwrap().iter().map(|second| number(&second["server_cpu_ns"]));
    assert_close("CPU of all seconds, ns", seconds.sum(), truth_ns);
}

/// CPU that the processes of a server have used in the `window_s` from the first message on, in ns, by their own account.
fn own_account_ns(account: &Path, window_s: f64) -> f64 {
    let mut of_each: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for line in std::fs::read_to_string(account).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        of_each
            .entry(words[0].to_owned())
            .or_default()
            .push([words[1], words[2]].map(|word| word.parse().unwrap()));
    }
    let first_s = of_each.values().map(|lines| lines[0][0]).fold(f64::INFINITY, f64::min);
    let used_s = |lines: &Vec<[f64; 2]>| {
        // What came behind the window is cut off in the middle of a message; where it came before, its pace goes on.
        let [first, last] = [lines[0], lines[lines.len() - 1]];
        let end_s = first_s + window_s;
        let behind = lines.iter().position(|line| line[0] > end_s);
        let [from, to] = behind.map_or([first, last], |at| [lines[at - 1], lines[at]]);
        from[1] - first[1] + (to[1] - from[1]) * (end_s - from[0]) / (to[0] - from[0])
    };
    of_each.values().map(used_s).sum::<f64>() * 1e9
}

#[test]
fn a_master_and_its_workers_are_counted_and_what_they_share_once() {
    let dir = tempfile::tempdir().unwrap();
    let account = dir.path().join("account");
    let Some(server) = Standing::python("prefork.py", &[account.to_str().unwrap(), "3", "0"]) else { return };
    let cell = server.measured(ECHOES, server.pid());
    let cost = &cell["server"];
    assert_close("CPU, ns", number(&cost["cpu_ns"]), own_account_ns(&account, number(&cell["measured_s"])));
    assert_eq!((&cost["process_count"], &cost["cpu_ticked_ns"]), (&4.into(), &0.into()));
    assert!(!doubts(&cell).contains("port") && !doubts(&cell).contains("CPU"), "{}", doubts(&cell));
    let pages = pages(&server.family());
    missing::lacks(pages.is_none(), "the right to see which pages are shared", "run as root");
    if let Some(pages) = pages {
        assert_close("memory, bytes", number(&cost["memory_after_bytes"]), pages as f64 * 4096.0);
    }
}

/// Different pages without a file that these processes have, by their frames; `None` where frames are hidden.
fn pages(pids: &[u32]) -> Option<usize> {
    const PRESENT: u64 = 1 << 63;
    const OF_FILE: u64 = 1 << 61;
    let mut frames = BTreeSet::new();
    for pid in pids {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let mut pagemap = std::fs::File::open(format!("/proc/{pid}/pagemap")).unwrap();
        for line in maps.lines().filter(|line| !line.contains("[v")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap() / 4096);
            pagemap.seek(SeekFrom::Start(from * 8)).unwrap();
            let mut entries = vec![0; ((to - from) * 8) as usize];
            pagemap.read_exact(&mut entries).unwrap();
            for entry in entries.chunks_exact(8).map(|entry| u64::from_ne_bytes(entry.try_into().unwrap())) {
                if entry & PRESENT != 0 && entry & OF_FILE == 0 {
                    frames.insert(entry & ((1 << 55) - 1));
                }
            }
        }
    }
    (frames.len() > 1).then_some(frames.len())
}

#[test]
fn children_that_ended_are_counted_to_a_tick() {
    let dir = tempfile::tempdir().unwrap();
    let account = dir.path().join("account");
    let Some(server) = Standing::python("prefork.py", &[account.to_str().unwrap(), "1", "10"]) else {
        return;
    };
    let cell = server.measured(&ECHOES.replace("\"4s\"", "\"8s\""), server.pid());
    let cost = &cell["server"];
    assert_close("CPU, ns", number(&cost["cpu_ns"]), own_account_ns(&account, number(&cell["measured_s"])));
    // One worker waited for children; its master waited for none.
    assert_eq!(cost["cpu_error_ns"], 20_000_000);
    assert!(number(&cost["cpu_ticked_ns"]) > 0.5 * number(&cost["cpu_ns"]), "{cost}");
}

#[test]
fn a_process_that_is_not_the_server_or_only_a_part_of_it_is_doubted() {
    let dir = tempfile::tempdir().unwrap();
    let account = dir.path().join("account");
    let Some(server) = Standing::python("prefork.py", &[account.to_str().unwrap(), "2", "0"]) else { return };
    let short = ECHOES.replace("\"4s\"", "\"1s\"");
    let worker = *server.family().iter().find(|&&pid| pid != server.pid()).unwrap();
    let doubted = doubts(&server.measured(&short, worker));
    assert!(doubted.contains("the target's port is also held by python3"), "{doubted}");
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let cell = server.measured(&short, stranger.id());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(doubts(&cell).contains("and what was read is the cost of sleep"), "{cell}");
    assert!(doubts(&cell).contains("is held by python3"), "{cell}");
}

/// The cells of a short gate of a server that this script starts against itself.
#[track_caller]
fn gated(script: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("start.sh");
    std::fs::write(&path, script).unwrap();
    let (line, out) = (format!("/bin/sh {}", path.display()), dir.path().join("out"));
    let mut command = rtbench();
    command.args(["gate", "-c", "4", "-z", "100ms", "--tier", "exact", "--quiet", "--out"]).arg(&out);
    assert_exit(&command.args(["--base-server", &line, "--new-server", &line]).output().unwrap(), 0);
    let cells = cells(&run_dir(&out).unwrap());
    assert_eq!(cells.len(), 4);
    cells
}

#[test]
fn a_server_that_a_script_hands_over_is_read_if_it_says_who_it_is() {
    let server = format!("{RTBENCH} serve --stdin-guard");
    for cell in gated(&format!("setsid -f {server}\nexec sleep 1000\n")) {
        let cost = &cell["server"];
        assert_eq!(
            (&cost["listeners"][0]["place"], &cost["process_count"]),
            (&"read".into(), &2.into()),
            "{cost}"
        );
        assert!(number(&cost["cpu_ns"]) > 0.0 && !doubts(&cell).contains("port"), "{}", doubts(&cell));
    }
    for cell in gated(&format!("setsid -f sh -c '{server} | sed -u s/pid/nobody/'\nexec sleep 1000\n")) {
        let cost = &cell["server"];
        assert_eq!((&cost["cpu_ns"], &cost["memory_idle_bytes"]), (&Value::Null, &Value::Null), "{cost}");
        let doubts = doubts(&cell);
        assert!(
            doubts.contains("what the server costs is not known") && doubts.contains("is held by rtbench (")
        );
        assert!(doubts.contains("does not descend from sleep ("), "{doubts}");
    }
}

/// A script that starts the reference server, which burns 200 us for each message, and stays its parent.
fn script() -> String {
    format!("{RTBENCH} serve --fault spin=200us &\nwait $!\n")
}

#[test]
fn a_server_behind_a_script_is_counted() {
    let server = Standing::start(Command::new("/bin/sh").arg("-c").arg(script()));
    let child = *server.family().iter().find(|&&pid| pid != server.pid()).unwrap();
    let before_ns = rtbench::host::process::cpu_ns(child).unwrap();
    let cell = server.measured(ECHOES, server.pid());
    let life_ns = rtbench::host::process::cpu_ns(child).unwrap() - before_ns;
    let (cpu_ns, burnt_ns) =
        (number(&cell["server"]["cpu_ns"]), number(&cell["counts"]["published"]) * 200e3);
    println!("{cpu_ns} ns, of which {burnt_ns} were burnt; {life_ns} before and after the window as well");
    assert!(cpu_ns >= burnt_ns && cpu_ns <= life_ns as f64);
    assert_eq!((&cell["server"]["process_count"], &cell["server"]["cpu_error_ns"]), (&2.into(), &0.into()));
    assert!(number(&cell["server"]["memory_idle_bytes"]) > 1e6);
}

#[test]
fn a_gate_of_commands_reads_what_they_start_and_leaves_nothing_behind() {
    for cell in gated(&script()) {
        let cost = &cell["server"];
        let slices = cell["slices"].as_array().unwrap();
        let sum = |what: &str| slices.iter().map(|slice| number(&slice[what])).sum::<f64>();
        let (cpu_ns, burnt_ns) = (sum("server_cpu_ns"), sum("delivered") * 200e3);
        // One that fell due at the end of the last slice may have been burnt for behind it.
        assert!(burnt_ns > 0.0 && cpu_ns > 0.9 * burnt_ns, "{cpu_ns} {burnt_ns}");
        let processes = cost["processes"].as_array().unwrap();
        let names: BTreeSet<&str> =
            processes.iter().map(|process| process["name"].as_str().unwrap()).collect();
        assert_eq!(names, BTreeSet::from(["rtbench", "sh"]));
        for process in processes {
            let pid = process["pid"].as_u64().unwrap() as u32;
            wait_for("its end", || (!lives(pid)).then_some(()));
        }
    }
}

/// A short run on so many of the cores that this test was given, from the last; the cell and those cores.
fn on_cores(count: usize, args: &[&str]) -> (Value, Vec<usize>) {
    let mut given = cores::of(0).unwrap();
    let given = given.split_off(given.len().saturating_sub(count));
    let mask = Mask::of(&given);
    let out = tempfile::tempdir().unwrap();
    let mut command = rtbench();
    command.args(["run", "echo", "-c", "4", "-z", "1s", "-p", "websocket", "--quiet"]).args(args);
    // SAFETY: between fork and exec there is one system call, on a mask that was made before.
    unsafe {
        command.pre_exec(move || match mask.tie_this_thread() {
            true => Ok(()),
            false => Err(std::io::Error::last_os_error()),
        });
    }
    command.arg("--out").arg(out.path()).output().unwrap();
    (cells(&run_dir(out.path()).unwrap()).remove(0), given)
}

#[test]
fn server_and_workers_are_tied_to_cores_that_were_given() {
    let (cell, given) = on_cores(1, &[]);
    assert_eq!(cell["server"]["cores"], given[0].to_string(), "one core cannot be divided");
    assert_eq!((&cell["generator"]["cores"], &cell["generator"]["untied"]), (&Value::Null, &0.into()));
    let (cell, given) = on_cores(2, &[]);
    if let [server, worker] = given[..] {
        assert_eq!(cell["server"]["cores"], server.to_string());
        assert_eq!(cell["generator"]["cores"], worker.to_string());
    }
}

#[test]
fn a_server_that_stood_before_is_not_moved() {
    let server = Standing::start(Command::new(RTBENCH).arg("serve"));
    let before = cores::of(server.pid());
    let pid = server.pid().to_string();
    let (cell, _) = on_cores(2, &["--target", &server.url, "--server-pid", &pid]);
    assert_eq!(cores::of(server.pid()), before);
    assert_eq!(cell["server"]["cores"], cores::in_words(&before.unwrap()));
    assert_eq!(cell["generator"]["cores"], Value::Null);
}
