//! An answer that comes piece by piece passes both pipelines piece by piece.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{
    http::{self, Answer, Message},
    process::Folder,
    sidecar::{Middleware, Rig, app},
};
use serde_json::json;

use crate::{Test, guests};

pub const TESTS: &[(&str, Test)] = &[
    ("streams::through_the_sidecar_of_the_app_itself", |rig| {
        stream(rig, Middleware::installed()?, "stream-self", "stream-self", PATIENCE)
    }),
    ("streams::from_another_sidecar", |rig| {
        stream(
            rig,
            Middleware::installed()?,
            "stream-caller",
            "stream-callee",
            PATIENCE,
        )
    }),
    (
        "streams::a_guest_that_buffers_is_found_out",
        a_guest_that_buffers_is_found_out,
    ),
];

const PATIENCE: Duration = Duration::from_secs(30);

/// More than any buffer of Dapr's: a smaller piece may wait for the next, with any middleware or none.
const PIECE: usize = 64 * 1024;
const PIECES: u8 = 5;

/// Each piece is read before the next one is sent: were it held back, this would wait in vain.
fn stream(rig: &Rig, middleware: Middleware, caller: &str, callee: &str, patience: Duration) -> Result<()> {
    let (send, pieces) = mpsc::channel();
    let pieces = Mutex::new(Some(pieces));
    let answer = move |_: Message| match pieces.lock().ok().and_then(|mut pieces| pieces.take()) {
        Some(pieces) => Answer::Pieces(pieces),
        None => Answer::new(500, "asked twice"),
    };
    let app = app(json!([]), answer)?;
    let other = rig.sidecar(middleware.clone()).app_id(callee).app(app).start()?;
    let own = match caller == callee {
        true => None,
        false => Some(rig.sidecar(middleware).app_id(caller).start()?),
    };
    let mut client = own.as_ref().unwrap_or(&other).client()?.patience(patience)?;
    client.begin("GET", &format!("/v1.0/invoke/{callee}/method/slow"), &[], b"", false)?;
    // Before any piece there may be no head either.
    send.send(piece(0))?;
    let head = Message::read_head(client.reader()).context("even the head is held back")?;
    let head = head.context("no answer")?;
    ensure!(head.status() == 200, "{head:?}");
    let mut seen = Vec::new();
    for number in 0..PIECES {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(100));
            send.send(piece(number))?;
        }
        let whole = (usize::from(number) + 1) * PIECE;
        while seen.len() < whole {
            let more = http::chunk(client.reader()).with_context(|| format!("piece {number} is held back"))?;
            seen.extend(more.context("the answer ends early")?);
        }
    }
    drop(send);
    ensure!(http::chunk(client.reader())?.is_none(), "the answer does not end");
    let sent: Vec<u8> = (0..PIECES).flat_map(piece).collect();
    ensure!(seen == sent, "other bytes came than were sent");
    Ok(())
}

fn piece(number: u8) -> Vec<u8> {
    vec![number; PIECE]
}

fn a_guest_that_buffers_is_found_out(rig: &Rig) -> Result<()> {
    let folder = Folder::new()?;
    let middleware = guests::middleware(guests::HOLDS_ANSWERS_BACK, &folder)?;
    let name = "stream-buffered";
    let streamed = stream(rig, middleware, name, name, Duration::from_secs(2));
    let Err(error) = streamed else {
        bail!("it streams");
    };
    ensure!(format!("{error:#}").contains("is held back"), "{error:#}");
    Ok(())
}
