//! From an event back to a line of a log.

use crate::{Event, Names};
use learnflow_core::{Line, Record, Text};

impl Event {
    /// The line that a sidecar writes in Dapr's JSON format, of what is known of the event. [`Reader`](crate::Reader) makes
    /// the same event of it.
    pub fn log_line(&self, names: &Names) -> String {
        let text = |name| Text::lossy(names.text(name).as_bytes());
        let (topic, route) = match self.route {
            false => (text(self.topic), Text::EMPTY),
            true => (Text::EMPTY, text(self.topic)),
        };
        let record = Record {
            route,
            outcome: self.outcome,
            status: self.status,
            us: self.us,
            bytes: self.bytes,
            bulk: self.bulk,
            partition: self.partition,
            offset: self.offset,
            age_ms: self.age_ms,
            trace: self.trace,
            ..Record::new(self.direction, text(self.pubsub), topic)
        };
        let mut line = Line::new();
        record.write(&mut line);
        let msg = line.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        let (app, pod) = (plain(names.text(self.app)), plain(names.text(self.pod)));
        let at = self.at.rfc3339();
        format!(
            "{{\"app_id\":\"{app}\",\"instance\":\"{pod}\",\"level\":\"info\",\"msg\":\"{msg}\",\"time\":\"{at}\",\"type\":\"log\"}}"
        )
    }
}

/// Names of apps and pods have nothing in them that JSON escapes. What a made-up log says is made such a name.
fn plain(name: &str) -> String {
    let escaped = |c: char| c == '"' || c == '\\' || c.is_control();
    name.replace(escaped, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use crate::{Event, Names, Reader};

    /// All that an event says, with names as texts.
    fn told(event: &Event, names: &Names) -> (Event, [String; 4]) {
        let [app, pod, pubsub, topic] = [event.app, event.pod, event.pubsub, event.topic];
        let texts = [app, pod, pubsub, topic].map(|name| names.text(name).to_owned());
        let none = crate::Name::default();
        let event = Event {
            app: none,
            pod: none,
            pubsub: none,
            topic: none,
            ..*event
        };
        (event, texts)
    }

    fn read(log: &str) -> (Vec<Event>, Names) {
        let (mut reader, mut names, mut events) = (Reader::default(), Names::default(), Vec::new());
        reader.read(log.as_bytes(), &mut names, |event| events.push(event));
        (events, names)
    }

    #[test]
    fn what_is_written_is_read_as_the_same_event() {
        for log in [
            include_str!("../../tests/cases/records.text.log"),
            include_str!("../../tests/cases/records.json.log"),
        ] {
            let (events, names) = read(log);
            assert!(!events.is_empty());
            let written: String = events.iter().map(|event| event.log_line(&names) + "\n").collect();
            let (again, others) = read(&written);
            assert_eq!(again.len(), events.len());
            for (event, again) in events.iter().zip(&again) {
                assert_eq!(told(event, &names), told(again, &others));
            }
        }
    }

    #[test]
    fn a_made_up_name_breaks_no_line() {
        let line = r#"time="2026-01-15T10:00:01Z" level=info msg="{\"lf\":1,\"dir\":\"publish\",\"pubsub\":\"p\",\"topic\":\"t\",\"outcome\":\"success\"}" app_id=a"\b instance=x scope=y"#;
        let (events, names) = read(&format!("{line}\n"));
        let (again, others) = read(&(events[0].log_line(&names) + "\n"));
        assert_eq!(others.text(again[0].app), "a\u{fffd}\u{fffd}b");
    }
}
