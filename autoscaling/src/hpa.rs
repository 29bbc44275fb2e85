//! An autoscaler, as its object says it, with the defaults of the API server filled in.

use crate::behavior::Behavior;

#[derive(Debug, Clone, PartialEq)]
pub struct Autoscaler {
    pub name: String,
    pub namespace: Option<String>,
    /// Kind and name of what it scales.
    pub target: (String, String),
    pub min: i32,
    pub max: i32,
    pub metrics: Vec<Metric>,
    /// Absent is not the same as the defaults: the controller then goes another way.
    pub behavior: Option<Behavior>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub source: Source,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Of whole pods.
    Resource(Resource),
    /// Of one container of each pod.
    Container(Resource, String),
    Pods(String),
    Object(String),
    External(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Cpu,
    Memory,
}

/// Values are thousandths, as the controller has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Percent of the request.
    Utilization(i32),
    AverageValue(i64),
    Value(i64),
}

impl Resource {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

impl Source {
    pub fn resource(&self) -> Option<Resource> {
        match self {
            Self::Resource(resource) | Self::Container(resource, _) => Some(*resource),
            _ => None,
        }
    }
}
