use super::*;
use std::sync::Mutex;

/// What a server answers, one after the other: a status (with its `Retry-After`), or a connection that breaks.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16, Option<u64>),
    Broken,
}
use Answer::{Broken, Status};

struct Ended {
    /// The status of the last answer, if it was one.
    status: Option<u16>,
    asked: usize,
    took: Duration,
    told: usize,
}

/// Asks a first time for 200, then once more. `changes`: how long a command that changes things is patient.
fn ask(changes: Option<u64>, answers: &[Answer]) -> Ended {
    let told = Arc::new(Mutex::new(0));
    let endurance = Arc::<Endurance>::default();
    if let Some(seconds) = changes {
        let told = told.clone();
        let tell = move |_: &Problem| *told.lock().expect("not poisoned") += 1;
        endurance.of_changes(Duration::from_secs(seconds), Box::new(tell));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let (status, asked, took) = runtime.expect("a runtime").block_on(async {
        let mut policy = Again::new(endurance, "http://x", "c");
        let began = Instant::now();
        for (n, answer) in answers.iter().enumerate() {
            let mut result: Result<Response<()>, BoxError> = match answer {
                Broken => Err("connection reset".into()),
                Status(code, after) => {
                    let mut response = Response::builder().status(*code);
                    if let Some(seconds) = after {
                        response = response.header(RETRY_AFTER, *seconds);
                    }
                    Ok(response.body(()).expect("a response"))
                }
            };
            match policy.retry(&mut Request::new(Body::empty()), &mut result) {
                Some(pause) => pause.await,
                None => {
                    let status = result.ok().map(|response| response.status().as_u16());
                    return (status, n + 1, began.elapsed());
                }
            }
        }
        (None, answers.len() + 1, began.elapsed())
    });
    let told = *told.lock().expect("not poisoned");
    Ended {
        status,
        asked,
        took,
        told,
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let ended = ask(Some(60), &[Status(429, Some(7)), Status(503, None), Status(200, None)]);
    assert_eq!((ended.status, ended.asked, ended.told), (Some(200), 3, 2));
    assert!(ended.took >= Duration::from_secs(7), "{:?}", ended.took);
    let ended = ask(Some(60), &[Status(404, None)]);
    assert_eq!((ended.status, ended.asked), (Some(404), 1), "an answer");
}

#[test]
fn patience_ends() {
    let busy = [Status(429, Some(10)); 20];
    let ended = ask(Some(60), &busy);
    assert_eq!((ended.status, ended.asked), (Some(429), 6));
    let ended = ask(None, &busy);
    assert_eq!(
        (ended.status, ended.asked, ended.told),
        (Some(429), 2, 0),
        "a look is brief"
    );
}

#[test]
fn a_server_that_never_answered_is_not_waited_for() {
    assert_eq!(ask(Some(60), &[Broken]).asked, 1);
    let ended = ask(Some(60), &[Status(429, None), Broken, Broken, Status(200, None)]);
    assert_eq!((ended.status, ended.asked, ended.told), (Some(200), 4, 3));
    assert_eq!(
        ask(None, &[Status(429, None), Broken]).asked,
        2,
        "a look says so at once"
    );
}
