//! Progress goes to stderr: lines, and on a terminal one line that is rewritten while something is waited for.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

/// As wide as the narrowest terminal in use: a line that wraps could not be rewritten.
const WIDTH: usize = 79;

pub fn line(text: &str) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    eprintln!("{text}");
}

/// What is being waited for; to be called every [`interval`].
pub fn waiting(text: &str) {
    if !stderr().is_terminal() {
        return line(text);
    }
    let short: String = text.chars().take(WIDTH).collect();
    eprint!("\r\x1b[K{short}");
    let _ = stderr().flush();
}

/// The last thing waited for is over.
pub fn done_waiting() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// A terminal shows that something moves; a log wants a line now and then, and never more than ten seconds of silence.
pub fn interval() -> Duration {
    Duration::from_secs(if stderr().is_terminal() { 1 } else { 9 })
}

/// `7s`, `3m05s`, `1h02m`
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}
