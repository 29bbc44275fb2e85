//! Real daprd and Kafka on the loopback device, without a cluster.
//!
//! Kafka and each sidecar are processes of their own, which end with the thread that has started them. A sidecar is told
//! what the manifests tell it in a cluster: the same Component and Configuration, with only what is different here changed.

mod daprd;
mod gate;
mod kafka;
mod middleware;
mod probe;
mod trials;

use std::net::SocketAddr;

use anyhow::Result;
use learnflow_lab::Parts;
use serde_json::Value;

use crate::{
    http::{self, Answer, Message},
    process::{Folder, free_port},
};

pub use gate::Gate;
pub use kafka::{Kafka, Secured};
pub use probe::serves;
pub use trials::{Test, with_a_rig};

pub use daprd::{Setup, Sidecar};
pub use middleware::{Middleware, released};

/// The component's name, as the services have it.
pub const PUBSUB: &str = "kafka-pubsub";

/// What sidecars share: the broker, and how they find each other.
#[derive(Debug)]
pub struct Rig {
    parts: Parts,
    kafka: Kafka,
    gate: Option<Gate>,
    folder: Folder,
}

impl Rig {
    /// Starts Kafka. It and daprd are the lab's, and built if they are not there yet.
    pub fn start() -> Result<Self> {
        let parts = learnflow_lab::parts(&["dapr", "kafka"])?;
        let folder = Folder::new()?;
        Ok(Self {
            kafka: Kafka::start(&parts, folder.path())?,
            gate: None,
            parts,
            folder,
        })
    }

    /// The same with a gate between the sidecars and Kafka.
    pub fn start_gated() -> Result<Self> {
        let parts = learnflow_lab::parts(&["dapr", "kafka"])?;
        let folder = Folder::new()?;
        let (broker, front) = (free_port()?, free_port()?);
        Ok(Self {
            kafka: Kafka::start_behind(&parts, folder.path(), broker, front)?,
            gate: Some(Gate::open(front, broker)?),
            parts,
            folder,
        })
    }

    pub fn gate(&mut self) -> Option<&mut Gate> {
        self.gate.as_mut()
    }

    /// Where sidecars reach Kafka.
    fn broker(&self) -> SocketAddr {
        self.gate.as_ref().map_or(self.kafka.address(), Gate::address)
    }

    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// To stop and start it.
    pub fn kafka_mut(&mut self) -> &mut Kafka {
        &mut self.kafka
    }

    /// A broker more, with its data in a folder of its own, which has to outlive it.
    pub fn another_kafka(&self, folder: &Folder) -> Result<Kafka> {
        Kafka::start(&self.parts, folder.path())
    }

    /// A sidecar that is yet to be started.
    pub fn sidecar(&self, middleware: Middleware) -> Setup<'_> {
        Setup::new(self, middleware)
    }
}

/// An app as Dapr sees it: it says what it subscribes to, and answers everything else as it is told.
pub fn app(subscriptions: Value, answer: impl Fn(Message) -> Answer + Send + Sync + 'static) -> Result<SocketAddr> {
    http::serve(move |request| match request.first.as_str() {
        "GET /dapr/subscribe HTTP/1.1" => json(&subscriptions),
        "GET /dapr/config HTTP/1.1" => Answer::new(404, ""),
        _ => answer(request),
    })
}

fn json(value: &Value) -> Answer {
    Answer::Whole {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: value.to_string().into_bytes(),
    }
}
