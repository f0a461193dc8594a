//! A browser's process: found in PATH, started without a window on a profile of its own, and gone with both when its
//! handle is.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::host::programs;
use crate::quote;

/// Programs that are a browser with these options, and what people call them.
const PROGRAMS: [(&str, &str); 3] =
    [("chromium", "Chromium"), ("chromium-browser", "Chromium"), ("google-chrome", "Google Chrome")];

#[rustfmt::skip]
const OPTIONS: [&str; 15] = [
    "--headless",
    // The one page it sees is our own, and root and many containers have no sandbox.
    "--no-sandbox",
    // Nothing but the page: no first steps, no updates, no reports of crashes.
    "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update",
    "--disable-extensions", "--disable-sync", "--disable-breakpad", "--disable-crash-reporter", "--disable-gpu",
    // Containers often have little of it.
    "--disable-dev-shm-usage",
    // A proxy from the environment would stand between.
    "--no-proxy-server",
    // The server is on this machine, which may have no other network; a page that was allowed the camera sees them all.
    "--allow-loopback-in-peer-connection", "--use-fake-ui-for-media-stream",
];

/// A browser that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The file to execute.
    pub(super) path: PathBuf,
    /// What people call it.
    pub(super) name: &'static str,
}

impl Program {
    /// The first that lies in one of these directories.
    pub(super) fn find(places: &[PathBuf]) -> Option<Program> {
        let found = |(file, name): &(&str, &'static str)| {
            Some(Program { path: programs::find_in(places, file)?, name })
        };
        PROGRAMS.iter().find_map(found)
    }
}

/// A browser that shows a page, in a process group of its own.
pub(super) struct Browser {
    child: Child,
    group: Option<libc::pid_t>,
    profile: Profile,
}

impl Browser {
    /// Starts it on a page.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(program: &Program, url: &str) -> Result<Browser> {
        let profile = Profile::create().context("cannot create a profile for the browser")?;
        let mut command = Command::new(&program.path);
        command
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.dir.display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(profile.words())?)
            .process_group(0)
            .kill_on_drop(true);
        // What it would leave in the user's directories goes away with the profile.
        for name in ["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(name, &profile.dir);
        }
        end_with_us(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.path.display()))?;
        let group = child.id().map(|pid| pid as libc::pid_t);
        Ok(Browser { child, group, profile })
    }

    /// The last lines that it wrote to its standard error.
    pub(super) fn final_lines(&self) -> String {
        let words = fs::read(self.profile.words()).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let lines: Vec<&str> = words.lines().collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        last.iter().map(|words| quote::line(words)).collect::<Vec<_>>().join(" | ")
    }

    /// Ends it, and waits until it is gone.
    pub(super) async fn end(mut self) {
        self.kill();
        let _ = self.child.wait().await;
    }

    /// Nothing of the profile is kept, so nothing needs to end in good order. The writer of crash reports, alone in
    /// leaving the group, ends when those that it watches are gone.
    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // SAFETY: no memory is involved. The leader has not been waited for, so the group's number is still its own.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The browser is killed with the thread that started it: a program that is killed itself drops nothing.
fn end_with_us(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only this one system call is made, which takes no lock and no memory.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// A directory for one browser's files.
struct Profile {
    dir: PathBuf,
}

impl Profile {
    fn create() -> io::Result<Profile> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Relaxed);
            let dir = std::env::temp_dir().join(format!("rtbench-browser-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(Profile { dir }),
                // Of a process that had our number before.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where its standard error goes.
    fn words(&self) -> PathBuf {
        self.dir.join("stderr.txt")
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // The browser's children are killed, but may not have ended yet, and go on writing until they have.
        for _ in 0..50 {
            let _ = fs::remove_dir_all(&self.dir);
            if !self.dir.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with a program in it that does what the script says.
    fn installed(script: &str) -> (tempfile::TempDir, Program) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chromium-browser");
        fs::write(&file, script).unwrap();
        assert_eq!(
            Program::find(&[dir.path().to_owned()]),
            None,
            "a file that cannot be executed is no program"
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let program = Program::find(&[dir.path().to_owned()]).unwrap();
        assert_eq!(program, Program { path: file, name: "Chromium" });
        (dir, program)
    }

    fn alive(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !matches!(rest.trim().chars().next(), None | Some('Z' | 'X')))
    }

    /// Its child's pid, once there is one.
    async fn childs_pid(browser: &Browser) -> String {
        let file = browser.profile.dir.join("pid");
        for _ in 0..500 {
            match fs::read_to_string(&file) {
                Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("the browser did not start: {}", browser.final_lines());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn neither_children_nor_files_are_left_behind() {
        let (_dir, program) = installed("#!/bin/sh\nsleep 60 &\necho alas >&2\necho $! > $HOME/pid\nwait\n");
        for dropped in [false, true] {
            let browser = Browser::start(&program, "http://127.0.0.1:9/").unwrap();
            let (pid, dir) = (childs_pid(&browser).await, browser.profile.dir.clone());
            assert!(alive(&pid) && dir.exists());
            assert_eq!(browser.final_lines(), "alas");
            if dropped {
                drop(browser)
            } else {
                browser.end().await
            }
            assert!(!dir.exists(), "{}", dir.display());
            for _ in 0..100 {
                if alive(&pid) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            assert!(!alive(&pid));
        }
    }
}
