//! `ui`: a page in the browser that shows events, served to this machine alone.

mod door;
mod export;
mod feed;
mod server;

use super::dashboard::{self, Gate};
use crate::{
    assets::page::{Mode, Settings},
    cli::{Global, Ui},
    cluster::Cluster,
    events::Events,
    model::Outcome,
    printer::{Printer, Tone},
    problem::Problem,
};
use door::Door;
use feed::Source;
use std::{future::pending, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

const WINDOW: Duration = Duration::from_secs(600);

pub(crate) async fn run(args: &Ui, global: &Global, printer: &Arc<Printer>) -> Result<Outcome, Problem> {
    let page = &args.page;
    let saved = !page.which.file.is_empty();
    if saved && page.which.file.iter().any(|file| file.as_os_str() == "-") {
        return Err(
            Problem::new("--file - can be read only once, and a page is loaded again and again.")
                .next("Write it into a file first, and name that."),
        );
    }
    // What is in files may be of any day: without a window all of it counts.
    let window = page
        .window
        .or((!saved).then_some(WINDOW))
        .map_or(0, |window| window.as_secs());
    let mut settings = Settings {
        mode: if saved { Mode::Saved } else { Mode::Live },
        window,
        traces: None,
        rehearsal: page.which.rehearsal.is_some(),
    };
    if let Some(file) = &page.export {
        settings.mode = Mode::Whole;
        let since = (!saved).then_some(page.window.unwrap_or(WINDOW));
        let events = Events::open(&page.which, since, false, global).await?;
        return export::write(events, &settings, file, printer).await;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, page.port)).await.map_err(|e| {
        Problem::new(format!("Cannot listen on 127.0.0.1:{}: {e}.", page.port))
            .next("Choose another one with --port; --port 0 takes a free port.")
    })?;
    let port = listener.local_addr().map_or(page.port, |address| address.port());
    let (source, pump) = if saved {
        // They are opened for each page: this is so that a wrong name is known at once.
        Events::saved(&page.which)?;
        (Source::saved(args, printer), None)
    } else {
        let (source, pump) = feed::live(Events::open(&page.which, Some(args.since), true, global).await?);
        (source, Some(pump))
    };
    let (door, token) = Door::new(port)?;
    let url = format!("http://127.0.0.1:{port}/?token={token}");
    printer.data_line(Tone::Plain, &url);
    printer.hint("Open it in a browser of this machine; the address works once. Ctrl-C ends it.");
    if page.open {
        dashboard::open(&url);
    }
    let traces = match saved || settings.rehearsal {
        true => None,
        false => traces(global).await,
    };
    let spans = traces.as_ref().map(|(_, gate)| gate.url(""));
    settings.traces = spans.as_deref();
    let served = server::serve(listener, door, source, &settings, printer);
    let pumped = async {
        match pump {
            Some(pump) => pump.run(printer).await,
            None => pending().await,
        }
    };
    let led = async {
        match traces {
            Some((cluster, gate)) => gate.lead(&cluster, printer).await,
            None => pending().await,
        }
    };
    tokio::select! {
        ended = served => ended,
        ended = pumped => ended,
        ended = led => ended,
    }
}

/// Where an event's spans are. Without a trace store, or the permission to reach it, the page has no link to it.
async fn traces(global: &Global) -> Option<(Cluster, Gate)> {
    let cluster = Cluster::connect_for_streams(global).await.ok()?;
    let gate = dashboard::traces(&cluster).await.ok()?;
    Some((cluster, gate))
}
