//! Where the socket is. Its name may be longer than a socket's address can be, so that it is reached through its
//! directory.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "control.sock";

/// `experiments/lr/control.sock`, of the directory of a sweep.
pub fn socket_path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// A short path to a directory, as long as this lives.
struct Shortcut {
    path: PathBuf,
    _open: File,
}

impl Shortcut {
    fn to(directory: &Path) -> io::Result<Self> {
        let open = File::open(directory)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        // not every system has it
        let path = if through.is_dir() { through } else { directory.to_owned() };
        Ok(Self { path, _open: open })
    }
}

/// The socket of a live coordinator, gone when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket in the place of what an earlier coordinator left there. Nobody else can ever connect: it is made
    /// in a directory of its own that only this user may enter, and moved when its mode is set.
    pub(super) fn bind(directory: &Path) -> io::Result<Self> {
        let shortcut = Shortcut::to(directory)?;
        let private = shortcut.path.join(format!(".control-{}", std::process::id()));
        // of a process of the same number that was killed here
        let _ = fs::remove_dir_all(&private);
        DirBuilder::new().mode(0o700).create(&private)?;
        let made = || -> io::Result<UnixListener> {
            let path = private.join(NAME);
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            fs::rename(&path, shortcut.path.join(NAME))?;
            Ok(listener)
        };
        let made = made();
        // it is empty, unless there is no socket either
        let _ = fs::remove_dir_all(&private);
        Ok(Self { listener: made?, path: socket_path(directory) })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // somebody may have taken it away
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to a coordinator; none if there is none, whatever it has left behind.
pub(super) async fn connect(directory: &Path) -> io::Result<Option<UnixStream>> {
    let shortcut = match Shortcut::to(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        shortcut => shortcut?,
    };
    match UnixStream::connect(shortcut.path.join(NAME)).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}
