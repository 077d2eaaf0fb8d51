//! The file that a recording goes to, written by a thread of its own so that a slow disk delays nothing.
//!
//! What waits to be written is bounded by the bound of the whole recording. A write error ends the recording, not the
//! node.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

pub(crate) struct Tape {
    pieces: mpsc::Sender<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl Tape {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = create_private(path)?;
        let (pieces, written) = mpsc::channel::<Vec<u8>>();
        let thread = std::thread::Builder::new().name("gossip-tape".into()).spawn(move || {
            for piece in written {
                if let Err(error) = file.write_all(&piece) {
                    tracing::warn!(%error, "the recording ends here");
                    return;
                }
            }
        })?;
        Ok(Self { pieces, thread })
    }

    pub(crate) fn write(&self, piece: Vec<u8>) {
        // An error says that the thread gave up, which it has logged.
        let _ = self.pieces.send(piece);
    }

    /// Blocks until everything is written.
    pub(crate) fn finish(self) {
        drop(self.pieces);
        if self.thread.join().is_err() {
            tracing::warn!("the thread that writes the recording panicked");
        }
    }
}

/// A recording contains the key of the cluster, and an older one may be the only trace of a crash: nobody else may read
/// it, and nothing is overwritten.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
