//! A program that is started many times. It is opened once and held: where a build or an update puts another file in its place
//! meanwhile, the processes of one run are still the same program, and one that was removed is still there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What is started, under the name by which it was found.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
    /// Linux names an open file by its descriptor, and a child has that until it is another program.
    held: Option<Arc<File>>,
}

impl Image {
    /// The program that runs, also if its file has been replaced since it was started.
    ///
    /// # Errors
    /// The system does not tell where it lies, or there is no descriptor left.
    pub fn own() -> io::Result<Image> {
        static OWN: OnceLock<Image> = OnceLock::new();
        if let Some(own) = OWN.get() {
            return Ok(own.clone());
        }
        let path = std::env::current_exe()?;
        let running = Path::new("/proc/self/exe");
        let own = if running.exists() { Image::hold(running, path)? } else { Image::from(path) };
        Ok(OWN.get_or_init(|| own).clone())
    }

    /// The program that lies there now.
    ///
    /// # Errors
    /// There is none.
    pub fn at(path: &Path) -> io::Result<Image> {
        if is_script(path) {
            return Ok(Image::from(path.to_owned()));
        }
        Image::hold(path, path.to_owned())
    }

    #[cfg(target_os = "linux")]
    fn hold(file: &Path, path: PathBuf) -> io::Result<Image> {
        use std::os::unix::fs::OpenOptionsExt;
        // One may run a program that one may not read.
        let file = File::options().read(true).custom_flags(libc::O_PATH).open(file)?;
        let held = Image { path, held: Some(Arc::new(file)) };
        Ok(if held.file().exists() { held } else { Image::from(held.path) })
    }

    #[cfg(not(target_os = "linux"))]
    fn hold(file: &Path, path: PathBuf) -> io::Result<Image> {
        file.metadata().map(|_| Image::from(path))
    }

    /// What it is called: where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to start.
    pub fn file(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        let of = |held: &Arc<File>| format!("/proc/self/fd/{}", held.as_raw_fd()).into();
        self.held.as_ref().map_or_else(|| self.path.clone(), of)
    }
}

/// Its interpreter opens it by the name under which it was started, when the descriptor is no longer there.
fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let mut first = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok_and(|()| first == *b"#!")
}

/// Not held: whatever lies there when it is started.
impl From<PathBuf> for Image {
    fn from(path: PathBuf) -> Image {
        Image { path, held: None }
    }
}

/// As of a [`PathBuf`].
impl From<&str> for Image {
    fn from(path: &str) -> Image {
        Image::from(PathBuf::from(path))
    }
}
