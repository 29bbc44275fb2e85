//! What a request's URI says.

use crate::{Direction, Record, Text};

/// The part of Dapr's HTTP API a URI leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A publish, if the method is one of those that publish.
    Publish(Publish<'a>),
    /// Another call of the sidecar's API (state, invoke, health, …): nothing to write down.
    OtherApi,
    /// None of the sidecar's own paths: on the way to the app, where deliveries are.
    Elsewhere,
}

/// What a publish says in its URI, escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    bulk: bool,
    pubsub: &'a [u8],
    topic: &'a [u8],
    query: &'a [u8],
}

/// Whether a request with this method publishes. With any other, Dapr has no such route.
pub fn is_publish_method(method: &[u8]) -> bool {
    method == b"POST" || method == b"PUT"
}

/// First segments of Dapr's API below `/v1.0…/`.
const API: [&[u8]; 17] = [
    b"publish",
    b"state",
    b"invoke",
    b"actors",
    b"healthz",
    b"metadata",
    b"secrets",
    b"bindings",
    b"configuration",
    b"lock",
    b"unlock",
    b"workflows",
    b"jobs",
    b"conversation",
    b"crypto",
    b"subtlecrypto",
    b"shutdown",
];

impl<'a> Route<'a> {
    /// Reads `uri`, escaped and with its query, as a host hands it over. Its bytes are used as working memory.
    ///
    /// Follows Dapr's router (`pkg/api/http/server.go`, `middlewares.go`): the escaped path is cleaned of empty and dot
    /// segments, then matched, then each parameter is unescaped as in a query, where `+` is a space.
    pub fn of(uri: &'a mut [u8]) -> Self {
        let (path, query) = clean(uri);
        let Some(versioned) = path.strip_prefix(b"/v1.0") else {
            return Self::Elsewhere;
        };
        let (stage, api) = cut(versioned);
        let (name, parameters) = cut(api);
        // An app may well have a path `/v1.0/lessons` or `/v1.0x` of its own.
        if !matches!(stage, [] | [b'-', ..]) || !API.contains(&name) {
            return Self::Elsewhere;
        }
        let publish = if name != b"publish" {
            None
        } else if stage.is_empty() {
            Publish::bulk(parameters).or_else(|| Publish::single(parameters))
        } else if stage == b"-alpha1" {
            Publish::bulk(parameters)
        } else {
            None
        };
        match publish {
            Some((bulk, pubsub, topic)) => Self::Publish(Publish {
                bulk,
                pubsub,
                topic,
                query,
            }),
            None => Self::OtherApi,
        }
    }
}

type Found<'a> = (bool, &'a [u8], &'a [u8]);

impl Publish<'_> {
    fn single(parameters: &[u8]) -> Option<Found<'_>> {
        let (pubsub, topic) = cut(parameters);
        (!topic.is_empty()).then_some((false, pubsub, topic))
    }

    /// `bulk/orders` is a publish to the component `bulk`, `bulk/orders/new` a bulk publish to the component `orders`.
    fn bulk(parameters: &[u8]) -> Option<Found<'_>> {
        let (_, pubsub, topic) = Self::single(parameters.strip_prefix(b"bulk/")?)?;
        Some((true, pubsub, topic))
    }

    /// Begins its record. The topic is decoded, and may hold slashes.
    pub fn begin(&self, record: &mut Record) {
        record.begin(Direction::Publish);
        record.bulk = self.bulk;
        unescape(self.pubsub, &mut record.pubsub);
        unescape(self.topic, &mut record.topic);
    }

    /// What Dapr hands to its Kafka component as the event's key, by which that chooses the partition
    /// (`getMetadataFromRequest` in `pkg/api/http/http.go`, `Publish` in components-contrib's
    /// `common/component/kafka/producer.go`): the first such parameter. Empty if there is none.
    pub fn key(&self, key: &mut Text) {
        let mut parameters = self.query.split(|byte| *byte == b'&');
        let value = parameters.find_map(|parameter| parameter.strip_prefix(b"metadata.partitionKey="));
        unescape(value.unwrap_or_default(), key);
    }
}

