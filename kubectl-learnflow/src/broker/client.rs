//! The client: nothing of it waits without an end, and nothing is sent twice behind our back.

use super::{Credentials, Message, Way, socks::Proxy, unreachable};
use crate::{problem::Problem, text::format_duration};
use chrono::DateTime;
use futures::{StreamExt, TryStreamExt, stream};
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        error::{Error, ProtocolError, RequestError},
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error,
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// As much as is read at once. A single message may be larger: Kafka then gives that alone.
const CHUNK: i32 = 4 << 20;
/// No answer is larger.
const ANSWER: usize = 128 << 20;
/// How many partitions are asked at a time.
const AT_ONCE: usize = 8;
/// How long Kafka may collect before it answers: we ask only for what is there.
const COLLECT_MS: i32 = 100;

/// A Kafka that answers.
pub(crate) struct Kafka {
    client: Client,
    shared: Arc<Shared>,
}

struct Shared {
    brokers: String,
    /// For one answer; none: for ever.
    limit: Option<Duration>,
    proxy: Option<Proxy>,
}

/// One partition, at its leader.
pub(crate) struct Partition {
    client: PartitionClient,
    shared: Arc<Shared>,
}

/// What became of a message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It lies at this offset.
    At(i64),
    /// Kafka said no: it lies nowhere.
    Refused(Problem),
    /// No answer came: it may be there, or arrive yet.
    Unknown(Problem),
}

impl Kafka {
    /// `limit`: for one answer; zero: none.
    pub(crate) async fn connect(credentials: &Credentials, way: Way, limit: Duration) -> Result<Self, Problem> {
        let proxy = match way {
            Way::Direct => None,
            Way::Through(open) => Some(Proxy::start(open).await?),
        };
        let shared = Arc::new(Shared {
            brokers: credentials.brokers.join(","),
            limit: Some(limit).filter(|limit| !limit.is_zero()),
            proxy,
        });
        // Its retries would send a message again whose answer was lost, and wait for a broker without an end.
        let never_again = BackoffConfig {
            deadline: Some(Duration::ZERO),
            ..BackoffConfig::default()
        };
        let mut builder = ClientBuilder::new(credentials.brokers.clone())
            .client_id("kubectl-learnflow")
            .max_message_size(ANSWER)
            .backoff_config(never_again);
        if let Some(proxy) = &shared.proxy {
            builder = builder.socks5_proxy(proxy.address().to_string());
        }
        if let Some(tls) = &credentials.tls {
            builder = builder.tls_config(tls.config()?);
        }
        if let Some(sasl) = &credentials.sasl {
            builder = builder.sasl_config(sasl.config());
        }
        let client = shared.within("reach Kafka", builder.build()).await?;
        Ok(Self { client, shared })
    }

    /// All topics but Kafka's own, with their partitions.
    ///
    /// Ask this before anything of a topic: asking for one that is not there may create it.
    pub(crate) async fn topics(&self) -> Result<BTreeMap<String, BTreeSet<i32>>, Problem> {
        let topics = self.shared.within("list the topics", self.client.list_topics()).await?;
        Ok(topics.into_iter().map(|topic| (topic.name, topic.partitions)).collect())
    }

    /// Where these topics end, all partitions together, so that the difference of two such sums is what came in between.
    /// One that is not there has no end.
    pub(crate) async fn ends(&self, topics: &BTreeSet<String>) -> Result<BTreeMap<String, i64>, Problem> {
        let there = match topics.is_empty() {
            true => BTreeMap::new(),
            false => self.topics().await?,
        };
        let partitions = there.into_iter().filter(|(topic, _)| topics.contains(topic));
        let each =
            partitions.flat_map(|(topic, numbers)| numbers.into_iter().map(move |number| (topic.clone(), number)));
        let ends = stream::iter(each).map(async |(topic, number)| {
            let end = self.partition(&topic, number).await?.end().await?;
            Ok::<_, Problem>((topic, end))
        });
        let mut sums = BTreeMap::new();
        let mut ends = std::pin::pin!(ends.buffer_unordered(AT_ONCE));
        while let Some((topic, end)) = ends.try_next().await? {
            *sums.entry(topic).or_default() += end;
        }
        Ok(sums)
    }

