//! What a request's headers say, and what became of a publish.

use crate::{Direction, Outcome, Record, Text, TraceParent};

/// The headers of a request, and its URI, wherever they are.
///
/// Names are asked for as Go writes them (`Content-Length`): then daprd finds them as they are, where any other form
/// costs it an allocation. Other hosts do not tell one form from another.
pub trait Headers {
    /// The first value of `name`, if there is one.
    fn header(&mut self, name: &str) -> Option<&[u8]>;
    /// The escaped path and the query.
    fn uri(&mut self) -> Option<&[u8]>;
}

impl Record {
    /// Begins as the record of a delivery from Kafka to an app, of one event or, in bulk, of several. Is it one?
    ///
    /// Daprd names the component in `pubsubname` (`MetadataKeyPubSub`, set in
    /// `pkg/runtime/subscription/subscription.go`), its Kafka component the topic in `__topic` (`GetEventMetadata` in
    /// components-contrib's `common/component/kafka/consumer.go`). `pubsubname` is asked for first: it is what a request
    /// that is no delivery does not have.
    ///
    /// A bulk delivery names its topic in the body alone, which is not read: its record has the route instead. It is told
    /// by its `Content-Type`: that of a single one is `application/cloudevents+json` (`Deliver` and `DeliverBulk` in
    /// `pkg/runtime/subscription/postman/http/http.go`). A single one from another broker than Kafka is none here.
    pub fn begin_delivery(&mut self, headers: &mut impl Headers) -> bool {
        self.begin(Direction::Deliver);
        set(&mut self.pubsub, headers.header("Pubsubname"));
        if self.pubsub.is_empty() {
            return false;
        }
        set(&mut self.topic, headers.header("__topic"));
        if self.topic.is_empty() {
            self.bulk = headers.header("Content-Type") == Some(b"application/json");
            return self.bulk;
        }
        true
    }

    /// Asks for what else the request says, before it goes on, and returns the trace that it belongs to. `now_ms` is the
    /// wall clock. The trace of a bulk delivery is that of one of its events: of the last that has one.
    pub fn ask(&mut self, headers: &mut impl Headers, now_ms: Option<u64>) -> Option<TraceParent> {
        let parent = headers.header("Traceparent").and_then(TraceParent::parse);
        self.trace = parent.map(|parent| parent.trace);
        if self.direction == Direction::Publish {
            self.bytes = headers.header("Content-Length").and_then(number);
        } else if self.bulk {
            set(&mut self.route, headers.uri());
        } else {
            // A record without a timestamp comes as a negative number (Go's zero time), which is no number here.
            let timestamp = headers
                .header("__timestamp")
                .and_then(number)
                .filter(|timestamp| *timestamp > 0);
            self.partition = headers
                .header("__partition")
                .and_then(number)
                .and_then(|partition| partition.try_into().ok());
            self.offset = headers.header("__offset").and_then(number);
            // Clocks differ between machines: an event is never younger than new.
            self.age_ms = timestamp.zip(now_ms).map(|(then, now)| now.saturating_sub(then));
        }
        parent
    }
}

/// What became of a publish that Dapr answered with `status`. Of a bulk publish of which a part failed, too: Dapr
/// answers 500.
pub fn publish_outcome(status: u16) -> Outcome {
    if is_success(status) {
        Outcome::Success
    } else {
        Outcome::Error
    }
}

pub(crate) fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

/// Names it, or empties it.
fn set(name: &mut Text, value: Option<&[u8]>) {
    name.set(value.unwrap_or_default());
}

