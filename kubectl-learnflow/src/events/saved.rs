//! Logs in files, plain or packed with gzip, in the archive that `bundle` makes, or on standard input.

use super::{
    Shared,
    merge::{BATCHES, Log},
};
use crate::problem::Problem;
use flate2::read::MultiGzDecoder;
use learnflow_flow::Reader;
use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
};
use tokio::sync::mpsc::channel;

const AT_A_TIME: usize = 256 * 1024;
/// What a file that is packed with gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Logs of an archive are read side by side, so they must fit into memory. Ten times what `bundle` collects by default.
const ARCHIVE: u64 = 500 << 20;

type Source = Box<dyn Read + Send>;

/// Opens all before any is read, so that a wrong name is known at once. An archive is several logs.
pub(super) fn open(file: &Path, shared: &Shared) -> Result<Vec<Log>, Problem> {
    let cannot = |e: io::Error| {
        Problem::new(format!("Cannot read {}: {e}.", file.display())).next("Correct --file; `-` is standard input.")
    };
    if file.as_os_str() == "-" {
        return Ok(vec![log(Box::new(io::stdin()), "standard input", shared)]);
    }
    let opened = File::open(file).map_err(cannot)?;
    if opened.metadata().map_err(cannot)?.is_dir() {
        return Err(cannot(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let name = file.to_string_lossy();
    if !name.ends_with(".tar.gz") && !name.ends_with(".tgz") {
        return Ok(vec![log(Box::new(opened), &name, shared)]);
    }
    let logs = logs_of_archive(opened).map_err(cannot)?;
    let logs = logs
        .into_iter()
        .map(|(name, bytes)| log(Box::new(Cursor::new(bytes)), &name, shared));
    Ok(logs.collect())
}

fn log(source: Source, name: &str, shared: &Shared) -> Log {
    let (writer, log) = channel(BATCHES);
    let (shared, name) = (shared.clone(), name.to_owned());
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
            shared.note(format!("{name} could not be read to its end: {e}"));
        }
    });
    log
}

fn unpacked(mut source: Source) -> io::Result<Source> {
    let mut begin = Vec::new();
    source.by_ref().take(2).read_to_end(&mut begin)?;
    let packed = begin == GZIP;
    let whole = Cursor::new(begin).chain(source);
    Ok(if packed {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(AT_A_TIME, whole)))
    } else {
        Box::new(whole)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    #[test]
    fn an_archive_is_the_logs_in_it() {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, text) in [
            ("b/status.txt", "healthy"),
            ("b/logs/shop/agent-1/daprd.log", "one"),
            ("b/logs/shop/progress-1/daprd.log", "two"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_cksum();
            archive
                .append_data(&mut header, name, text.as_bytes())
                .expect("written");
        }
        let bytes = archive.into_inner().and_then(GzEncoder::finish).expect("packed");
        let logs = logs_of_archive(&*bytes).expect("an archive");
        let texts: Vec<_> = logs.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        assert_eq!(
            texts,
            [
                ("b/logs/shop/agent-1/daprd.log", &b"one"[..]),
                ("b/logs/shop/progress-1/daprd.log", b"two"),
            ]
        );
        assert!(logs_of_archive(&b"no archive"[..]).is_err());
    }
}