    pub(crate) async fn partition(&self, topic: &str, partition: i32) -> Result<Partition, Problem> {
        let asked = self
            .client
            .partition_client(topic, partition, UnknownTopicHandling::Error);
        let client = self.shared.within(&format!("reach {topic}/{partition}"), asked).await?;
        Ok(Partition {
            client,
            shared: self.shared.clone(),
        })
    }
}

impl Partition {
    /// The offset of the first message that Kafka still has, and that of the next that will come.
    pub(crate) async fn bounds(&self) -> Result<Range<i64>, Problem> {
        let doing = format!("ask for the offsets of {}", self.name());
        let first = self.client.get_offset(OffsetAt::Earliest);
        let first = self.shared.within(&doing, first).await?;
        Ok(first..self.end().await?)
    }

    /// The offset of the next message that will come.
    pub(crate) async fn end(&self) -> Result<i64, Problem> {
        let end = self.client.get_offset(OffsetAt::Latest);
        self.shared
            .within(&format!("ask for the end of {}", self.name()), end)
            .await
    }

    /// The offset of the first message that is not older; where there is none, that of the next that will come.
    pub(crate) async fn offset_at(&self, timestamp: i64) -> Result<i64, Problem> {
        let Some(time) = DateTime::from_timestamp_millis(timestamp) else {
            return Ok(self.bounds().await?.start);
        };
        let doing = format!("ask for the offsets of {}", self.name());
        let found = self.client.get_offset(OffsetAt::Timestamp(time));
        match self.shared.within(&doing, found).await? {
            found if found < 0 => Ok(self.bounds().await?.end),
            found => Ok(found),
        }
    }

    /// The one message at an offset, if it is still there.
    pub(crate) async fn at(&self, offset: i64) -> Result<Option<Message>, Problem> {
        // Kafka gives a message that is larger than what may come, if it is the first.
        let (messages, _) = self.fetch(offset..offset + 1, 1).await?;
        Ok(messages.into_iter().find(|message| message.offset == offset))
    }

    /// What lies within `offsets`, some of it at a time: the messages, and the offset to go on at. Nothing is left when that
    /// is the end of `offsets`. What compaction or transactions have left of them may be fewer.
    pub(crate) async fn read(&self, offsets: Range<i64>) -> Result<(Vec<Message>, i64), Problem> {
        self.fetch(offsets, CHUNK).await
    }

    async fn fetch(&self, offsets: Range<i64>, bytes: i32) -> Result<(Vec<Message>, i64), Problem> {
        let doing = format!("read {} from {}", self.name(), offsets.start);
        let fetched = self
            .client
            .fetch_records(offsets.start, 1..bytes.saturating_add(1), COLLECT_MS);
        let (records, end) = self.shared.within(&doing, fetched).await?;
        let next = match records.last() {
            Some(last) => (last.offset + 1).min(offsets.end),
            None if end <= offsets.start => {
                return Err(unreachable(format!(
                    "Cannot {doing}: Kafka has them no more, or not yet again."
                )));
            }
            // A mark of a transaction, or what an aborted one has left.
            None => offsets.start + 1,
        };
        let messages = records.into_iter().filter(|record| record.offset < offsets.end);
        let message = |found: rskafka::record::RecordAndOffset| Message {
            partition: self.client.partition(),
            offset: found.offset,
            timestamp: found.record.timestamp.timestamp_millis(),
            key: found.record.key,
            headers: found.record.headers,
            value: found.record.value,
        };
        Ok((messages.map(message).collect(), next))
    }

