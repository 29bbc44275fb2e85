//! Logs in files, plain or packed with gzip, or on standard input.

use super::{
    Shared,
    merge::{BATCHES, Log},
};
use crate::problem::Problem;
use flate2::read::MultiGzDecoder;
use learnflow_flow::Reader;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};
use tokio::sync::mpsc::channel;

const AT_A_TIME: usize = 256 * 1024;
/// What a file that is packed with gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens all before any is read, so that a wrong name is known at once.
pub(super) fn open(file: &Path, shared: &Shared) -> Result<Log, Problem> {
    let cannot = |e: io::Error| {
        Problem::new(format!("Cannot read {}: {e}.", file.display())).next("Correct --file; `-` is standard input.")
    };
    let source: Box<dyn Read + Send> = if file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        let opened = File::open(file).map_err(cannot)?;
        if opened.metadata().map_err(cannot)?.is_dir() {
            return Err(cannot(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        Box::new(opened)
    };
    let (writer, log) = channel(BATCHES);
    let (shared, file) = (shared.clone(), file.to_owned());
    // Files block.
    std::thread::spawn(move || {
        let mut reader = Reader::default();
        let ended = unpacked(source).and_then(|mut source| {
            let mut bytes = vec![0; AT_A_TIME];
            loop {
                let length = match source.read(&mut bytes) {
                    Ok(0) => return Ok(()),
                    Ok(length) => length,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => return Err(e),
                };
                let events = shared.read(&mut reader, &bytes[..length]);
                // Whoever reads them has seen enough.
                if !events.is_empty() && writer.blocking_send(events).is_err() {
                    return Ok(());
                }
            }
        });
        let last = shared.end(&mut reader);
        if !last.is_empty() {
            let _ = writer.blocking_send(last);
        }
        if let Err(e) = ended {
            shared.note(format!("{} could not be read to its end: {e}", file.display()));
        }
    });
    Ok(log)
}

fn unpacked(mut source: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut begin = Vec::new();
    source.by_ref().take(2).read_to_end(&mut begin)?;
    let packed = begin == GZIP;
    let whole = io::Cursor::new(begin).chain(source);
    Ok(if packed {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(AT_A_TIME, whole)))
    } else {
        Box::new(whole)
    })
}
