use super::*;
use crate::events::{Events, Seen};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use learnflow_flow::Filter;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    io,
    sync::atomic::AtomicUsize,
    time::{Duration, Instant},
};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// These pieces, and then the end of the connection.
fn pieces(pieces: Vec<io::Result<Bytes>>) -> Answer {
    let frames = pieces.into_iter().map(|piece| piece.map(Frame::data));
    Response::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync())
}

fn text(text: String) -> Answer {
    pieces(vec![Ok(Bytes::from(text))])
}

/// Nothing, for ever.
fn silence() -> Answer {
    Response::new(StreamBody::new(futures::stream::pending()).boxed_unsync())
}

/// A line of a sidecar's log as the API server gives it, with this offset.
fn line(pod: &str, offset: u64) -> String {
    let at = format!("2026-01-15T10:00:{:02}.{offset:09}Z", offset % 1000 / 20);
    format!(
        "{at} time=\"{at}\" level=info msg=\"{{\\\"lf\\\":1,\\\"dir\\\":\\\"deliver\\\",\\\"pubsub\\\":\\\"p\\\",\\\"topic\\\":\\\"t\\\",\
         \\\"outcome\\\":\\\"success\\\",\\\"partition\\\":0,\\\"offset\\\":{offset}}}\" app_id={pod} instance={pod}-1\n"
    )
}

/// A cluster with these pods (namespace, name, app id), whose logs somebody answers.
fn cluster(
    pods: Vec<(String, String, String)>,
    log: impl Fn(&str, &str) -> Answer + Clone + Send + Sync + 'static,
) -> (Cluster, Arc<AtomicUsize>) {
    let most = Arc::<AtomicUsize>::default();
    let (asked, now) = (most.clone(), Arc::<AtomicUsize>::default());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (pods, log, asked, now) = (pods.clone(), log.clone(), asked.clone(), now.clone());
        async move {
            let (path, query) = (
                request.uri().path().to_owned(),
                request.uri().query().unwrap_or_default().to_owned(),
            );
            if path.ends_with("/log") {
                asked.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(Duration::from_millis(5)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                return Ok::<_, Infallible>(log(&path, &query));
            }
            if query.contains("watch=true") && !query.contains("sendInitialEvents") {
                return Ok(silence());
            }
            let items: Vec<Value> = pods
                .iter()
                .map(|(namespace, name, app)| {
                    json!({ "metadata": { "namespace": namespace, "name": name, "uid": format!("{namespace}/{name}"),
                        "annotations": { "dapr.io/app-id": app } } })
                })
                .collect();
            let list = json!({ "metadata": { "resourceVersion": "1" }, "items": items });
            Ok(text(list.to_string()))
        }
    });
    let client = Client::new(service, "default");
    let cluster = Cluster {
        impatient: client.clone(),
        client,
        endurance: Default::default(),
        metrics: Default::default(),
        ports: Default::default(),
        context: "fake".into(),
        server: "http://fake".into(),
        namespace: "shop".into(),
    };
    (cluster, most)
}

async fn opened(cluster: &Cluster, follow: bool, filter: Filter) -> Events {
    let wanted = SidecarLogs {
        everywhere: true,
        since: None,
        follow,
    };
    Events::of_cluster(cluster, wanted, filter)
        .await
        .expect("a list of pods")
}

/// How many events there are, and what was said.
async fn all(mut events: Events) -> (usize, Vec<String>) {
    let (mut count, mut notes) = (0, Vec::new());
    while let Some(seen) = events.next().await {
        match seen {
            Seen::Event(_) => count += 1,
            Seen::Note(note) => notes.push(note),
        }
    }
    (count, notes)
}

