#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::cell::FailureCount;
use crate::measure::run::{RunKind, ScenarioText};
use crate::measure::sample;
use crate::scenario::cell_id::Kind;

fn begin(started: &str) -> RunFile {
    let scenario = ScenarioText { name: "matrix".into(), text: "[load]\n".into() };
    let file = RunFile::begin(RunKind::Matrix, vec!["rtbench".into(), "matrix".into()], 7, scenario);
    RunFile { started: started.into(), ..file }
}

fn store(parent: &Path) -> Store {
    Store::create(parent, "matrix", begin("2026-11-24T08:15:00Z")).unwrap()
}

#[test]
fn a_run_comes_back_as_it_was() {
    let parent = tempfile::tempdir().unwrap();
    let mut store = store(&parent.path().join("results"));
    let cells =
        ["workload/sse", "workload/websocket"].map(|name| sample::cell(name).stream(2.0, 6.0).build());
    for cell in &cells {
        store.append(cell).unwrap();
    }
    let run = store.finish(RunStatus::Finished).unwrap();
    assert_eq!(run.name, "20261124T081500Z-matrix");
    assert_eq!((run.file.status, run.file.seed, run.warnings.len()), (RunStatus::Finished, 7, 0));
    assert!(run.file.finished.is_some());
    let json = |cells: &[Cell]| serde_json::to_string(cells).unwrap();
    assert_eq!(json(&run.cells), json(&cells));
}

#[test]
fn nothing_is_overwritten_and_the_latest_is_the_newest_by_name() {
    let parent = tempfile::tempdir().unwrap();
    assert!(matches!(latest(parent.path()), Err(StoreError::NoRuns(_))));
    let first = store(parent.path()).dir().to_owned();
    let second = store(parent.path()).dir().to_owned();
    assert_eq!(second, first.with_file_name("20261124T081500Z-matrix-2"));
    fs::create_dir(parent.path().join("reference")).unwrap();
    fs::create_dir(parent.path().join("20991231T000000Z-empty")).unwrap();
    assert_eq!(latest(parent.path()).unwrap(), second);
    let newer = Store::create(parent.path(), "run: a/b", begin("2026-11-24T08:15:01Z")).unwrap();
    assert_eq!(newer.dir().file_name().unwrap(), "20261124T081501Z-run--a-b");
    assert_eq!(latest(parent.path()).unwrap(), newer.dir());
    assert!(matches!(latest(&parent.path().join("nowhere")), Err(StoreError::NoRuns(_))));
}

#[test]
fn a_killed_run_keeps_its_finished_cells() {
    let parent = tempfile::tempdir().unwrap();
    let mut store = store(parent.path());
    store.append(&sample::cell("workload/sse").build()).unwrap();
    let whole = fs::read(store.dir().join(CELLS_FILE)).unwrap();
    for torn in [1, whole.len() / 2, whole.len() - 2] {
        let text = [&whole[..], &whole[..torn]].concat();
        fs::write(store.dir().join(CELLS_FILE), text).unwrap();
        let run = load(store.dir()).unwrap();
        assert_eq!((run.cells.len(), run.warnings.len()), (1, 1), "{torn} bytes of the second line");
        assert!(run.warnings[0].contains("cells.jsonl:2"), "{:?}", run.warnings);
        assert_eq!(run.file.status, RunStatus::Running);
    }
}

#[test]
fn a_killed_run_that_is_opened_again_goes_on_behind_its_last_whole_cell() {
    let parent = tempfile::tempdir().unwrap();
    let mut killed = store(parent.path());
    killed.append(&sample::cell("workload/sse").build()).unwrap();
    let whole = fs::read_to_string(killed.dir().join(CELLS_FILE)).unwrap();
    fs::write(killed.dir().join(CELLS_FILE), format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
    let mut store = Store::reopen(killed.dir()).unwrap();
    store.append(&sample::cell("workload/websocket").build()).unwrap();
    let run = store.finish(RunStatus::Finished).unwrap();
    let names: Vec<String> = run.cells.iter().map(|cell| cell.spec.id.to_string()).collect();
    assert_eq!(
        (names, run.warnings.len()),
        (["workload/sse", "workload/websocket"].map(str::to_owned).to_vec(), 0)
    );
}

#[test]
fn a_broken_line_in_the_middle_is_an_error_with_its_place() {
    let parent = tempfile::tempdir().unwrap();
    let mut store = store(parent.path());
    store.append(&sample::cell("workload/sse").build()).unwrap();
    let path = store.dir().join(CELLS_FILE);
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}{{\"schema_version\":1}}\n{good}")).unwrap();
    let error = load(store.dir()).unwrap_err();
    assert!(matches!(error, StoreError::Malformed { line: 2, .. }), "{error}");
    fs::write(&path, good.replace("\"schema_version\":1", "\"schema_version\":99")).unwrap();
    assert!(matches!(load(store.dir()), Err(StoreError::Version { found: 99, .. })));
}

