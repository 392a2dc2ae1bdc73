//! Who speaks, as the system knows them: a client cannot say so itself.

use std::fs;

use tokio::net::UnixStream;

use crate::sweep::Who;

/// This process and its user.
pub fn here() -> Who {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    Who { user: name(own()), host, pid: std::process::id() }
}

/// The user of this process, by number.
pub(super) fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whoever is at the other end, if that is the user of this process; else their number.
pub(super) fn peer(stream: &UnixStream, host: &str) -> std::io::Result<Result<Who, u32>> {
    let credentials = stream.peer_cred()?;
    let (uid, pid) = (credentials.uid(), credentials.pid().unwrap_or(0));
    Ok(if uid == own() { Ok(Who { user: name(uid), host: host.to_owned(), pid: pid as u32 }) } else { Err(uid) })
}

/// The name of this process's user by number; the number where the system lists no name.
fn name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    listed.unwrap_or_else(|| uid.to_string())
}
