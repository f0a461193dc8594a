//! A run's directory, `results/<time>-<name>/`, written so that whatever kills the run leaves the finished cells intact.
//!
//! `cells.jsonl` is the truth: a cell is one line, appended in one write and synced when it ends. `run.json` is
//! written at the start and replaced at the end. Everything else is derived (`report`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cell::{Cell, SCHEMA_VERSION, Status};
use super::run::{Run, RunFile, RunStatus, now_rfc3339};
use crate::quote;

/// Name of the file of cells.
pub const CELLS_FILE: &str = "cells.jsonl";
/// Name of the file about the run.
pub const RUN_FILE: &str = "run.json";

/// Why a result cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made.
    #[error("cannot create {}: {source}; choose another place with --out", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written, for example because the disk is full.
    #[error("cannot write {}: {source}; what was written before is intact", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file says something that no version of rtbench writes.
    #[error("{}:{line}: not a result of rtbench: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A file of another version.
    #[error("{}: written in layout {found}, this rtbench reads layout {SCHEMA_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// No run to be `latest`.
    #[error("there is no run in {}", .0.display())]
    NoRuns(PathBuf),
}

/// A run's directory while the run goes on.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    file: RunFile,
    cells: File,
}

impl Store {
    /// Makes a new directory under `parent` (which is made, too) and writes `run.json`, so that a place that cannot be written
    /// fails before anything is measured. Never reuses a directory: a second run of the same second gets `-2`.
    ///
    /// # Errors
    /// `Create` or `Write`.
    pub fn create(parent: &Path, name: &str, file: RunFile) -> Result<Store, StoreError> {
        let stamp = file.started.replace(['-', ':'], "");
        let dir = new_directory(parent, &format!("{stamp}-{}", safe_name(name)))?;
        let path = dir.join(CELLS_FILE);
        let cells = OpenOptions::new().append(true).create_new(true).open(&path);
        let cells = cells.map_err(|source| StoreError::Write { path, source })?;
        let store = Store { dir, file, cells };
        store.write_run_file()?;
        // Its own entry; those of the files in it are there with `run.json`.
        sync(parent).map_err(|source| StoreError::Write { path: parent.into(), source })?;
        Ok(store)
    }

    /// Opens a run again whose cells are not all there yet. A torn last line is cut off.
    ///
    /// # Errors
    /// What [`load`] says, or `Write`.
    pub fn reopen(dir: &Path) -> Result<Store, StoreError> {
        let run = load(dir)?;
        let path = dir.join(CELLS_FILE);
        let whole = read_bytes(&path)?.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let opened = OpenOptions::new().append(true).open(&path).and_then(|cells| {
            cells.set_len(whole as u64)?;
            Ok(cells)
        });
        let cells = opened.map_err(|source| StoreError::Write { path, source })?;
        let file = RunFile { status: RunStatus::Running, finished: None, ..run.file };
        let store = Store { dir: dir.to_owned(), file, cells };
        store.write_run_file()?;
        Ok(store)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps a cell: one line, one write, on the disk when this returns.
    ///
    /// # Errors
    /// `Write`; the cells before it are intact.
    pub fn append(&mut self, cell: &Cell) -> Result<(), StoreError> {
        self.append_line(cell).map_err(|source| StoreError::Write { path: self.dir.join(CELLS_FILE), source })
    }

    fn append_line(&mut self, cell: &Cell) -> io::Result<()> {
        let mut line = serde_json::to_string(cell)?;
        // A number that is not finite is written as null and would make the whole file unreadable.
        serde_json::from_str::<Cell>(&line)?;
        line.push('\n');
        let before = self.cells.metadata()?.len();
        let written = self.cells.write_all(line.as_bytes()).and_then(|()| self.cells.sync_data());
        if written.is_err() {
            // Half a line must not stand before the next cell.
            let _ = self.cells.set_len(before);
        }
        written
    }

    /// Writes how the run ended, and reads the whole of it back for the reports (`report::save` writes those).
    ///
    /// # Errors
    /// `Write`, or what [`load`] says.
    pub fn finish(mut self, status: RunStatus) -> Result<Run, StoreError> {
        self.file.status = status;
        self.file.finished = Some(now_rfc3339());
        self.write_run_file()?;
        load(&self.dir)
    }

    fn write_run_file(&self) -> Result<(), StoreError> {
        replace(&self.dir.join(RUN_FILE), |out| {
            serde_json::to_writer_pretty(&mut *out, &self.file)?;
            out.write_all(b"\n")
        })
    }
}

/// Writes a file as a whole or not at all, whatever the machine dies of: beside its place first, then renamed into it. Every file of
/// a run comes about in this way, but for `cells.jsonl`, which grows.
///
/// # Errors
/// `Write`.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let written = File::create(&beside).and_then(|file| {
        let mut out = io::BufWriter::new(file);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
        fs::rename(&beside, path)?;
        sync(parent_of(path))
    });
    written.map_err(|source| {
        let _ = fs::remove_file(&beside);
        StoreError::Write { path: path.into(), source }
    })
}