fn pods(number: usize) -> Vec<(String, String, String)> {
    let pod = |number: usize| {
        (
            "shop".to_owned(),
            format!("pod-{number}"),
            format!("app-{}", number % 10),
        )
    };
    (0..number).map(pod).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pods_are_read_and_are_no_storm() {
    let (cluster, most) = cluster(pods(1_000), |_, _| {
        text((0..3).map(|offset| line("a", offset)).collect())
    });
    let (count, notes) = all(opened(&cluster, false, Filter::default()).await).await;
    assert_eq!((count, notes), (3_000, vec![]));
    assert!(most.load(Ordering::SeqCst) <= ASKED, "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_left_out_and_that_is_said() {
    let (cluster, _) = cluster(pods(MOST + 5), |_, _| silence());
    let mut events = opened(&cluster, true, Filter::default()).await;
    let Some(Seen::Note(note)) = events.next().await else {
        panic!("a note");
    };
    assert!(note.contains("1000 sidecars") && note.contains("--service"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn only_logs_of_services_that_are_meant_are_opened() {
    let asked = Arc::<AtomicUsize>::default();
    let counts = asked.clone();
    let (cluster, _) = cluster(pods(100), move |_, _| {
        counts.fetch_add(1, Ordering::SeqCst);
        text(line("app-3", 0))
    });
    let filter = Filter {
        services: vec!["app-3".into()],
        ..Filter::default()
    };
    let (count, _) = all(opened(&cluster, false, filter).await).await;
    assert_eq!((count, asked.load(Ordering::SeqCst)), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_whose_logs_may_not_be_read_is_named_once() {
    let of = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned(), "app".to_owned());
    let all_pods = vec![of("shop", "a"), of("closed", "b"), of("closed", "c"), of("open", "d")];
    let (cluster, _) = cluster(all_pods, |path, _| {
        if !path.contains("/namespaces/closed/") {
            return text(line("a", 0));
        }
        let status = json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "pods \"b\" is forbidden: User \"x\" cannot get resource \"pods/log\" in the namespace \"closed\"" });
        let mut answer = text(status.to_string());
        *answer.status_mut() = StatusCode::FORBIDDEN;
        answer
    });
    let (count, notes) = all(opened(&cluster, false, Filter::default()).await).await;
    assert_eq!((count, notes.len()), (2, 1), "{notes:?}");
    assert!(notes[0].starts_with("Namespace closed is left out: "), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_shows_nothing_twice_and_loses_nothing() {
    const EVENTS: u64 = 400;
    let whole: Arc<str> = (0..EVENTS).map(|offset| line("a", offset)).collect::<String>().into();
    let asked = Arc::<AtomicUsize>::default();
    // Each answer breaks off a bit later, somewhere in a line; as the API server does, it begins at the second that is asked for.
    let log = move |_: &str, query: &str| {
        let time = asked.fetch_add(1, Ordering::SeqCst);
        let since = query
            .split("sinceTime=")
            .nth(1)
            .and_then(|rest| rest.get(..))
            .unwrap_or_default();
        let since = since.split('&').next().unwrap_or_default().replace("%3A", ":");
        let since = since.trim_end_matches('Z').to_owned();
        let from = whole
            .split_inclusive('\n')
            .take_while(|line| line.get(..since.len()) < Some(since.as_str()));
        let from: usize = from.map(str::len).sum();
        let until = (whole.len() * (time + 1) / 5 + 77).min(whole.len());
        let part = Bytes::from(whole.get(from..until.max(from)).unwrap_or_default().to_owned());
        let mut parts = vec![Ok(part)];
        if until < whole.len() {
            parts.push(Err(io::ErrorKind::ConnectionReset.into()));
        }
        pieces(parts)
    };
    let (cluster, _) = cluster(pods(1), log);
    let mut events = opened(&cluster, true, Filter::default()).await;
    let (mut seen, begin) = (Vec::new(), Instant::now());
    while seen.len() < EVENTS as usize && begin.elapsed() < Duration::from_secs(60) {
        if let Some(Seen::Event(event)) = events.next().await {
            seen.extend(event.offset);
        }
    }
    assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>());
    // Asked again after its end, it has nothing new.
    let more = tokio::time::timeout(PAUSE * 3, events.next()).await;
    assert!(more.is_err(), "something twice");
}
