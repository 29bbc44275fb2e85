//! What an app answered to a delivery, read as Dapr reads it.

use crate::Outcome;
use crate::call::is_success;

/// Reads an app's answer piece by piece, without keeping it.
///
/// Dapr decides in `Deliver` of `pkg/runtime/subscription/postman/http/http.go`: any 2xx is decoded as JSON into a struct
/// of one field, `status` (components-contrib's `pubsub/responses.go`). No status or `SUCCESS` is success, `DROP` is a
/// drop, `RETRY` and any other text a retry; **and an answer that does not decode is success**: an empty one, one that is
/// no JSON, no object, cut off, or has a status that is no text. Outside of 2xx the body does not count: 404 is a drop,
/// the rest a retry.
///
/// The answer to a bulk delivery is `{"statuses":[{"entryId":"…","status":"…"},…]}`, and `DeliverBulk` in the same file
/// sees it the other way round: what does not decode, names no entry, or has no status that it knows, is tried again.
/// The outcome of the whole is that of its worst entry. Which entries there should have been, only the request's body
/// says; those that an app leaves out are tried again, and nothing here can know.
///
/// So this is a reader of JSON with the habits of Go's `encoding/json`: the first value counts and what follows it does
/// not, names match in either case, the last of several wins, `null` changes nothing. Two differences: an answer
/// that nests deeper than [`Answer::DEPTH`] counts as one that does not decode, where Go goes down to 10,000; and so
/// does one that has `statuses` twice, where Go writes the second list over the first, field by field.
#[derive(Debug)]
pub struct Answer {
    state: State,
    /// One bit a level that is open, the innermost last: is it an object?
    objects: u64,
    depth: u32,
    /// Whether the string that is being read is a key.
    key: bool,
    /// As much of it as can matter, and one byte more.
    word: [u8; 9],
    word_len: usize,
    /// What a `\u` escape has come to so far, below a one that its four digits push out of the way.
    unit: u32,
    /// What is left of `true`, `false` or `null`, the next byte lowest.
    literal: u32,
    /// What the next value is.
    place: Place,
    /// What the status that was read last says.
    outcome: Outcome,
    /// A value of a kind that its place does not take: the answer does not decode.
    mismatch: bool,
    /// All below are of the answer to a bulk delivery. Is it one?
    bulk: bool,
    /// Within the list of `statuses`.
    listing: bool,
    /// Whether there was one.
    listed: bool,
    /// Whether the entry that is being read says which it is.
    id: bool,
    /// Of the entries read so far.
    worst: Option<Outcome>,
}

/// What a value is to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Other,
    Status,
    /// All below are of a bulk delivery's answer: the list, one of it, and its name.
    Statuses,
    Entry,
    Id,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// A value or the end of the array.
    Element,
    /// A key or the end of the object.
    FirstKey,
    Key,
    Colon,
    /// A comma or the end of what is open.
    Comma,
    /// Inside a string.
    String,
    Escape,
    Unicode,
    Literal,
    /// Inside a number, after `-`, `-0`, `-12`, `-12.`, `-12.3`, `-12.3e`, `-12.3e+` and `-12.3e+4`.
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
    /// Nothing: the first value is complete.
    End,
    /// Nothing: it is no JSON.
    Broken,
}

impl Answer {
    /// How deep an answer may nest.
    pub const DEPTH: u32 = u64::BITS;

    /// Nothing read yet of the answer to a delivery, of one event or of several.
    pub const fn new(bulk: bool) -> Self {
        Self {
            state: State::Value,
            objects: 0,
            depth: 0,
            key: false,
            word: [0; 9],
            word_len: 0,
            unit: 0,
            literal: 0,
            place: Place::Other,
            outcome: Outcome::Success,
            mismatch: false,
            bulk,
            listing: false,
            listed: false,
            id: false,
            worst: None,
        }
    }

    /// Reads on. `false` once nothing that follows can matter.
    pub fn read(&mut self, body: &[u8]) -> bool {
        for byte in body {
            self.state = self.step(*byte);
        }
        !matches!(self.state, State::End | State::Broken)
    }

    /// What the delivery came to, after an answer with `status` and the body that was read.
    pub fn outcome(&self, status: u16) -> Outcome {
        match status {
            404 => Outcome::Drop,
            status if !is_success(status) => Outcome::Retry,
            _ => {
                let decodes = self.state == State::End && !self.mismatch;
                let (said, otherwise) = match self.bulk {
                    false => (Some(self.outcome), Outcome::Success),
                    true => (self.worst, Outcome::Retry),
                };
                said.filter(|_| decodes).unwrap_or(otherwise)
            }
        }
    }

