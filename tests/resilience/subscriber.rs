//! An app that takes the events of one topic, and remembers each delivery.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use learnflow_tests::{
    http::{Answer, Message},
    sidecar::{PUBSUB, app},
};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: u64,
    pub route: String,
    /// Where it is in Kafka: partition and offset.
    pub place: (u64, u64),
}

#[derive(Debug)]
pub struct Subscriber {
    pub app: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Subscriber {
    /// Of `topic`, and of the topic of its dead letters, if it declares one. `answer` is asked what to say to a delivery, which
    /// it is told with how often this event came before.
    pub fn of(
        topic: &str,
        dead_letters: Option<&str>,
        answer: impl Fn(&Delivery, usize) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut subscriptions = vec![json!({"pubsubname": PUBSUB, "topic": topic, "route": "/events"})];
        if let Some(dead) = dead_letters {
            subscriptions[0]["deadLetterTopic"] = dead.into();
            // Kafka has no topic with such a name, and would refuse all of the subscriptions.
            if !dead.contains(' ') {
                subscriptions.push(json!({"pubsubname": PUBSUB, "topic": dead, "route": "/dead"}));
            }
        }
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let kept = deliveries.clone();
        let app = app(Value::Array(subscriptions), move |request| {
            let Some(delivery) = delivery(&request) else {
                return Answer::new(200, "");
            };
            let before = {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let same = |other: &&Delivery| other.id == delivery.id && other.route == delivery.route;
                let before = kept.iter().filter(same).count();
                kept.push(delivery.clone());
                before
            };
            match &*delivery.route {
                "/dead" => Answer::new(200, ""),
                _ => answer(&delivery, before),
            }
        })?;
        Ok(Self { app, deliveries })
    }

    pub fn taking_all(topic: &str) -> Result<Self> {
        Self::of(topic, None, |_, _| Answer::new(200, ""))
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Each event that came, and in how many places in Kafka it is.
    pub fn events(&self) -> BTreeMap<u64, usize> {
        let mut places = BTreeMap::<u64, BTreeSet<_>>::new();
        for delivery in self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            places.entry(delivery.id).or_default().insert(delivery.place);
        }
        places.into_iter().map(|(id, places)| (id, places.len())).collect()
    }
}

fn delivery(request: &Message) -> Option<Delivery> {
    let number = |name: &str| str::from_utf8(request.header(name)?).ok()?.parse().ok();
    let event: Value = serde_json::from_slice(&request.body).ok()?;
    Some(Delivery {
        id: event["data"]["id"].as_u64()?,
        route: request.path().to_owned(),
        place: (number("__partition").unwrap_or(0), number("__offset").unwrap_or(0)),
    })
}
