//! Ten thousand events, each of which depends on its number alone.

use base64::{Engine, engine::general_purpose::STANDARD};
use learnflow_tests::sidecar::PUBSUB;
use serde_json::json;

/// Delivered as CloudEvents that Dapr has wrapped.
pub const WRAPPED: &str = "bytes.wrapped";
/// Delivered as they are, in Dapr's base64.
pub const RAW: &str = "bytes.raw";

/// The most that Dapr takes in one request, if nobody says otherwise.
const LARGEST: usize = 4 << 20;

/// One call of the API.
#[derive(Debug)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Vec<u8>,
    pub chunked: bool,
}

/// How an event is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Bytes,
    Compressed,
    CloudEvent,
    Raw,
    Bulk,
}

/// Events that go in one call, each with a number of its own.
pub const GROUP: u32 = 10;

/// The calls that publish the events `group * GROUP .. (group + 1) * GROUP`.
pub fn calls(group: u32) -> Vec<Call> {
    let numbers = group * GROUP..(group + 1) * GROUP;
    match Random::of(group).pick(&[false, false, false, true]) {
        true => vec![bulk(group, numbers)],
        false => numbers.map(single).collect(),
    }
}

/// A call with one event that Dapr takes as it is, and some bytes of which there are.
pub fn some_bytes() -> Option<(u32, Call)> {
    let mut numbers = (0..).filter(|number| event(*number).0 == Kind::Bytes);
    let number = numbers.find(|number| (100..10_000).contains(&event(*number).1.len()))?;
    Some((number, single(number)))
}

/// What the delivery of this event has to begin with, to the byte. Dapr sorts the keys, and `data` comes first.
pub fn delivered(number: u32) -> Vec<u8> {
    let (kind, data) = event(number);
    let quoted = |data: &[u8]| format!("{{\"data\":\"{}\",\"datacontenttype\":", String::from_utf8_lossy(data));
    let encoded = |data: &[u8]| format!("{{\"data_base64\":\"{}\",\"datacontenttype\":", STANDARD.encode(data));
    match kind {
        Kind::Text | Kind::CloudEvent => quoted(&data),
        Kind::Json | Kind::Bulk => {
            format!("{{\"data\":{},\"datacontenttype\":", String::from_utf8_lossy(&data))
        }
        Kind::Bytes | Kind::Compressed | Kind::Raw => encoded(&data),
    }
    .into_bytes()
}

/// What an event is, and its bytes.
fn event(number: u32) -> (Kind, Vec<u8>) {
    let mut random = Random::of(number ^ 0x5555_0000);
    if Random::of(number / GROUP).pick(&[false, false, false, true]) {
        return (Kind::Bulk, json_of(&mut random, 1000, SAFE));
    }
    let kinds = [
        Kind::Json,
        Kind::Text,
        Kind::Bytes,
        Kind::Compressed,
        Kind::CloudEvent,
        Kind::Raw,
        Kind::Raw,
    ];
    let kind = random.pick(&kinds);
    // Some of what Dapr takes is not the event itself.
    let room = match kind {
        Kind::Text | Kind::Bytes | Kind::Raw => LARGEST,
        _ => LARGEST - 1000,
    };
    let length = length(number, &mut random).min(room);
    let data = match kind {
        Kind::Text | Kind::CloudEvent => text(&mut random, length),
        Kind::Json | Kind::Bulk => json_of(&mut random, length, u64::MAX >> 1),
        Kind::Bytes | Kind::Raw => (0..length.div_ceil(8))
            .flat_map(|_| random.next().to_le_bytes())
            .take(length)
            .collect(),
        // Whole members one after the other are a whole file to gzip.
        Kind::Compressed => GZIP.repeat((length / GZIP.len()).max(1)),
    };
    (kind, data)
}

/// `lesson`, by gzip.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x49\x2d\x2e\xce\xcf\x03\x00\xf3\x74\x74\xf8\x06\x00\x00\x00";

/// Nothing, a few bytes, mostly less than a page; now and then much more.
fn length(number: u32, random: &mut Random) -> usize {
    match number {
        // As much as fits, in each form.
        0..=30 if number.is_multiple_of(3) => LARGEST,
        _ if number % 250 == 7 => random.below(1 << 20),
        _ if number % 50 == 3 => random.below(64 << 10),
        _ => *[0, 1, random.below(64), random.below(600), random.below(4000)]
            .get(random.below(5))
            .unwrap_or(&0),
    }
}

