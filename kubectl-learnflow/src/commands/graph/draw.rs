//! The graph as pictures. Names are hostile: each format has its own escapes, and nothing of a name gets past them.

use crate::text::is_harmful;
use serde::Serialize;
use std::{collections::BTreeSet, fmt::Write};

/// What goes between a service and a topic, one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Arrow {
    pub(super) topic: String,
    pub(super) service: String,
    pub(super) dir: &'static str,
    pub(super) events: u64,
    /// Not `success`.
    pub(super) failed: u64,
    /// Events a second.
    pub(super) rate: f64,
}

impl Arrow {
    pub(super) fn ends(&self) -> (&str, &str) {
        match self.dir {
            "publish" => (&self.service, &self.topic),
            _ => (&self.topic, &self.service),
        }
    }

    fn label(&self) -> String {
        match self.failed {
            0 => format!("{:.1}/s", self.rate),
            failed => format!("{:.1}/s, {failed} failed", self.rate),
        }
    }
}

/// Graphviz. In a quoted name only quotes and backslashes mean something.
pub(super) fn dot(arrows: &[Arrow]) -> String {
    let quoted = |kind: &str, name: &str| {
        format!(
            "\"{kind}: {}\"",
            visible(name).replace('\\', "\\\\").replace('"', "\\\"")
        )
    };
    let mut text = String::from("digraph learnflow {\n  rankdir=LR;\n");
    for topic in set(arrows, |arrow| &arrow.topic) {
        let _ = writeln!(text, "  {} [shape=cylinder];", quoted("topic", topic));
    }
    for service in set(arrows, |arrow| &arrow.service) {
        let _ = writeln!(text, "  {} [shape=box];", quoted("service", service));
    }
    for arrow in arrows {
        let (service, topic) = (quoted("service", &arrow.service), quoted("topic", &arrow.topic));
        let (from, to) = if arrow.dir == "publish" {
            (service, topic)
        } else {
            (topic, service)
        };
        let color = if arrow.failed > 0 { ", color=red" } else { "" };
        let _ = writeln!(text, "  {from} -> {to} [label=\"{}\"{color}];", arrow.label());
    }
    text + "}\n"
}

/// For Markdown. Names stand in quotes, and what could end these is an entity.
pub(super) fn mermaid(arrows: &[Arrow]) -> String {
    let topics: Vec<&str> = set(arrows, |arrow| &arrow.topic).into_iter().collect();
    let services: Vec<&str> = set(arrows, |arrow| &arrow.service).into_iter().collect();
    let place = |names: &[&str], name: &str| names.iter().position(|other| *other == name).unwrap_or_default();
    let mut text = String::from("flowchart LR\n");
    for (number, topic) in topics.iter().enumerate() {
        let _ = writeln!(text, "  t{number}[(\"{}\")]", entities(topic, "#"));
    }
    for (number, service) in services.iter().enumerate() {
        let _ = writeln!(text, "  s{number}[\"{}\"]", entities(service, "#"));
    }
    for arrow in arrows {
        let (t, s) = (place(&topics, &arrow.topic), place(&services, &arrow.service));
        let _ = match arrow.dir {
            "publish" => writeln!(text, "  s{s} -- \"{}\" --> t{t}", arrow.label()),
            _ => writeln!(text, "  t{t} -- \"{}\" --> s{s}", arrow.label()),
        };
    }
    text
}

const XML: &str = "&#";
const ROW: usize = 44;
const COLUMNS: [usize; 3] = [20, 340, 660];
const WIDTH: usize = 240;

