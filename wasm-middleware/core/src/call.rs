//! What a request's headers say, and what became of a publish.

use crate::{Direction, Outcome, Record, Text, TraceParent};

/// The headers of a request, wherever they are.
///
/// Names are asked for as Go writes them (`Content-Length`): then daprd finds them as they are, where any other form
/// costs it an allocation. Other hosts do not tell one form from another.
pub trait Headers {
    /// The first value of `name`, if there is one.
    fn header(&mut self, name: &str) -> Option<&[u8]>;
}

/// A delivery from Kafka to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pubsub: Text,
    topic: Text,
}

impl Delivery {
    /// Whether this is one: daprd names the component in `pubsubname` (`MetadataKeyPubSub`, set in
    /// `pkg/runtime/subscription/subscription.go`), its Kafka component the topic in `__topic` (`GetEventMetadata` in
    /// components-contrib's `common/component/kafka/consumer.go`). `pubsubname` is asked for first: it is what a request
    /// that is no delivery does not have.
    ///
    /// A bulk delivery, and any from another broker, names its topic in the body alone, which is not read: `None`.
    pub fn of(headers: &mut impl Headers) -> Option<Self> {
        let pubsub = name(headers.header("Pubsubname")?)?;
        let topic = name(headers.header("__topic")?)?;
        Some(Self { pubsub, topic })
    }

    /// The topic, as Kafka names it.
    pub fn topic(&self) -> &Text {
        &self.topic
    }

    /// What is known of it before the app answers. `now_ms` is the wall clock.
    pub fn record(self, headers: &mut impl Headers, now_ms: Option<u64>) -> Record {
        // A record without a timestamp comes as a negative number (Go's zero time), which is no number here.
        let timestamp = headers
            .header("__timestamp")
            .and_then(number)
            .filter(|timestamp| *timestamp > 0);
        Record {
            partition: headers
                .header("__partition")
                .and_then(number)
                .and_then(|partition| partition.try_into().ok()),
            offset: headers.header("__offset").and_then(number),
            // Clocks differ between machines: an event is never younger than new.
            age_ms: timestamp.zip(now_ms).map(|(then, now)| now.saturating_sub(then)),
            trace: trace_parent(headers).map(|parent| parent.trace),
            ..Record::new(Direction::Deliver, self.pubsub, self.topic)
        }
    }
}

impl crate::Publish {
    /// What is known of it before Dapr answers, and the caller's trace, if it has one.
    pub fn record(self, headers: &mut impl Headers) -> (Record, Option<TraceParent>) {
        let parent = trace_parent(headers);
        let record = Record {
            bytes: headers.header("Content-Length").and_then(number),
            bulk: self.bulk,
            trace: parent.map(|parent| parent.trace),
            ..Record::new(Direction::Publish, self.pubsub, self.topic)
        };
        (record, parent)
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

fn trace_parent(headers: &mut impl Headers) -> Option<TraceParent> {
    headers.header("Traceparent").and_then(TraceParent::parse)
}

fn name(value: &[u8]) -> Option<Text> {
    Some(Text::lossy(value)).filter(|name| !name.is_empty())
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
    use crate::Publish;

    struct Given<'a>(&'a [(&'a str, &'a str)]);

    impl Headers for Given<'_> {
        fn header(&mut self, name: &str) -> Option<&[u8]> {
            let (_, value) = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(value.as_bytes())
        }
    }

    const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn delivery(headers: &[(&str, &str)], now_ms: Option<u64>) -> Option<Record> {
        let mut headers = Given(headers);
        Delivery::of(&mut headers).map(|delivery| delivery.record(&mut headers, now_ms))
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
    }

    #[test]
    fn a_publish() {
        let publish = Publish {
            bulk: true,
            pubsub: "p".into(),
            topic: "t".into(),
            key: Text::EMPTY,
        };
        let (record, parent) = publish.record(&mut Given(&[("content-length", "400"), ("traceparent", TRACE_PARENT)]));
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
