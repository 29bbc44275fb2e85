//! The first two bytes say how the rest, a log, is cut into reads.

#![no_main]

mod checks;

use learnflow_flow::{Counts, Event, Names, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let [one, other, log @ ..] = bytes {
        checks::is_read_the_same_however_it_comes(log, &[usize::from(*one), usize::from(*other)]);
    }
});
