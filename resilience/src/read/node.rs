//! A value with the line it stands on, and the way to it.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;
use std::{fmt, time::Duration};

/// Where something is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// `None` for an object of a cluster.
    pub file: Option<String>,
    pub line: Option<usize>,
    /// `Resiliency shop/policies`.
    pub object: String,
    /// `spec.policies.timeouts.short`; empty for the object as a whole.
    pub field: String,
}

/// A value and where it is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    pub value: T,
    pub place: Place,
}

/// What Dapr would refuse, and what it would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub place: Place,
    pub what: String,
    pub next: String,
}

impl Place {
    /// `file:3`, or the object where there is no file.
    pub fn short(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            (None, _) if self.field.is_empty() => self.object.clone(),
            (None, _) => format!("{} {}", self.object, self.field),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_some() {
            write!(f, "{}: ", self.short())?;
        }
        match (self.object.is_empty(), self.field.is_empty()) {
            (true, _) => f.write_str(&self.field),
            (false, true) => f.write_str(&self.object),
            (false, false) => write!(f, "{}, {}", self.object, self.field),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        match place.trim_end_matches([':', ' ']) {
            "" => write!(f, "{}.", self.what),
            place => write!(f, "{place}: {}.", self.what),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: Option<usize>,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn documents(file: &str, text: &str) -> Result<Vec<Self>, Box<Wrong>> {
        // As for kubectl, a single y or n is a text.
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            let error = error.without_snippet();
            let line = error.location().map(|at| at.line() as usize).filter(|line| *line > 0);
            let what = error.to_string();
            let what = what.lines().next().unwrap_or_default().trim_end_matches('.');
            Box::new(Wrong {
                place: Place {
                    file: Some(file.to_owned()),
                    line,
                    ..Place::default()
                },
                what: format!("not YAML: {what}"),
                next: "Mend it; `kubectl apply --dry-run=client -f` says the same.".into(),
            })
        })
    }

    pub(super) fn of_json(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(*yes),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Value::Whole(whole),
                None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Self::of_json).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::of_json(value)))
                    .collect(),
            ),
        };
        Self { line: None, value }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|(name, _)| name == key)?;
        (entry.1.value != Value::Null).then_some(&entry.1)
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned: Spanned<Value> = Spanned::deserialize(deserializer)?;
        let line = spanned.referenced.line() as usize;
        Ok(Self {
            line: (line > 0).then_some(line),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E>(self, whole: i64) -> Result<Value, E> {
        Ok(Value::Whole(whole))
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Value, E> {
        Ok(i64::try_from(whole).map_or(Value::Number(whole as f64), Value::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        // The line of a key: what it holds may begin far below.
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
            let line = key.referenced.line() as usize;
            let line = (line > 0).then_some(line).or(node.line);
            entries.push((key.value, Node { line, ..node }));
        }
        Ok(Value::Map(entries))
    }
}

/// Which object of which file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Option<String>,
    pub(super) object: String,
}

/// A value on the way through an object.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    node: &'a Node,
    source: &'a Source,
    field: String,
}

impl<'a> At<'a> {
    pub(super) fn new(node: &'a Node, source: &'a Source) -> Self {
        Self {
            node,
            source,
            field: String::new(),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            file: self.source.file.clone(),
            line: self.node.line,
            object: self.source.object.clone(),
            field: self.field.clone(),
        }
    }

    pub(super) fn wrong(&self, what: impl Into<String>, next: impl Into<String>) -> Wrong {
        Wrong {
            place: self.place(),
            what: what.into(),
            next: next.into(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Self> {
        Some(self.below(self.node.get(key)?, key))
    }

    fn below(&self, node: &'a Node, key: &str) -> Self {
        let field = match self.field.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.field),
        };
        Self {
            node,
            source: self.source,
            field,
        }
    }

    /// The entries of a map; anything else is wrong.
    pub(super) fn entries(&self, wrong: &mut Vec<Wrong>) -> Vec<(&'a str, Self)> {
        match &self.node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.as_str(), self.below(node, key)))
                .collect(),
            Value::Null => Vec::new(),
            _ => {
                wrong.push(self.wrong("it is not a map", "Write `name: value` lines below it."));
                Vec::new()
            }
        }
    }

    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.node.items().iter().enumerate();
        items
            .map(|(n, node)| Self {
                node,
                source: self.source,
                field: format!("{}[{n}]", self.field),
            })
            .collect()
    }

    pub(super) fn texts(&self, wrong: &mut Vec<Wrong>) -> Vec<String> {
        if !matches!(self.node.value, Value::List(_)) {
            wrong.push(self.wrong("it is not a list", "Write one `- name` a line below it."));
        }
        self.items().iter().filter_map(|item| item.text(wrong)).collect()
    }

    pub(super) fn text(&self, wrong: &mut Vec<Wrong>) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            _ => {
                wrong.push(self.wrong("it is not a text", "Write it in quotes."));
                None
            }
        }
    }

    pub(super) fn flag(&self, wrong: &mut Vec<Wrong>) -> Option<bool> {
        match &self.node.value {
            Value::Bool(yes) => Some(*yes),
            _ => {
                wrong.push(self.wrong("it is neither true nor false", "Write true or false, without quotes."));
                None
            }
        }
    }

    /// As a component's metadata has it: numbers and flags may stand without quotes.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(yes) => Some(yes.to_string()),
            Value::Whole(whole) => Some(whole.to_string()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(super) fn whole(&self, wrong: &mut Vec<Wrong>) -> Option<i64> {
        match &self.node.value {
            Value::Whole(whole) => Some(*whole),
            _ => {
                wrong.push(self.wrong(
                    "it is not a whole number",
                    "Write a number without quotes, for example 5.",
                ));
                None
            }
        }
    }

    /// Dapr leaves out what is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.node.as_text() == Some("")
    }

    /// A duration that is not negative.
    pub(super) fn duration(&self, wrong: &mut Vec<Wrong>) -> Option<Duration> {
        let text = self.text(wrong)?;
        match super::duration::parse(&text) {
            Ok(duration) => Some(duration),
            Err(what) => {
                wrong.push(self.wrong(what, super::duration::ALLOWED));
                None
            }
        }
    }

    pub(super) fn written<T>(&self, value: T) -> Written<T> {
        Written {
            value,
            place: self.place(),
        }
    }
}