/// The two sides of the first slash. No slash, no right side.
fn cut(path: &[u8]) -> (&[u8], &[u8]) {
    let mut sides = path.splitn(2, |byte| *byte == b'/');
    (sides.next().unwrap_or_default(), sides.next().unwrap_or_default())
}

/// Go's `path.Clean` for a path that starts at the root, and the query. In place: what is kept only moves left.
fn clean(uri: &mut [u8]) -> (&[u8], &[u8]) {
    if uri.first() != Some(&b'/') {
        return (&[], &[]);
    }
    let mut kept = 0_usize;
    let mut from = 0_usize;
    while let Some(rest) = uri.get(from..).filter(|rest| !rest.is_empty()) {
        let len = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let last = rest.get(len) != Some(&b'/');
        match rest.get(..len).unwrap_or_default() {
            b"" | b"." => {}
            b".." => {
                let before = uri.get(..kept).unwrap_or_default();
                kept = before.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            }
            // Where it belongs: so it is with every segment, as a rule.
            _ if kept.saturating_add(1) == from => kept = from.saturating_add(len),
            _ => {
                put(uri, &mut kept, b'/');
                for at in from..from.saturating_add(len) {
                    if let Some(byte) = uri.get(at).copied() {
                        put(uri, &mut kept, byte);
                    }
                }
            }
        }
        from = from.saturating_add(len).saturating_add(1);
        if last {
            break;
        }
    }
    (uri.get(..kept).unwrap_or_default(), uri.get(from..).unwrap_or_default())
}

fn put(bytes: &mut [u8], at: &mut usize, byte: u8) {
    if let Some(slot) = bytes.get_mut(*at) {
        *slot = byte;
        *at = at.saturating_add(1);
    }
}