/// Characters of one to four bytes that nobody escapes.
fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let mut text = String::with_capacity(length);
    while text.len() + 4 <= length {
        text.push(random.pick(&['a', 'Z', '0', ' ', '.', 'é', '€', '漢', '🦀']));
    }
    text.extend(std::iter::repeat_n('.', length - text.len()));
    text.into_bytes()
}

/// What a floating-point number holds exactly, as which Dapr reads the numbers of a bulk publish. (Those of others it keeps.)
const SAFE: u64 = 1 << 20;

/// In the form in which Go writes it: no spaces, sorted keys.
fn json_of(random: &mut Random, length: usize, largest: u64) -> Vec<u8> {
    let title = String::from_utf8_lossy(&text(random, length)).into_owned();
    let number = random.next() % largest;
    format!("{{\"a\":[{number},null,true,-1.5e+300],\"title\":\"{title}\",\"z\":{{}}}}").into_bytes()
}

fn single(number: u32) -> Call {
    let (kind, data) = event(number);
    let mut random = Random::of(number ^ 0xaaaa_0000);
    // Spelled in the ways that Dapr takes for the same topic.
    let topic = match kind {
        Kind::Raw => random.pick(&[RAW, "bytes%2Eraw", "bytes.raw/"]),
        _ => random.pick(&[WRAPPED, "%62ytes%2ewrapped", "bytes.wrapped/"]),
    };
    let mut path = format!("/v1.0/publish/{PUBSUB}/{topic}?metadata.number={number}");
    if kind == Kind::Raw {
        path += "&metadata.rawPayload=true";
    }
    path += random.pick(&[
        "",
        "",
        "&metadata.partitionKey=user-1",
        "&metadata.ttlInSeconds=600",
        "&other=x",
    ]);
    let content_type = match kind {
        Kind::Json | Kind::Bulk => "application/json",
        Kind::Text => "text/plain; charset=utf-8",
        Kind::Bytes | Kind::Compressed | Kind::Raw => "application/octet-stream",
        Kind::CloudEvent => "application/cloudevents+json",
    };
    let mut headers = vec![("content-type", content_type)];
    if kind == Kind::Compressed {
        headers.push(("content-encoding", "gzip"));
    }
    headers.extend(random.pick(&[
        None,
        Some(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        Some(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")),
    ]));
    let body = match kind {
        Kind::CloudEvent => cloud_event(number, &data),
        _ => data,
    };
    Call {
        method: random.pick(&["POST", "POST", "PUT"]),
        path,
        headers,
        body,
        chunked: random.pick(&[false, true]),
    }
}

fn cloud_event(number: u32, data: &[u8]) -> Vec<u8> {
    let event = json!({
        "specversion": "1.0", "id": number.to_string(), "source": "test", "type": "lesson", "subject": "s",
        "time": "2026-01-15T10:00:00Z", "datacontenttype": "text/plain", "data": String::from_utf8_lossy(data),
        "extension": "kept",
    });
    event.to_string().into_bytes()
}

fn bulk(group: u32, numbers: std::ops::Range<u32>) -> Call {
    let entries: Vec<_> = numbers
        .map(|number| {
            let (_, data) = event(number);
            let data = String::from_utf8_lossy(&data).into_owned();
            format!(
                "{{\"entryId\":\"{number}\",\"event\":{data},\"contentType\":\"application/json\",\
                 \"metadata\":{{\"number\":\"{number}\"}}}}"
            )
        })
        .collect();
    let mut random = Random::of(group ^ 0xcccc_0000);
    let version = random.pick(&["v1.0", "v1.0-alpha1"]);
    Call {
        method: random.pick(&["POST", "PUT"]),
        path: format!("/{version}/publish/bulk/{PUBSUB}/{WRAPPED}"),
        headers: vec![("content-type", "application/json")],
        body: format!("[{}]", entries.join(",")).into_bytes(),
        chunked: random.pick(&[false, true]),
    }
}

/// SplitMix64: the same everywhere.
struct Random(u64);

impl Random {
    fn of(seed: u32) -> Self {
        let mut random = Self(u64::from(seed) << 32 | 0x1ea4);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