    /// Sends one message, once. Its offset and partition are not looked at.
    pub(crate) async fn send(&self, message: Message) -> Sent {
        let Some(timestamp) = DateTime::from_timestamp_millis(message.timestamp) else {
            return Sent::Refused(Problem::new(format!("{} ms is no time.", message.timestamp)));
        };
        let record = Record {
            key: message.key,
            value: message.value,
            headers: message.headers,
            timestamp,
        };
        let doing = format!("send to {}", self.name());
        let sent = self.client.produce(vec![record], Compression::NoCompression);
        match self.shared.in_time(&doing, sent).await {
            Err(late) => Sent::Unknown(late),
            Ok(Ok(offsets)) => match offsets.first() {
                Some(offset) => Sent::At(*offset),
                None => Sent::Unknown(Problem::new(format!("Cannot {doing}: Kafka told no offset."))),
            },
            Ok(Err(error)) => {
                let refused = matches!(&error, Error::ServerError { protocol_error, .. } if says_no(*protocol_error));
                let problem = self.shared.explain(&doing, &error);
                if refused {
                    Sent::Refused(problem)
                } else {
                    Sent::Unknown(problem)
                }
            }
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.client.topic(), self.client.partition())
    }
}

/// What a broker decides before it writes anything.
fn says_no(error: ProtocolError) -> bool {
    use ProtocolError as P;
    matches!(
        error,
        P::TopicAuthorizationFailed
            | P::ClusterAuthorizationFailed
            | P::MessageTooLarge
            | P::RecordListTooLarge
            | P::InvalidTimestamp
            | P::InvalidRecord
            | P::CorruptMessage
            | P::PolicyViolation
    )
}

impl Shared {
    async fn in_time<T>(&self, doing: &str, asked: impl Future<Output = T>) -> Result<T, Problem> {
        match self.limit {
            None => Ok(asked.await),
            Some(limit) => timeout(limit, asked).await.map_err(|_| {
                let late = format!(
                    "Cannot {doing}: Kafka at {} does not answer within {}.",
                    self.brokers,
                    format_duration(limit)
                );
                self.told().unwrap_or_else(|| unreachable(late))
            }),
        }
    }

    async fn within<T>(&self, doing: &str, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Problem> {
        let answer = self.in_time(doing, asked).await?;
        answer.map_err(|error| self.explain(doing, &error))
    }

    /// The way to a broker was not there: what the cluster said is what matters.
    fn told(&self) -> Option<Problem> {
        self.proxy.as_ref().and_then(Proxy::problem)
    }

    fn explain(&self, doing: &str, error: &Error) -> Problem {
        let brokers = &self.brokers;
        let inner = innermost(error);
        if matches!(
            inner.protocol,
            Some(ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed)
        ) {
            return Problem::new(format!("Cannot {doing}: Kafka does not allow it to this user."))
                .next("Give the user of the Component that right in Kafka (its ACLs).");
        }
        // The library has no name for it that it lets out.
        if inner.text.contains("Sasl handshake failed") {
            return Problem::new(format!("Cannot {doing}: Kafka at {brokers} does not accept the login."))
                .next("Check saslUsername, saslPassword and saslMechanism of the Component.");
        }
        if let Some(problem) = self.told() {
            return problem;
        }
        let what = format!(
            "Cannot {doing}: Kafka at {brokers}: {}.",
            inner.text.trim_end_matches('.')
        );
        if what.contains("certificate") {
            return Problem::new(what).next("Check caCert, clientCert and clientKey of the Component.");
        }
        unreachable(what)
    }
}

struct Innermost {
    text: String,
    protocol: Option<ProtocolError>,
}

/// What really happened is at the bottom: "connection refused", not "all retries failed".
fn innermost(error: &(dyn error::Error + 'static)) -> Innermost {
    let mut protocol = None;
    let mut at: Option<&(dyn error::Error + 'static)> = Some(error);
    let mut text = error.to_string();
    while let Some(e) = at {
        text = e.to_string();
        if let Some(Error::ServerError { protocol_error, .. }) = e.downcast_ref::<Error>() {
            protocol = Some(*protocol_error);
            text = protocol_error.to_string();
            break;
        }
        if let Some(RequestError::IO(io)) = e.downcast_ref::<RequestError>() {
            text = io.to_string();
        }
        at = e.source();
    }
    // Of its retries, which are off.
    let text = text
        .rsplit("Retry exceeded deadline. Source: ")
        .next()
        .unwrap_or_default()
        .to_owned();
    let text = match text.starts_with("Connection is poisoned") {
        true => "the connection broke off".to_owned(),
        false => text,
    };
    Innermost { text, protocol }
}