/// Go's `url.QueryUnescape`, as far as a [`Text`] holds it. The four bytes more let the last character be a whole one.
#[inline(never)]
fn unescape(escaped: &[u8], text: &mut Text) {
    if !escaped.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        text.set(escaped);
        return;
    }
    let mut plain = [0; Text::MAX + 4];
    let mut len = 0;
    let mut rest = escaped;
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => (b'%', rest.get(1..).unwrap_or_default()),
            },
            (b'+', _) => (b' ', tail),
            _ => (*byte, tail),
        };
        put(&mut plain, &mut len, byte);
        rest = tail;
    }
    text.set(plain.get(..len).unwrap_or_default());
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a' - 10),
        b'A'..=b'F' => digit.checked_sub(b'A' - 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    /// Its record and key, of a publish.
    fn of(uri: &str) -> Result<(Record, Text), Route<'static>> {
        match Route::of(&mut uri.as_bytes().to_vec()) {
            Route::Publish(publish) => {
                let old = Text::from("old");
                let (mut record, mut key) = (Record::new(Direction::Deliver, old, old), old);
                publish.begin(&mut record);
                publish.key(&mut key);
                Ok((record, key))
            }
            Route::OtherApi => Err(Route::OtherApi),
            Route::Elsewhere => Err(Route::Elsewhere),
        }
    }

    fn publish(bulk: bool, pubsub: &str, topic: &str) -> Result<(Record, Text), Route<'static>> {
        let record = Record::new(Direction::Publish, pubsub.into(), topic.into());
        Ok((Record { bulk, ..record }, Text::EMPTY))
    }

    #[test]
    fn publishes() {
        for (uri, bulk, pubsub, topic) in [
            (
                "/v1.0/publish/kafka-pubsub/lesson.generated",
                false,
                "kafka-pubsub",
                "lesson.generated",
            ),
            (
                "/v1.0/publish/kafka-pubsub/lesson?metadata.rawPayload=true",
                false,
                "kafka-pubsub",
                "lesson",
            ),
            ("/v1.0/publish/kafka-pubsub/a/b/c", false, "kafka-pubsub", "a/b/c"),
            ("/v1.0/publish/kafka-pubsub/a%2Fb", false, "kafka-pubsub", "a/b"),
            (
                "/v1.0/publish/kafka%2dpubsub/caf%C3%A9+x",
                false,
                "kafka-pubsub",
                "café x",
            ),
            ("/v1.0/publish/p/%ff", false, "p", "\u{fffd}"),
            ("/v1.0/publish/p/%zz%4", false, "p", "%zz%4"),
            ("/v1.0/publish/bulk/kafka-pubsub/lesson", true, "kafka-pubsub", "lesson"),
            (
                "/v1.0-alpha1/publish/bulk/kafka-pubsub/a/b",
                true,
                "kafka-pubsub",
                "a/b",
            ),
            // A component may be called bulk.
            ("/v1.0/publish/bulk/lesson", false, "bulk", "lesson"),
            // Dapr cleans the path before it routes.
            (
                "//v1.0//publish/./kafka-pubsub/lesson/",
                false,
                "kafka-pubsub",
                "lesson",
            ),
            ("/v1.0/state/../publish/p/x/../t", false, "p", "t"),
            ("/../v1.0/publish/p/t?/../..", false, "p", "t"),
        ] {
            assert_eq!(of(uri), publish(bulk, pubsub, topic), "{uri}");
        }
    }

    #[test]
    fn the_key_is_the_first_of_the_query() {
        for (query, key) in [
            ("", ""),
            ("?", ""),
            ("?metadata.partitionKey=", ""),
            ("?metadata.partitionKey", ""),
            ("?metadata.partitionkey=x", ""),
            ("?xmetadata.partitionKey=x", ""),
            ("?metadata.partitionKey=student-7", "student-7"),
            (
                "?metadata.ttlInSeconds=9&metadata.partitionKey=a%20b+%C3%A9%26=/../?x&y",
                "a b é&=/../?x",
            ),
            ("?metadata.partitionKey=1&metadata.partitionKey=2", "1"),
        ] {
            let (record, found) = of(&std::format!("/v1.0//publish/./p/t{query}")).expect(query);
            assert_eq!((record.topic.as_str(), found.as_str()), ("t", key), "{query}");
        }
    }

    #[test]
    fn other_calls_of_the_api() {
        for uri in [
            "/v1.0/state/store",
            "/v1.0/state/store/publish/x/y",
            "/v1.0/invoke/app/method/v1.0/publish/x/y",
            "/v1.0/healthz",
            "/v1.0/healthz?x",
            "/v1.0/publish",
            "/v1.0/publish/p",
            "/v1.0/publish/p/",
            "/v1.0-alpha1/publish/p/t",
            "/v1.0-alpha1/publish/bulk/p",
            "/v1.0-beta1/workflows/dapr/x/start",
        ] {
            assert_eq!(of(uri), Err(Route::OtherApi), "{uri}");
        }
    }

    #[test]
    fn what_may_be_a_delivery() {
        for uri in [
            "",
            "/",
            "?",
            "/lessons",
            "/v1.0",
            "/v1.0/",
            "/v1.0/lessons",
            "/v1.0x/state/s",
            "/v1.1/publish/a/b",
            "v1.0/state/s",
            "*",
        ] {
            assert_eq!(of(uri), Err(Route::Elsewhere), "{uri}");
        }
    }

    #[test]
    fn a_long_topic_is_cut_between_characters() {
        let (record, _) = of(&(String::from("/v1.0/publish/p/") + &"%C3%A9".repeat(300))).expect("a publish");
        assert_eq!(record.topic.as_str(), "é".repeat(127));
    }

    proptest! {
        #[test]
        fn a_topic_comes_back_as_it_was_escaped(topic in "[^\\x00]{1,60}", pubsub in "[a-z0-9.-]{1,30}") {
            prop_assume!(topic.len() <= Text::MAX && pubsub != "." && pubsub != ".." && pubsub != "bulk");
            let escaped: String = topic.bytes().map(|byte| std::format!("%{byte:02X}")).collect();
            prop_assert_eq!(of(&std::format!("/v1.0/publish/{pubsub}/{escaped}")), publish(false, &pubsub, &topic));
        }

        #[test]
        fn any_bytes_are_a_uri(mut uri in proptest::collection::vec(any::<u8>(), 0..600)) {
            Route::of(&mut uri);
        }
    }
}
