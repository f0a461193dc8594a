//! The HTML report of a real run: written by the program, and looked at by a real browser.
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use program::{assert_exit, run, text};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results/reference-matrix");

/// Widths of windows, from a small phone to a desk.
const WIDTHS: [u32; 4] = [320, 360, 768, 1280];

/// Says how wide the page is in a window of its width, with everything open, and what reaches beyond it.
const PROBE: &str = "<script>addEventListener('load', () => {
    document.querySelectorAll('details').forEach(details => details.open = true);
    const root = document.documentElement, width = root.clientWidth;
    const boxed = element => element.closest('.scroll table, pre *');
    const beyond = [...document.querySelectorAll('body *')].filter(element =>
        !boxed(element) && element.getBoundingClientRect().right > width + 1);
    const names = beyond.slice(0, 3).map(element => element.outerHTML.slice(0, 80).replace(/[<>]/g, ' '));
    parent.postMessage(`${root.scrollWidth - width} over, ${beyond.length} beyond ${names}`, '*');
})</script>";

fn render(dir: &Path) -> String {
    let output = run(&["report", REFERENCE, "--format", "html", "--out", dir.to_str().unwrap()]);
    assert_exit(&output, 0);
    assert!(text(&output).contains("report.html"));
    fs::read_to_string(dir.join("report.html")).unwrap()
}

#[test]
fn a_run_is_rendered_again_from_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let page = render(dir.path());
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let output = run(&["report", REFERENCE, "--format", "html", "--out", "-"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), page);
}

#[test]
fn nothing_reaches_beyond_a_phone_and_no_browser_complains() {
    let dir = tempfile::tempdir().unwrap();
    let page = render(dir.path());
    fs::write(dir.path().join("inner.html"), page + PROBE).unwrap();
    let frames =
        WIDTHS.map(|width| format!("<iframe src=inner.html style='width:{width}px'></iframe>")).concat();
    let listen = "<script>addEventListener('message', event => {
        document.body.insertAdjacentHTML('beforeend', `<p>found ${event.data}</p>`) })</script>";
    fs::write(dir.path().join("outer.html"), format!("{listen}{frames}")).unwrap();
    let Some(output) = browse(dir.path(), "outer.html") else { return };
    let shown = text(&output);
    assert_eq!(shown.matches("<p>found 0 over, 0 beyond </p>").count(), WIDTHS.len(), "{shown}");
    assert!(!shown.contains("CONSOLE"), "{shown}");
}

/// The page after its scripts ran, and what the browser had to say; nothing where there is no browser.
fn browse(dir: &Path, page: &str) -> Option<Output> {
    if missing::program("chromium", "chromium") {
        return None;
    }
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("file://{}", dir.join(page).display()))
        .output();
    Some(output.unwrap())
}