/// Moves a directory to where another may be, which is gone afterwards. At every moment there is one or the other, as a whole; on
/// a file system that cannot exchange two, for a moment the other lies beside its place (`.old`).
///
/// # Errors
/// `Write`.
pub fn replace_directory(from: &Path, to: &Path) -> Result<(), StoreError> {
    let moved = match to.symlink_metadata() {
        Err(_) => fs::rename(from, to),
        // What lay there lies at `from` then.
        Ok(_) => exchange(from, to).and_then(|()| fs::remove_dir_all(from)),
    };
    let synced = moved.and_then(|()| {
        sync(parent_of(to))?;
        sync(parent_of(from))
    });
    synced.map_err(|source| StoreError::Write { path: to.into(), source })
}

/// Two directories change places.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let path = |path: &Path| std::ffi::CString::new(path.as_os_str().as_encoded_bytes());
        let (from, to) = (path(one)?, path(other)?);
        let (here, exchange) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
        // SAFETY: the pointers are to strings that outlive the call.
        let moved = unsafe {
            libc::syscall(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), exchange) == 0
        };
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            _ if moved => return Ok(()),
            // A file system, or a kernel, that cannot.
            Some(libc::EINVAL | libc::ENOSYS) => {}
            _ => return Err(error),
        }
    }
    let mut aside = other.as_os_str().to_owned();
    aside.push(".old");
    // What was left there of another time.
    let _ = fs::remove_dir_all(&aside);
    fs::rename(other, &aside)?;
    fs::rename(one, other)?;
    fs::rename(aside, one)
}

/// Where a file or directory lies.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes what was put into a directory, and what was taken from it, last.
fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Not every file system can, and then there is nothing to wait for.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        done => done,
    }
}

fn new_directory(parent: &Path, name: &str) -> Result<PathBuf, StoreError> {
    fs::create_dir_all(parent).map_err(|source| StoreError::Create { path: parent.into(), source })?;
    let mut path = parent.join(name);
    for again in 2.. {
        match fs::create_dir(&path) {
            Ok(()) => break,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                path = parent.join(format!("{name}-{again}"))
            }
            Err(source) => return Err(StoreError::Create { path, source }),
        }
    }
    Ok(path)
}

/// The name with everything that file systems or shells mind turned into `-`.
pub fn safe_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    if name.starts_with('.') { format!("-{name}") } else { name }
}

/// Reads a run back from its directory.
///
/// # Errors
/// `Read`, `Malformed` or `Version`. A torn last line of `cells.jsonl` is a warning, not an error.
pub fn load(dir: &Path) -> Result<Run, StoreError> {
    let run_path = dir.join(RUN_FILE);
    let text = read(&run_path)?;
    let file: RunFile = parse(&run_path, 1, &text)?;
    let (cells, warning) = read_cells(&dir.join(CELLS_FILE))?;
    let canonical = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = canonical.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    Ok(Run { name: quote::lines(&name), file, cells, warnings: warning.into_iter().collect() })
}