/// A whole number. Those of the very largest that may not fit are refused: a check that costs no wide multiplication.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' if number < u64::MAX / 10 => Some(number.wrapping_mul(10).wrapping_add(u64::from(digit & 15))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Route;

    struct Given<'a>(&'a [(&'a str, &'a str)]);

    impl Headers for Given<'_> {
        fn header(&mut self, name: &str) -> Option<&[u8]> {
            let (_, value) = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(value.as_bytes())
        }

        fn uri(&mut self) -> Option<&[u8]> {
            Some(b"/lessons?x=%20")
        }
    }

    const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn delivery(headers: &[(&str, &str)], now_ms: Option<u64>) -> Option<Record> {
        let mut headers = Given(headers);
        // Nothing of another call may be left.
        let mut record = Record {
            route: "old".into(),
            status: Some(1),
            bytes: Some(1),
            bulk: true,
            ..Record::new(Direction::Publish, "old".into(), "old".into())
        };
        let begun = record.begin_delivery(&mut headers);
        record.ask(&mut headers, now_ms);
        begun.then_some(record)
    }

    #[test]
    fn a_delivery_from_kafka() {
        let record = delivery(
            &[
                ("pubsubname", "kafka-pubsub"),
                ("__topic", "lesson.generated"),
                ("__partition", "3"),
                ("__offset", "9000000000"),
                ("__timestamp", "1700000000000"),
                ("traceparent", TRACE_PARENT),
            ],
            Some(1_700_000_000_031),
        )
        .unwrap();
        assert_eq!((record.direction, record.outcome), (Direction::Deliver, Outcome::Error));
        assert_eq!(
            (record.pubsub.as_str(), record.topic.as_str()),
            ("kafka-pubsub", "lesson.generated")
        );
        assert_eq!(
            (record.partition, record.offset, record.age_ms),
            (Some(3), Some(9_000_000_000), Some(31))
        );
        assert_eq!(record.trace.unwrap().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let named = [("pubsubname", "p"), ("__topic", "t")];
        assert_eq!(
            delivery(&named, Some(1)),
            Some(Record::new(Direction::Deliver, "p".into(), "t".into()))
        );
        for (header, value) in [
            ("__timestamp", "-62135596800000"),
            ("__timestamp", "0"),
            ("__timestamp", "soon"),
            ("__partition", "-1"),
            ("__partition", "4294967296"),
            ("__offset", ""),
            ("__offset", "18446744073709551616"),
            ("traceparent", "00-x"),
        ] {
            let headers = [named[0], named[1], (header, value)];
            assert_eq!(
                delivery(&headers, Some(1)),
                delivery(&named, Some(1)),
                "{header}: {value}"
            );
        }
        let headers = [named[0], named[1], ("__timestamp", "5")];
        assert_eq!(delivery(&headers, None).unwrap().age_ms, None);
    }

    #[test]
    fn an_event_is_never_younger_than_new() {
        let headers = [("pubsubname", "p"), ("__topic", "t"), ("__timestamp", "100")];
        assert_eq!(delivery(&headers, Some(99)).unwrap().age_ms, Some(0));
    }

    #[test]
    fn no_delivery_without_component_and_topic() {
        assert_eq!(delivery(&[("__topic", "t")], None), None);
        assert_eq!(delivery(&[("pubsubname", "p")], None), None);
        assert_eq!(delivery(&[("pubsubname", ""), ("__topic", "t")], None), None);
        let cloud_event = ("content-type", "application/cloudevents+json");
        assert_eq!(delivery(&[("pubsubname", "p"), cloud_event], None), None);
    }

    #[test]
    fn a_bulk_delivery_names_its_route() {
        let json = ("content-type", "application/json");
        let headers = [
            ("pubsubname", "p"),
            json,
            ("traceparent", TRACE_PARENT),
            ("__offset", "1"),
        ];
        let expected = Record {
            route: "/lessons?x=%20".into(),
            bulk: true,
            trace: crate::TraceId::parse(b"4bf92f3577b34da6a3ce929d0e0e4736"),
            ..Record::new(Direction::Deliver, "p".into(), Text::EMPTY)
        };
        assert_eq!(delivery(&headers, Some(1)), Some(expected));
        // Of a single one the topic is known, whatever it holds.
        let named = [("pubsubname", "p"), json, ("__topic", "t")];
        assert_eq!(
            delivery(&named, None),
            Some(Record::new(Direction::Deliver, "p".into(), "t".into()))
        );
    }

    #[test]
    fn a_publish() {
        let mut record = Record::new(Direction::Deliver, Text::EMPTY, Text::EMPTY);
        let mut uri = *b"/v1.0/publish/bulk/p/t";
        let Route::Publish(publish) = Route::of(&mut uri) else {
            panic!("no publish");
        };
        publish.begin(&mut record);
        let headers = [("content-length", "400"), ("traceparent", TRACE_PARENT)];
        let parent = record.ask(&mut Given(&headers), None);
        assert_eq!(
            (record.direction, record.bytes, record.bulk),
            (Direction::Publish, Some(400), true)
        );
        assert_eq!(record.trace, parent.map(|parent| parent.trace));
        assert!(parent.unwrap().sampled);
    }

    #[test]
    fn outcome_of_a_publish() {
        for (status, outcome) in [
            (204, Outcome::Success),
            (200, Outcome::Success),
            (300, Outcome::Error),
            (400, Outcome::Error),
            (500, Outcome::Error),
        ] {
            assert_eq!(publish_outcome(status), outcome, "{status}");
        }
    }
}
