//! Who publishes to, and who receives from, which topic.

use crate::{Flow, Row};
use std::collections::BTreeMap;

/// A service and a topic, with all that went between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub flow: Flow,
    pub events: u64,
    /// Not `success`.
    pub failed: u64,
    pub rate: f64,
}

/// Edges by topic, publishers first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    pub edges: Vec<Edge>,
}

impl Graph {
    pub fn of(rows: &[Row]) -> Self {
        let edges: BTreeMap<Flow, Edge> = rows
            .iter()
            .map(|row| {
                let edge = Edge {
                    flow: row.flow,
                    events: row.events(),
                    failed: row.events() - row.success,
                    rate: row.rate,
                };
                (row.flow, edge)
            })
            .collect();
        Self {
            edges: edges.into_values().collect(),
        }
    }
}
