//! `coverage`: which events nobody sees.

use super::flow::parse_window;
use clap::{Args, ValueEnum};
use std::{fmt, time::Duration};

/// Show which events nobody sees, and why
///
/// Looks twice, now and after --window, at what has been counted in between: how far topics grew in Kafka (BROKER), what each
/// sidecar sent and its app took (SIDECAR), which of that the middleware wrote down (RECORDS), and how many spans came
/// (SPANS). COVERED is the share that has a record. Where one knows less than the other, WHY says the reason. What cannot be
/// asked is named, and its column is `-`. Prometheus is needed for SPANS alone.
///
/// Exits with 1 when a row has less than --min; without it, with 0 whatever it finds.
#[derive(Debug, Args)]
pub(crate) struct Coverage {
    /// How long it looks
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_window)]
    pub(crate) window: Duration,
    /// The least share that has to be seen in each row, as 99% or 0.99
    #[arg(long, value_name = "SHARE", value_parser = Least::parse)]
    pub(crate) min: Option<Least>,
    /// Only this topic, `*` for any part of its name; may be given several times
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// Only this service (its app id), `*` for any part of it; may be given several times
    #[arg(long, value_name = "APP-ID")]
    pub(crate) service: Vec<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: CoverageFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoverageFormat {
    Table,
    Json,
}

/// From 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Least(pub(crate) f64);

impl Least {
    fn parse(text: &str) -> Result<Self, String> {
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(|percent: f64| percent / 100.0),
            None => text.parse(),
        };
        match share {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err("a share is from 0 to 1 or from 0% to 100%; write for example 99% or 0.99".into()),
        }
    }
}

impl fmt::Display for Least {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 0.995 is 99.5 %, not 99.49999999999999.
        write!(f, "{}%", (self.0 * 1e6).round() / 1e4)
    }
}

#[cfg(test)]
mod tests {
    use super::Least;

    #[test]
    fn a_share_is_read_in_both_ways() {
        for (text, share, shown) in [
            ("99%", 0.99, "99%"),
            ("0.995", 0.995, "99.5%"),
            ("1", 1.0, "100%"),
            ("0%", 0.0, "0%"),
        ] {
            let least = Least::parse(text);
            assert_eq!(least, Ok(Least(share)), "{text}");
            assert_eq!(least.map(|least| least.to_string()), Ok(shown.into()));
        }
        for wrong in ["99", "-1%", "101%", "NaN", "much", "", "%"] {
            assert!(Least::parse(wrong).is_err(), "{wrong}");
        }
    }
}
