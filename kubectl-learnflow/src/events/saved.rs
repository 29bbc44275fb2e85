//! Logs in files, plain or packed with gzip, in the archive that `bundle` makes, or on standard input; and files that are still
//! written to.

use super::{
    Shared,
    merge::{BATCHES, Log},
};
use crate::problem::Problem;
use flate2::read::MultiGzDecoder;
use learnflow_flow::{Event, Reader};
use std::{
    fs::{self, File, Metadata},
    io::{self, BufReader, Cursor, ErrorKind, Read, Seek},
    path::Path,
    time::Duration,
};
use tokio::sync::mpsc::{Sender, channel};

const AT_A_TIME: usize = 256 * 1024;
/// What a file that is packed with gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Logs of an archive are read side by side, so they must fit into memory. Ten times what `bundle` collects by default.
const ARCHIVE: u64 = 500 << 20;
/// Before it is looked again whether a file has grown.
const PAUSE: Duration = Duration::from_millis(100);

/// Opens all before any is read, so that a wrong name is known at once. With `follow` a plain file is read on as it grows. An
/// archive is several logs.
pub(super) fn open(file: &Path, follow: bool, shared: &Shared) -> Result<Vec<Log>, Problem> {
    let cannot = |e: io::Error| {
        Problem::new(format!("Cannot read {}: {e}.", file.display())).next("Correct --file; `-` is standard input.")
    };
    if file.as_os_str() == "-" {
        return Ok(vec![log(Source::Stream(Box::new(io::stdin())), file, shared)]);
    }
    let opened = File::open(file).map_err(cannot)?;
    let metadata = opened.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(cannot(io::Error::from(ErrorKind::IsADirectory)));
    }
    let name = file.to_string_lossy();
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        let logs = logs_of_archive(opened).map_err(cannot)?.into_iter();
        let logs =
            logs.map(|(name, bytes)| log(Source::Stream(Box::new(Cursor::new(bytes))), Path::new(&name), shared));
        return Ok(logs.collect());
    }
    let source = if follow && metadata.is_file() {
        Source::Growing(opened)
    } else {
        Source::Stream(Box::new(opened))
    };
    Ok(vec![log(source, file, shared)])
}

fn log(source: Source, file: &Path, shared: &Shared) -> Log {
    let (writer, log) = channel(BATCHES);
    let (shared, file) = (shared.clone(), file.to_owned());
    // Files block.
    std::thread::spawn(move || {
        let mut feed = Feed {
            shared,
            writer,
            reader: Reader::default(),
            bytes: vec![0; AT_A_TIME],
        };
        let ended = match source {
            Source::Growing(opened) => feed.follow(opened, &file),
            Source::Stream(stream) => feed.unpacked(stream),
        };
        feed.end();
        if let Err(e) = ended {
            feed.shared
                .note(format!("{} could not be read to its end: {e}", file.display()));
        }
    });
    log
}

enum Source {
    /// To be read on at its end.
    Growing(File),
    Stream(Box<dyn Read + Send>),
}

/// From bytes to whoever wants the events in them.
struct Feed {
    shared: Shared,
    writer: Sender<Vec<Event>>,
    reader: Reader,
    bytes: Vec<u8>,
}

impl Feed {
    /// Reads to the end. False: whoever reads the events has seen enough.
    fn all(&mut self, source: &mut dyn Read) -> io::Result<bool> {
        loop {
            let length = match source.read(&mut self.bytes) {
                Ok(0) => return Ok(true),
                Ok(length) => length,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let read = self.bytes.get(..length).unwrap_or_default();
            let events = self.shared.read(&mut self.reader, read);
            if !events.is_empty() && self.writer.blocking_send(events).is_err() {
                return Ok(false);
            }
        }
    }

    fn unpacked(&mut self, mut source: Box<dyn Read + Send>) -> io::Result<()> {
        let mut begin = Vec::new();
        source.by_ref().take(2).read_to_end(&mut begin)?;
        let packed = begin == GZIP;
        let mut whole = Cursor::new(begin).chain(source);
        if packed {
            self.all(&mut MultiGzDecoder::new(BufReader::with_capacity(AT_A_TIME, whole)))
        } else {
            self.all(&mut whole)
        }
        .map(drop)
    }

    /// Goes on with what has this name: when another file takes it, with that one; when it is emptied, from its beginning.
    fn follow(&mut self, mut file: File, name: &Path) -> io::Result<()> {
        let mut begin = Vec::new();
        file.by_ref().take(2).read_to_end(&mut begin)?;
        file.rewind()?;
        if begin == GZIP {
            return self.unpacked(Box::new(file));
        }
        while self.all(&mut file)? && !self.writer.is_closed() {
            std::thread::sleep(PAUSE);
            let named = match fs::metadata(name) {
                Ok(named) => named,
                // It has gone, and the next is not there yet.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if !is_same(&file.metadata()?, &named) {
                // What was still written to the one before.
                self.all(&mut file)?;
                self.end();
                file = File::open(name)?;
            } else if named.len() < file.stream_position()? {
                self.end();
                file.rewind()?;
            }
        }
        Ok(())
    }

    /// The file is at its end: what is left is a line, and what comes is another file.
    fn end(&mut self) {
        let last = self.shared.end(&mut std::mem::take(&mut self.reader));
        if !last.is_empty() {
            let _ = self.writer.blocking_send(last);
        }
    }
}

/// Each has an order of its own, whatever comes before it in the archive.
fn logs_of_archive(packed: impl Read) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(packed)));
    let mut logs = Vec::new();
    let mut room = ARCHIVE;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if !name.ends_with(".log") {
            continue;
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(room + 1).read_to_end(&mut bytes)?;
        room = room.checked_sub(bytes.len() as u64).ok_or_else(|| {
            io::Error::other("its logs have more than 500 MiB; unpack it and name the files that you need")
        })?;
        logs.push((name, bytes));
    }
    Ok(logs)
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
#[path = "saved_tests.rs"]
mod tests;
