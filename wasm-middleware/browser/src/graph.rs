//! Where services and topics stand: publishers on the left, topics in the middle, receivers on the right.

use learnflow_flow::{Flow, Name, Names, Row};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// More than these, by events a second, cannot be read.
const TOPICS: usize = 24;

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    /// From the top, by column.
    pub publishers: Vec<Node>,
    pub topics: Vec<Node>,
    pub receivers: Vec<Node>,
    pub arrows: Vec<Arrow>,
    /// Topics that are left out.
    pub more: usize,
}

/// Between a service and a topic, by their places in their columns.
#[derive(Debug, PartialEq, Serialize)]
pub struct Arrow {
    pub number: usize,
    pub delivers: bool,
    pub service: usize,
    pub topic: usize,
    pub rate: f64,
    pub events: u64,
    pub failed: u64,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Node {
    pub name: String,
    pub rate: f64,
    pub events: u64,
    pub failed: u64,
}

#[derive(Default)]
struct Sum {
    rate: f64,
    events: u64,
    failed: u64,
    /// Places of the topics that it is connected with.
    places: Vec<usize>,
}

/// `number` is that of an arrow.
pub fn laid_out(rows: &[Row], names: &Names, number: impl Fn(&Flow) -> usize) -> Graph {
    let mut rates: HashMap<Name, f64> = HashMap::new();
    for row in rows {
        *rates.entry(row.flow.topic).or_default() += row.rate;
    }
    let mut busiest: Vec<_> = rates.iter().map(|(topic, rate)| (*topic, *rate)).collect();
    busiest.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| names.text(a.0).cmp(names.text(b.0))));
    let shown: BTreeSet<&str> = busiest
        .iter()
        .take(TOPICS)
        .map(|(topic, _)| names.text(*topic))
        .collect();
    // Topics by name, so that they stay where they are while rates change.
    let places: BTreeMap<&str, usize> = shown.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let mut columns: [BTreeMap<&str, Sum>; 3] = Default::default();
    for row in rows {
        let topic = names.text(row.flow.topic);
        let Some(place) = places.get(topic).copied() else {
            continue;
        };
        let of_service = if row.flow.delivers { 2 } else { 0 };
        for (column, name) in [(of_service, names.text(row.flow.app)), (1, topic)] {
            let sum = columns[column].entry(name).or_default();
            sum.rate += row.rate;
            sum.events += row.events();
            sum.failed += row.events() - row.success;
            sum.places.push(place);
        }
    }
    let [publishers, topics, receivers] = columns.map(nodes);
    let arrows = rows.iter().filter_map(|row| {
        let services = if row.flow.delivers { &receivers } else { &publishers };
        let name = names.text(row.flow.app);
        Some(Arrow {
            number: number(&row.flow),
            delivers: row.flow.delivers,
            topic: *places.get(names.text(row.flow.topic))?,
            service: services.iter().position(|node| node.name == name)?,
            rate: row.rate,
            events: row.events(),
            failed: row.events() - row.success,
        })
    });
    Graph {
        arrows: arrows.collect(),
        publishers,
        topics,
        receivers,
        more: busiest.len() - shown.len(),
    }
}

/// Each beside the topics that it is connected with: few arrows cross then.
fn nodes(column: BTreeMap<&str, Sum>) -> Vec<Node> {
    let middle = |sum: &Sum| sum.places.iter().sum::<usize>() as f64 / sum.places.len().max(1) as f64;
    let mut sums: Vec<_> = column.into_iter().collect();
    sums.sort_by(|(_, a), (_, b)| middle(a).total_cmp(&middle(b)));
    let node = |(name, sum): (&str, Sum)| Node {
        name: name.to_owned(),
        rate: sum.rate,
        events: sum.events,
        failed: sum.failed,
    };
    sums.into_iter().map(node).collect()
}