    fn step(&mut self, byte: u8) -> State {
        use State::*;
        match (self.state, byte) {
            (String, b'"') => return self.end_of_string(),
            (String, b'\\') => return Escape,
            (String, b' '..) | (Escape, b'"' | b'\\' | b'/') => return self.keep(byte),
            // A control character is in no word that matters.
            (Escape, b'b' | b'f' | b'n' | b'r' | b't') => return self.keep(0),
            (Escape, b'u') => {
                self.unit = 1;
                return Unicode;
            }
            (Unicode, _) => return self.digit(byte),
            (Literal, _) => return self.letter(byte),
            (Minus, b'0') => return Zero,
            (Minus | Whole, b'0'..=b'9') => return Whole,
            (Zero | Whole, b'.') => return Point,
            (Point | Fraction, b'0'..=b'9') => return Fraction,
            (Zero | Whole | Fraction, b'e' | b'E') => return E,
            (E, b'+' | b'-') => return Sign,
            (E | Sign | Exponent, b'0'..=b'9') => return Exponent,
            // Only what follows ends a number, and is to be looked at itself.
            (Zero | Whole | Fraction | Exponent, _) => self.state = self.end_of_value(),
            _ => {}
        }
        match (self.state, byte) {
            (End, _) => End,
            (Value | Element | FirstKey | Key | Colon | Comma, b' ' | b'\t' | b'\r' | b'\n') => self.state,
            (Element, b']') | (FirstKey, b'}') => self.close(),
            (Value | Element, _) => self.value(byte),
            (FirstKey | Key, b'"') => self.string(true),
            (Colon, b':') => Value,
            (Comma, b',') if self.in_object() => Key,
            (Comma, b',') => Value,
            (Comma, b'}') if self.in_object() => self.close(),
            (Comma, b']') if !self.in_object() => self.close(),
            _ => Broken,
        }
    }

    fn value(&mut self, byte: u8) -> State {
        if self.listing && self.depth == 2 {
            self.place = Place::Entry;
            self.id = false;
            self.outcome = Outcome::Retry;
        }
        let expected = match self.place {
            Place::Other => byte,
            Place::Status | Place::Id => b'"',
            Place::Statuses => b'[',
            Place::Entry => b'{',
        };
        self.mismatch |= byte != expected && byte != b'n';
        if self.place == Place::Statuses {
            self.mismatch |= self.listed;
            self.listed = true;
            self.listing = byte == b'[';
        }
        match byte {
            b'"' => self.string(false),
            b'{' => self.open(true),
            b'[' => self.open(false),
            b't' => self.literal(*b"rue\0"),
            b'f' => self.literal(*b"alse"),
            b'n' => self.literal(*b"ull\0"),
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Whole,
            _ => State::Broken,
        }
    }

    fn end_of_value(&mut self) -> State {
        self.place = Place::Other;
        match self.depth {
            1 => self.listing = false,
            2 if self.listing => self.end_of_entry(),
            _ => {}
        }
        if self.depth == 0 { State::End } else { State::Comma }
    }

    /// One that does not say which it is does not count, and that which it was meant for has none.
    fn end_of_entry(&mut self) {
        self.worst = Some(match (self.worst, self.outcome) {
            (Some(Outcome::Retry), _) | (_, Outcome::Retry) => Outcome::Retry,
            _ if !self.id => Outcome::Retry,
            (Some(Outcome::Drop), _) | (_, Outcome::Drop) => Outcome::Drop,
            _ => Outcome::Success,
        });
    }

    fn open(&mut self, object: bool) -> State {
        if self.depth == Self::DEPTH {
            return State::Broken;
        }
        self.place = Place::Other;
        self.depth = self.depth.saturating_add(1);
        self.objects = self.objects << 1 | u64::from(object);
        if object { State::FirstKey } else { State::Element }
    }

    fn close(&mut self) -> State {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.end_of_value()
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn literal(&mut self, rest: [u8; 4]) -> State {
        self.literal = u32::from_le_bytes(rest);
        State::Literal
    }

    fn letter(&mut self, byte: u8) -> State {
        let expected = self.literal & 0xff;
        self.literal >>= 8;
        match self.literal {
            _ if expected != u32::from(byte) => State::Broken,
            0 => self.end_of_value(),
            _ => State::Literal,
        }
    }

    fn string(&mut self, key: bool) -> State {
        self.key = key;
        self.word_len = 0;
        State::String
    }

    fn keep(&mut self, byte: u8) -> State {
        if self.key && byte == 0xbf {
            // The end of `ſ` (U+017F), which in the name of a field is an `s` to Go.
            let last = self.word_len.checked_sub(1).and_then(|last| self.word.get_mut(last));
            if let Some(last @ 0xc5) = last {
                *last = b's';
                return State::String;
            }
        }
        if let Some(slot) = self.word.get_mut(self.word_len) {
            *slot = byte;
            self.word_len = self.word_len.saturating_add(1);
        }
        State::String
    }

    fn digit(&mut self, byte: u8) -> State {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return State::Broken;
        };
        self.unit = self.unit << 4 | digit;
        match self.unit.checked_sub(0x1_0000) {
            None => State::Unicode,
            Some(0x17f) if self.key => self.keep(b's'),
            // What else is not ASCII is in no word that matters either.
            Some(unit) => self.keep(u8::try_from(unit).ok().filter(u8::is_ascii).unwrap_or(0)),
        }
    }

