//! A moment, as logs write it.

use std::fmt;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Nanoseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// Reads RFC 3339, as Go and container runtimes write it: at most nine digits behind the point, `Z` or an offset.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, digits: usize| -> Option<i64> {
            let mut number = 0;
            for byte in bytes.get(from..from + digits)? {
                byte.is_ascii_digit().then_some(())?;
                number = number * 10 + i64::from(byte & 15);
            }
            Some(number)
        };
        let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
        let shaped = is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b' ')) && is(13, b':') && is(16, b':');
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        let sound = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
        (shaped && sound && (1970..2262).contains(&year)).then_some(())?;
        let mut at = 19;
        let mut nanos = 0;
        if is(at, b'.') {
            at += 1;
            let mut worth = SECOND / 10;
            while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                nanos += i64::from(digit & 15) * worth;
                worth /= 10;
                at += 1;
            }
        }
        let offset = match bytes.get(at..)? {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let minutes = number(at + 1, 2)? * 60 + number(at + 4, 2)?;
                if *sign == b'+' { minutes * 60 } else { -minutes * 60 }
            }
            _ => return None,
        };
        let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
        Some(Self(seconds.checked_mul(SECOND)?.checked_add(nanos)?))
    }

    /// With the day, to the nanosecond: what [`Self::parse`] reads.
    pub fn rfc3339(self) -> String {
        let (seconds, nanos) = (self.seconds(), self.0.rem_euclid(SECOND));
        let (year, month, day) = date(seconds.div_euclid(DAY));
        let of_day = seconds.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }
}

/// Days from 1970 to a day of the Gregorian calendar; years begin in March, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The day of the Gregorian calendar, so many days from 1970: [`days`] the other way round.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The time of the day, UTC, to the millisecond.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.seconds().rem_euclid(DAY);
        let millis = self.0.rem_euclid(SECOND) / 1_000_000;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}.{millis:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_logs_write_it() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-15T10:00:01.123456789Z", 1_768_471_201_123_456_789),
            ("2026-01-15T12:00:01.5+02:00", 1_768_471_201_500_000_000),
            ("2024-02-29T23:59:59.000000001-00:30", 1_709_252_999_000_000_001),
        ] {
            assert_eq!(Time::parse(text), Some(Time(nanos)), "{text}");
            assert_eq!(Time::parse(&Time(nanos).rfc3339()), Some(Time(nanos)), "{text}");
        }
        assert_eq!(Time(1_768_471_201_123_456_789).to_string(), "10:00:01.123");
    }

    #[test]
    fn each_day_of_four_centuries() {
        for day in 0..146_097 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
        assert_eq!(
            Time(1_709_252_999_000_000_001).rfc3339(),
            "2024-03-01T00:29:59.000000001Z"
        );
    }

    #[test]
    fn nothing_else() {
        for text in [
            "",
            "2026",
            "2026-01-15",
            "2026-01-15T10:00:01",
            "2026-13-15T10:00:01Z",
            "2026-01-15T10:00:01z",
            "9999-01-15T10:00:01Z",
            "2026-01-15T10:00:01.5+0200",
            "2026-01-15T1é:00:01Z",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }
}