/// Publishers on the left, topics in the middle, receivers on the right.
pub(super) fn svg(arrows: &[Arrow]) -> String {
    let of = |dir: &str| -> Vec<&str> {
        let names = arrows
            .iter()
            .filter(|arrow| arrow.dir == dir)
            .map(|arrow| arrow.service.as_str());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let columns = [
        of("publish"),
        set(arrows, |arrow| &arrow.topic).into_iter().collect(),
        of("deliver"),
    ];
    let height = columns.iter().map(Vec::len).max().unwrap_or_default() * ROW + 40;
    let middle = |column: usize, name: &str| {
        let row = columns[column]
            .iter()
            .position(|other| *other == name)
            .unwrap_or_default();
        row * ROW + 20 + ROW / 2
    };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 920 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text{{fill:#1b1f24}}rect{{fill:#f3f5f8;stroke:#8a94a3}}path{{stroke:#5b6b7d;fill:none}}.bad{{stroke:#c0392b}}\
         @media(prefers-color-scheme:dark){{text{{fill:#e6e9ee}}rect{{fill:#22272e;stroke:#768390}}}}</style>\n"
    );
    for arrow in arrows {
        let left = usize::from(arrow.dir != "publish");
        let (from, to) = arrow.ends();
        let (x1, y1) = (COLUMNS[left] + WIDTH, middle(left, from));
        let (x2, y2) = (COLUMNS[left + 1], middle(left + 1, to));
        let bend = (x1 + x2) / 2;
        let class = if arrow.failed > 0 { " class=\"bad\"" } else { "" };
        let width = 1.0 + (1.0 + arrow.rate).log10();
        let _ = writeln!(
            text,
            "<path{class} stroke-width=\"{width:.1}\" d=\"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}\"><title>{} → {}: {}</title></path>",
            entities(from, XML),
            entities(to, XML),
            arrow.label()
        );
    }
    for (column, names) in columns.iter().enumerate() {
        for name in names {
            let (x, y) = (COLUMNS[column], middle(column, name));
            let round = if column == 1 { 14 } else { 3 };
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"28\" rx=\"{round}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                y - 14,
                x + 10,
                y + 4,
                entities(&short(name), XML)
            );
        }
    }
    text + "</svg>\n"
}

fn set<'a>(arrows: &'a [Arrow], of: impl Fn(&'a Arrow) -> &'a str) -> BTreeSet<&'a str> {
    arrows.iter().map(of).collect()
}

/// What fits into a box.
fn short(name: &str) -> String {
    const MOST: usize = 30;
    match name.chars().count() {
        0..=MOST => name.to_owned(),
        _ => name.chars().take(MOST - 1).chain(['…']).collect(),
    }
}

fn visible(name: &str) -> String {
    name.chars()
        .map(|c| if is_harmful(c) { '\u{fffd}' } else { c })
        .collect()
}

/// `before` is what an entity begins with: `&#` in XML, `#` in Mermaid.
fn entities(name: &str, before: &str) -> String {
    let mut text = String::new();
    for c in visible(name).chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' | '#' | ';' | '`' => {
                let _ = write!(text, "{before}{};", c as u32);
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(topic: &str) -> Vec<Arrow> {
        let arrow = |dir, service: &str, failed| Arrow {
            topic: topic.to_owned(),
            service: service.to_owned(),
            dir,
            events: 10,
            failed,
            rate: 2.0,
        };
        vec![
            arrow("publish", "course-agent", 0),
            arrow("deliver", "user-progress", 3),
        ]
    }

    #[test]
    fn each_format_says_who_and_how_much() {
        let arrows = arrows("lesson.generated");
        let dot = dot(&arrows);
        assert!(
            dot.contains("\"service: course-agent\" -> \"topic: lesson.generated\" [label=\"2.0/s\"];"),
            "{dot}"
        );
        assert!(dot.contains("[label=\"2.0/s, 3 failed\", color=red];"), "{dot}");
        let mermaid = mermaid(&arrows);
        assert!(
            mermaid.contains("t0[(\"lesson.generated\")]") && mermaid.contains("s0 -- \"2.0/s\" --> t0"),
            "{mermaid}"
        );
        let svg = svg(&arrows);
        assert!(
            svg.contains(">lesson.generated</text>") && svg.contains("class=\"bad\""),
            "{svg}"
        );
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let arrows = arrows("a\"]; x -> \\\"<script>alert(1)</script>\u{1b}[31m\u{202e}");
        let dot = dot(&arrows);
        assert!(dot.contains(r#"a\"]; x -> \\\"<script>"#), "{dot}");
        for text in [mermaid(&arrows), svg(&arrows)] {
            assert!(!text.contains("<script>") && !text.contains("a\"]"), "{text}");
        }
        for text in [dot, mermaid(&arrows), svg(&arrows)] {
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        }
    }
}