    fn end_of_string(&mut self) -> State {
        // All that is longer fills it up, and the words that matter do not.
        let word = self.word.get(..self.word_len).unwrap_or_default();
        if self.key {
            // Of what can be named here, a bulk delivery's entry has one more.
            let (name, place) = match self.depth {
                1 if self.bulk => (&b"statuses"[..], Place::Statuses),
                3 if self.listing && word.len() == 7 => (&b"entryid"[..], Place::Id),
                depth if depth == 1 || depth == 3 && self.listing => (&b"status"[..], Place::Status),
                _ => return State::Colon,
            };
            if word.eq_ignore_ascii_case(name) {
                self.place = place;
            }
            return State::Colon;
        }
        match self.place {
            Place::Status => {
                self.outcome = if word == b"SUCCESS" || word.is_empty() && !self.bulk {
                    Outcome::Success
                } else if word == b"DROP" {
                    Outcome::Drop
                } else {
                    Outcome::Retry
                }
            }
            Place::Id => self.id = !word.is_empty(),
            _ => {}
        }
        self.end_of_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(body: &[u8]) -> Outcome {
        of(false, body)
    }

    fn of(bulk: bool, body: &[u8]) -> Outcome {
        let mut answer = Answer::new(bulk);
        answer.read(body);
        answer.outcome(200)
    }

    /// Each is what Go's `encoding/json` makes of it: `host answers` of `tests/host` reads the same files.
    const ANSWERS: &str = include_str!("../../../tests/cases/records.answers.txt");
    const BULK: &str = include_str!("../../../tests/cases/records.answers.bulk.txt");

    #[test]
    fn golden_answers() {
        for (bulk, golden) in [(false, ANSWERS), (true, BULK)] {
            for golden in golden.lines() {
                let (expected, body) = golden.split_once('\t').expect(golden);
                assert_eq!(of(bulk, body.as_bytes()).as_str(), expected, "{body}");
            }
        }
    }

    #[test]
    fn a_second_list_is_not_understood() {
        let body = br#"{"statuses":[{"entryId":"0","status":"DROP"}],"statuses":[{"entryId":"1","status":"DROP"}]}"#;
        assert_eq!(of(true, body), Outcome::Retry);
    }

    #[test]
    fn a_number_at_the_end_of_the_body_is_no_matter() {
        assert_eq!(outcome(b"12"), Outcome::Success);
        assert_eq!(outcome(b""), Outcome::Success);
    }

    #[test]
    fn outside_of_2xx_the_body_does_not_count() {
        for (status, expected) in [
            (204, Outcome::Drop),
            (299, Outcome::Drop),
            (404, Outcome::Drop),
            (400, Outcome::Retry),
            (500, Outcome::Retry),
            (302, Outcome::Retry),
            (199, Outcome::Retry),
        ] {
            for (bulk, body) in [
                (false, &br#"{"status":"DROP"}"#[..]),
                (true, br#"{"statuses":[{"entryId":"0","status":"DROP"}]}"#),
            ] {
                let mut answer = Answer::new(bulk);
                answer.read(body);
                assert_eq!(answer.outcome(status), expected, "{status}");
            }
        }
    }

    #[test]
    fn nests_as_deep_as_it_says() {
        let deep = |depth: u32| {
            let levels = usize::try_from(depth - 1).unwrap();
            std::format!(
                r#"{{"x":{}{},"status":"RETRY"}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert_eq!(outcome(deep(Answer::DEPTH).as_bytes()), Outcome::Retry);
        assert_eq!(outcome(deep(Answer::DEPTH + 1).as_bytes()), Outcome::Success);
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(bulk in any::<bool>(), body in "(\\{\"ſtatuses\":\\[)?\\{(\"entryId\":\"x\",)?(\"status\":(\"RETRY\"|\"\\\\u0044ROP\"|null|-1\\.5e3),?){0,3}\\}[ \\]\\}x]{0,3}", cut in any::<prop::sample::Index>()) {
            let at = cut.index(body.len() + 1);
            let mut answer = Answer::new(bulk);
            answer.read(&body.as_bytes()[..at]);
            answer.read(&body.as_bytes()[at..]);
            prop_assert_eq!(answer.outcome(200), of(bulk, body.as_bytes()));
        }

        #[test]
        fn any_bytes_are_an_answer(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for bulk in [false, true] {
                of(bulk, &body);
            }
        }
    }
}