#[test]
fn a_place_that_cannot_be_written_fails_before_anything_is_measured() {
    let parent = tempfile::tempdir().unwrap();
    let blocked = parent.path().join("file");
    fs::write(&blocked, "").unwrap();
    let error = Store::create(&blocked, "matrix", begin("2026-11-24T08:15:00Z")).unwrap_err();
    assert!(matches!(&error, StoreError::Create { path, .. } if *path == blocked), "{error}");
    assert!(error.to_string().contains("--out"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let parent = tempfile::tempdir().unwrap();
    let mut store = store(parent.path());
    store.cells = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let error = store.append(&sample::cell("workload/sse").build()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    assert!(error.to_string().contains("cells.jsonl"), "{error}");
}

#[test]
fn a_cell_that_could_not_be_read_back_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let mut store = store(parent.path());
    let error = store.append(&sample::cell("workload/sse").with(|cell| cell.connect_s = f64::NAN).build());
    assert!(matches!(error, Err(StoreError::Write { .. })), "{error:?}");
    store.append(&sample::cell("workload/sse").build()).unwrap();
    assert_eq!(store.finish(RunStatus::Finished).unwrap().cells.len(), 1);
}

#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    replace(&path, |out| out.write_all(b"old")).unwrap();
    let failed = replace(&path, |out| out.write_all(b"half").and(Err(io::ErrorKind::StorageFull.into())));
    assert!(failed.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no scraps are left");
}

#[test]
fn what_servers_said_in_older_records_is_quoted() {
    let parent = tempfile::tempdir().unwrap();
    let mut store = store(parent.path());
    let page = "\u{1b}]0;a title\u{7}<!DOCTYPE html>\n".to_owned() + &"x".repeat(150_000);
    let mut cell = sample::cell("workload/sse").build();
    cell.spec.id.kind = Some(Kind::new("work\u{1b}[2Jload"));
    cell.status = Status::Failed(format!("no client could connect: {page}"));
    let count = |example: &str| FailureCount {
        phase: "subscribe".into(),
        kind: "HTTP status 500".into(),
        count: 1,
        example: example.into(),
    };
    cell.failures = vec![count(&page), count("a=ice-pwd:Secret")];
    cell.trust.reasons = vec![page.clone()];
    store.append(&cell).unwrap();
    let run = store.finish(RunStatus::Finished).unwrap();
    let text = serde_json::to_string(&run.cells).unwrap();
    assert!(!text.contains("\\u001b") && !text.contains("Secret"), "{text}");
    assert!(text.len() < 20_000, "{} bytes", text.len());
    assert_eq!(run.cells[0].spec.id.to_string(), "workload/sse");
    assert!(run.cells[0].failures[0].example.starts_with("<!DOCTYPE html> xxx"));
    // What nobody else wrote is as it was.
    assert_eq!(run.cells[0].response, cell.response);
}

/// Whatever lies in a run's directory, it is read or refused in words, and what is read may be printed.
#[test]
fn fuzz_run_files() {
    let mut cell = sample::cell("workload/sse").stream(62.0, 0.0).build();
    cell.trust.reasons.push("a \u{1b}[1m reason".into());
    let line = serde_json::to_vec(&cell).unwrap();
    let two = [&line[..], b"\n", &line, b"\n"].concat();
    let file = serde_json::to_vec_pretty(&begin("2026-11-24T08:15:00Z")).unwrap();
    let parent = tempfile::tempdir().unwrap();
    crate::fuzz::fuzz(&[&two, &file, &line], |input, _| {
        let path = parent.path().join(CELLS_FILE);
        fs::write(&path, input).unwrap();
        if let Ok((cells, _)) = read_cells(&path) {
            let text = serde_json::to_string(&cells).unwrap();
            assert!(!text.contains("\\u001b") && !text.contains("\\u009b"), "{text}");
        }
        let _ = parse::<RunFile>(&path, 1, &String::from_utf8_lossy(input));
    });
}

#[test]
fn a_run_that_was_killed_says_so_and_what_is_missing() {
    let parent = tempfile::tempdir().unwrap();
    let planned = ["workload/sse", "workload/websocket", "workload/websocket r1"].map(str::to_owned).to_vec();
    let file = RunFile { planned, ..begin("2026-11-24T08:15:00Z") };
    let mut killed = Store::create(parent.path(), "matrix", file).unwrap();
    killed.append(&sample::cell("workload/sse").build()).unwrap();
    let run = load(killed.dir()).unwrap();
    let words = "this run is unfinished: it still runs, or was killed; 1 of 3 cells were measured; not measured: \
                 workload/websocket, workload/websocket r1";
    assert_eq!((run.ending(), run.unfinished().as_deref()), ("unfinished", Some(words)));
    let run = killed.finish(RunStatus::Failed("no disk".into())).unwrap();
    assert!(run.unfinished().unwrap().contains("it failed: no disk"));
}

#[test]
fn a_directory_takes_the_place_of_another() {
    let parent = tempfile::tempdir().unwrap();
    let [baseline, first, second] = ["baseline", "first", "second"].map(|name| parent.path().join(name));
    for (from, text) in [(&first, "old"), (&second, "new")] {
        fs::create_dir(from).unwrap();
        fs::write(from.join("file"), text).unwrap();
        replace_directory(from, &baseline).unwrap();
        assert_eq!(fs::read_to_string(baseline.join("file")).unwrap(), text);
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing else is left");
    assert!(replace_directory(&first, &baseline).is_err());
    assert_eq!(fs::read_to_string(baseline.join("file")).unwrap(), "new", "what was there is there");
}