/// Reads the cells of a file, and says whether its last line was torn.
///
/// # Errors
/// As [`load`].
pub fn read_cells(path: &Path) -> Result<(Vec<Cell>, Option<String>), StoreError> {
    let text = read(path)?;
    let mut cells = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match parse(path, index + 1, line) {
            Ok(mut cell) => {
                quote_words(&mut cell);
                cells.push(cell);
            }
            Err(StoreError::Malformed { .. }) if !line.ends_with('\n') => {
                let place = format!("{}:{}", path.display(), index + 1);
                return Ok((
                    cells,
                    Some(format!(
                        "{place}: the last line is torn and was skipped; the run was killed while writing it"
                    )),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((cells, None))
}

fn read(path: &Path) -> Result<String, StoreError> {
    // A torn line may end inside a character; what is wrong with it will show when it is parsed.
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|source| StoreError::Read { path: path.into(), source })
}

/// Reads JSON after looking at its version alone, so that another layout is called that, and not malformed.
fn parse<T: DeserializeOwned>(path: &Path, line: usize, text: &str) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let malformed = |e: serde_json::Error| StoreError::Malformed {
        path: path.into(),
        line: line + e.line().saturating_sub(1),
        message: quote::line(&e.to_string()),
    };
    let Version { schema_version: found } = serde_json::from_str(text).map_err(malformed)?;
    if found != SCHEMA_VERSION {
        return Err(StoreError::Version { path: path.into(), found });
    }
    if may_be_printed(text) {
        return serde_json::from_str(text).map_err(malformed);
    }
    let mut record: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
    quote::record(&mut record);
    // Not from the value: a second decoder of all that a record holds would be a twentieth of what is compiled.
    serde_json::from_str(&record.to_string()).map_err(malformed)
}

/// Whether no text of a record can hold what a terminal would obey. JSON may spell that out.
fn may_be_printed(json: &str) -> bool {
    let spelled_out = [r"\u", r"\b", r"\f", r"\r"].iter().any(|escape| json.contains(&escape[1..]));
    !spelled_out && quote::is_clean(json)
}

/// Cuts what servers and other programs said, which older records hold in full.
fn quote_words(cell: &mut Cell) {
    if let Status::Failed(reason) = &mut cell.status {
        *reason = quote::within(reason, quote::MAX_REASON_CHARS);
    }
    for failure in &mut cell.failures {
        for words in [&mut failure.phase, &mut failure.kind, &mut failure.example] {
            *words = quote::line(words);
        }
    }
    let reasons = cell.trust.reasons.iter_mut();
    for words in reasons.chain(cell.probes.iter_mut().map(|probe| &mut probe.detail)) {
        *words = quote::within(words, quote::MAX_REASON_CHARS);
    }
}

/// The newest run under `parent`, by the time in its name.
///
/// # Errors
/// `Read` or `NoRuns`.
pub fn latest(parent: &Path) -> Result<PathBuf, StoreError> {
    let entries = fs::read_dir(parent).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::NoRuns(parent.into()),
        _ => StoreError::Read { path: parent.into(), source },
    })?;
    let runs = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        (is_stamped(&name) && parent.join(&name).join(RUN_FILE).is_file()).then_some(name)
    });
    runs.max().map(|name| parent.join(name)).ok_or_else(|| StoreError::NoRuns(parent.into()))
}

/// Whether a name begins as [`Store::create`] makes it: `20261124T081500Z-`.
fn is_stamped(name: &str) -> bool {
    const PATTERN: &[u8] = b"00000000T000000Z-";
    let fits = |(&byte, &like): (&u8, &u8)| if like == b'0' { byte.is_ascii_digit() } else { byte == like };
    name.len() > PATTERN.len() && name.as_bytes().iter().zip(PATTERN).all(fits)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
