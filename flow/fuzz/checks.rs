//! What holds of the reader, whatever it is given. For the tests of the crate, and for the fuzzer.

use super::{Counts, Event, Names, Reader};

pub(crate) fn events(log: &[u8]) -> (Vec<Event>, Names, Counts) {
    in_pieces(&[log])
}

fn in_pieces(log: &[&[u8]]) -> (Vec<Event>, Names, Counts) {
    let (mut reader, mut names, mut events) = (Reader::default(), Names::default(), Vec::new());
    for piece in log {
        reader.read(piece, &mut names, |event| events.push(event));
    }
    events.extend(reader.end(&mut names));
    let counts = reader.counts();
    (events, names, counts)
}

/// However the log is cut into reads, the same is found in it, and each line is counted. The lengths of the cuts are taken in turns.
pub(crate) fn is_read_the_same_however_it_comes(log: &[u8], cuts: &[usize]) {
    let (whole, _, counts) = events(log);
    let lines = log.split(|byte| *byte == b'\n').count() - usize::from(log.is_empty() || log.ends_with(b"\n"));
    assert_eq!(counts.lines, lines as u64);
    assert_eq!(counts.events, whole.len() as u64);
    // One more for parts whose last one never came.
    assert!(counts.events + counts.broken <= counts.lines + 1);
    let (mut pieces, mut rest) = (Vec::new(), log);
    for cut in cuts.iter().cycle().take(log.len()) {
        let (now, later) = rest.split_at((*cut).min(rest.len()));
        pieces.push(now);
        rest = later;
    }
    pieces.push(rest);
    let (parts, _, again) = in_pieces(&pieces);
    assert_eq!((parts, again), (whole, counts));
}
