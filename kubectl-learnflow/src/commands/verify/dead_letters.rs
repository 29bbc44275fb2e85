//! What dies meanwhile: how far the dead-letter topics went on. The canaries have no subscriber; these are events of others.

use super::{Scene, delivery::Reader};
use crate::{cluster::Cluster, problem::Problem, text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where topics end, all of their partitions together. One that is not there yet ends at 0.
pub(super) type Ends = BTreeMap<String, i64>;

/// The dead-letter topics that subscriptions name, as Kafka has them.
pub(super) struct Watched {
    reader: Reader,
    topics: BTreeSet<String>,
    silent: Vec<String>,
    before: Ends,
    /// Where they ended when Kafka's disk went: then it counts anew.
    gone: Option<Ends>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Died {
    /// By topic, and the sidecars that did not say what they subscribe to.
    Counted { new: Ends, silent: Vec<String> },
    /// Why not.
    Unknown(String),
}

impl Watched {
    pub(super) async fn new(cluster: &Cluster, reader: &Reader, scene: &Scene) -> Result<Self, Problem> {
        let (subscriptions, silent) = cluster.subscriptions(&scene.component).await?;
        let topics: BTreeSet<String> = subscriptions.into_iter().filter_map(|one| one.dead_letters).collect();
        Ok(Self {
            before: reader.ends(&topics).await?,
            reader: reader.clone(),
            topics,
            silent,
            gone: None,
        })
    }

    /// From here on Kafka begins with an empty disk.
    pub(super) async fn goes(&mut self) -> Result<(), Problem> {
        self.gone = Some(self.reader.ends(&self.topics).await?);
        Ok(())
    }

    pub(super) async fn died(self) -> Result<Died, Problem> {
        let after = self.reader.ends(&self.topics).await?;
        let at = |ends: &Ends, topic: &String| ends.get(topic).copied().unwrap_or(0);
        let new = self.topics.iter().map(|topic| {
            let gone = self.gone.as_ref().map(|gone| at(gone, topic));
            (topic.clone(), new(at(&self.before, topic), gone, at(&after, topic)))
        });
        Ok(Died::Counted {
            new: new.collect(),
            silent: self.silent,
        })
    }
}

fn new(before: i64, gone: Option<i64>, after: i64) -> i64 {
    match gone {
        Some(gone) => (gone - before).max(0) + after,
        // Somebody has made the topic anew.
        None if after < before => after,
        None => after - before,
    }
}

impl Died {
    pub(super) fn why(problem: &Problem) -> Self {
        Self::Unknown(problem.what.trim_end_matches('.').to_owned())
    }

    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Unknown(why) => format!("not seen: {why}"),
            Self::Counted { new, silent } => {
                let each: Vec<String> = new.iter().map(|(topic, new)| format!("{new} new in {topic}")).collect();
                let all = match each.is_empty() {
                    true => "no subscription names a dead-letter topic".to_owned(),
                    false => each.join(", "),
                };
                match silent.is_empty() {
                    true => all,
                    false => format!("{all}; not said by {}", text::list(silent)),
                }
            }
        }
    }

    /// Those to which something came.
    pub(super) fn topics(&self) -> Vec<&str> {
        match self {
            Self::Unknown(_) => Vec::new(),
            Self::Counted { new, .. } => {
                let came = new.iter().filter(|(_, new)| **new > 0);
                came.map(|(topic, _)| topic.as_str()).collect()
            }
        }
    }

    pub(super) fn document(&self) -> Value {
        match self {
            Self::Unknown(why) => json!({ "checked": false, "why": why }),
            Self::Counted { new, silent } => {
                let each = new.iter().map(|(topic, new)| json!({ "topic": topic, "new": new }));
                json!({ "checked": true, "topics": each.collect::<Vec<_>>(), "silent": silent })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_counted_on_one_disk_and_over_two() {
        assert_eq!(new(3, None, 5), 2);
        assert_eq!(new(0, None, 0), 0);
        assert_eq!(new(7, None, 2), 2, "the topic was made anew");
        assert_eq!(new(3, Some(4), 2), 3, "one before Kafka's disk went, two after");
        assert_eq!(new(3, Some(3), 0), 0);
    }

    #[test]
    fn it_says_what_was_counted_and_what_was_not() {
        let counted = |new: &[(&str, i64)], silent: &[&str]| Died::Counted {
            new: new.iter().map(|(topic, new)| ((*topic).to_owned(), *new)).collect(),
            silent: silent.iter().map(|pod| (*pod).to_owned()).collect(),
        };
        for (died, sentence, topics) in [
            (counted(&[("lessons.dead", 0)], &[]), "0 new in lessons.dead", vec![]),
            (
                counted(&[("a.dead", 2), ("b.dead", 0)], &["cart-1"]),
                "2 new in a.dead, 0 new in b.dead; not said by cart-1",
                vec!["a.dead"],
            ),
            (counted(&[], &[]), "no subscription names a dead-letter topic", vec![]),
            (Died::Unknown("no way".into()), "not seen: no way", vec![]),
        ] {
            assert_eq!(died.sentence(), sentence);
            assert_eq!(died.topics(), topics);
        }
        let died = counted(&[("a.dead", 2)], &[]);
        assert_eq!(
            died.document(),
            json!({ "checked": true, "topics": [{ "topic": "a.dead", "new": 2 }], "silent": [] })
        );
    }
}
