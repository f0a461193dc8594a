//! What a test cannot do without and this machine does not have. It is said at once, past the test runner, which keeps what tests
//! print; and `tests/zz_not_tested.rs`, which runs last, lists it all. `RTBENCH_FORBID_SKIP=1` makes it a failure.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How the names of lists begin.
pub const LIST: &str = "rtbench-not-tested-";

/// Whether a program is missing that Debian has in this package.
pub fn program(name: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    lacks(!places.any(|place| place.join(name).is_file()), name, &format!("apt-get install {package}"))
}

/// Whether Python is missing.
pub fn python() -> bool {
    program("python3", "python3")
}

/// Whether Python or one of these modules of it is missing.
pub fn modules(names: &[&str]) -> bool {
    let find = format!("import {}", names.join(", "));
    let found = || Command::new("python3").args(["-c", &find]).stdin(Stdio::null()).output();
    python()
        || lacks(
            !found().unwrap().status.success(),
            &names.join(" and "),
            &format!("python3 -m pip install {}", names.join(" ")),
        )
}

/// Says and keeps what is missing, if it is.
pub fn lacks(missing: bool, what: &str, advice: &str) -> bool {
    if missing {
        let forbidden = std::env::var_os("RTBENCH_FORBID_SKIP").is_some_and(|value| value == "1");
        assert!(!forbidden, "{what} is missing: {advice}");
        let thread = std::thread::current();
        let program = std::env::current_exe().unwrap();
        let file = program.file_stem().unwrap().to_string_lossy();
        let target = file.rsplit_once('-').map_or(&*file, |(target, _)| target);
        let line = format!("{what}\t{advice}\t{target}: {}\n", thread.name().unwrap_or("a test"));
        let _ = std::io::stderr().write_all(format!("NOT TESTED: {}", line.replace('\t', "; ")).as_bytes());
        let list = File::options().append(true).create(true).open(list());
        list.unwrap().write_all(line.as_bytes()).unwrap();
    }
    missing
}

/// Where the tests of one `cargo test`, which is the parent of all of them, keep what was missing: beside the tests.
pub fn list() -> PathBuf {
    let name = format!("{LIST}{}", std::os::unix::process::parent_id());
    std::env::current_exe().unwrap().with_file_name(name)
}
