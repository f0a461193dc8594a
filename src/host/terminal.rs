//! The size of the terminal.

/// Columns of the terminal on the standard output; `None` if there is none.
pub fn columns() -> Option<usize> {
    // SAFETY: an all-zero `winsize` is a valid value of it, and the call writes nothing else.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        if libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) != 0 {
            return None;
        }
        size
    };
    (size.ws_col > 0).then_some(size.ws_col.into())
}
