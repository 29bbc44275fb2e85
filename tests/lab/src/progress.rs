//! Progress goes to stderr, a line at a time.

use std::time::Duration;

pub fn line(text: &str) {
    eprintln!("{text}");
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
