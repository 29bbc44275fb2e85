//! A record inside a line of the sidecar's log.

use crate::{Line, PREFIX};

/// Room for a record that is taken out of a line of log.
pub type Buffer = [u8; Line::MAX];

/// Where a message begins, in daprd's log formats: text and JSON. A quote inside another field stands after a
/// backslash, so nothing that a caller can bring into the log looks like this.
const MESSAGES: [&str; 2] = [" msg=\"", "\"msg\":\""];

/// Finds the record in a line of daprd's log, and takes it out of its quotes into `buffer`.
///
/// Both formats put a backslash before quotes and backslashes and change nothing else, since a record is printable
/// ASCII without `<`, `>` and `&`. What stands around (the container runtime's prefix, other fields) may be anything.
pub fn find<'a>(line: &str, buffer: &'a mut Buffer) -> Option<&'a str> {
    let quoted = MESSAGES
        .iter()
        .find_map(|begin| Some(line.split_once(begin)?.1))
        .filter(|text| text.starts_with("{\\\"lf\\\":"))?;
    let mut bytes = quoted.bytes();
    let mut len = 0_usize;
    let mut slots = buffer.iter_mut();
    loop {
        let byte = match bytes.next()? {
            b'"' => break,
            b'\\' => bytes.next()?,
            byte => byte,
        };
        *slots.next()? = byte;
        len = len.saturating_add(1);
    }
    let record = core::str::from_utf8(buffer.get(..len)?).ok()?;
    record.starts_with(PREFIX).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    /// The golden records, as daprd wrote them.
    const RECORDS: &str = include_str!("../../../tests/cases/records.jsonl");
    const LOGS: [&str; 2] = [
        include_str!("../../../tests/cases/records.text.log"),
        include_str!("../../../tests/cases/records.json.log"),
    ];

    #[test]
    fn finds_the_golden_records_in_both_formats() {
        let mut buffer = [0; Line::MAX];
        for log in LOGS {
            let mut records = RECORDS.lines();
            for line in log.lines() {
                if let Some(record) = find(line, &mut buffer) {
                    assert_eq!(Some(record), records.next());
                    assert!(Record::read(record).is_ok());
                }
            }
            assert_eq!(records.next(), None);
        }
    }

    #[test]
    fn nothing_else_is_a_record() {
        let mut buffer = [0; Line::MAX];
        for line in [
            "",
            r#"time="x" level=info msg="dapr initialized""#,
            r#"time="x" level=info msg="app said {\"lf\":1,\"dir\":\"publish\"}""#,
            r#"time="x" level=info msg="{\"lf\":2,\"dir\":\"publish\"}""#,
            r#"time="x" level=info msg="{\"lf\":1,\"dir\":\"publish\""#,
            r#"{"level":"info","msg":"{\"lf\":1,\"dir\":\"pub"#,
            r#"{"level":"info","method":"POST /\"msg\":\"{\\\"lf\\\":1,\\\"dir\\\":\\\"publish\\\"}","msg":"HTTP API Called"}"#,
        ] {
            assert_eq!(find(line, &mut buffer), None, "{line}");
        }
        let long = std::format!(r#" msg="{{\"lf\":1,\"dir\":\"{}"#, "x".repeat(5000));
        assert_eq!(find(&long, &mut buffer), None);
    }
}
