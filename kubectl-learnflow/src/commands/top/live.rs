//! The table that moves: events and keys come in, pictures go out.

use super::{
    WINDOW,
    lag::Watch,
    state::{Key, State},
    view,
};
use crate::{
    cli::{Global, Top},
    commands::signals,
    events::{self, Events, Seen},
    model::Outcome,
    printer::{Mark, Printer, Screen},
    problem::Problem,
};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use learnflow_flow::Window;
use std::{pin::pin, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// How often figures are taken anew.
const REFRESH: Duration = Duration::from_millis(250);
/// Events that are taken in one go, so that keys do not wait for many.
const IN_ONE_GO: usize = 10_000;

pub(super) async fn run(args: &Top, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let saved = !args.which.file.is_empty() && !args.follow;
    let window = args.window.or((!saved).then_some(WINDOW));
    let mut events = Events::open(&args.which, window.filter(|_| !saved), !saved, global).await?;
    let mut state = State::new(args.what, args.sort, window.map_or(Window::All, events::seconds));
    if args.which.rehearsal.is_some() {
        state.level.name += " of a rehearsal";
    }
    let lags = Watch::start(&args.which, global).await?;
    let shown = watch(&mut events, &mut state, lags, saved, printer).await;
    // What was said on the screen has gone with it.
    for note in &state.notes {
        printer.step(Mark::Warn, note);
    }
    shown.map(|()| Outcome::Good)
}

async fn watch(
    events: &mut Events,
    state: &mut State,
    mut lags: Watch,
    saved: bool,
    printer: &Printer,
) -> Result<(), Problem> {
    let mut screen = printer.screen()?;
    let mut keys = EventStream::new();
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = pin!(signals::asked());
    let mut stopped = signals::stopped();
    loop {
        tokio::select! {
            seen = events.next(), if !state.ended => {
                take(seen, state);
                for _ in 0..IN_ONE_GO {
                    let Some(event) = events.ready() else { break };
                    state.see(&event);
                }
                continue;
            }
            told = lags.next() => {
                state.told(told);
                continue;
            }
            _ = ticks.tick() => {
                // What is in files may be of any day: their time is that of their last event.
                let now = if saved { state.last() } else { events::now() };
                state.refresh(now, &mut events.names());
            }
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => match pressed(key) {
                    Some(Pressed::Key(key)) if !state.key(key, &events.names()) => return Ok(()),
                    Some(Pressed::End) => return Ok(()),
                    Some(Pressed::Stop) => screen.stop()?,
                    _ => {}
                },
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(Problem::new(format!("Cannot read keys: {e}."))),
                // Nobody can press any more.
                None => return Ok(()),
            },
            () = &mut asked => return Ok(()),
            () = stopped.next() => screen.stop()?,
        }
        show(&mut screen, state)?;
    }
}

fn take(seen: Option<Seen>, state: &mut State) {
    match seen {
        Some(Seen::Event(event)) => state.see(&event),
        Some(Seen::Note(note)) => state.note(note),
        None => state.ended = true,
    }
}

fn show(screen: &mut Screen, state: &mut State) -> Result<(), Problem> {
    let (_, height) = screen.size()?;
    state.fit(view::page(state, height));
    let color = screen.color();
    screen.draw(|buffer| view::draw(state, color, buffer))
}

enum Pressed {
    Key(Key),
    End,
    Stop,
}

fn pressed(event: KeyEvent) -> Option<Pressed> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            KeyCode::Char('c') => Some(Pressed::End),
            KeyCode::Char('z') => Some(Pressed::Stop),
            _ => None,
        };
    }
    Some(Pressed::Key(match event.code {
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::First,
        KeyCode::End => Key::Last,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Back,
        KeyCode::Backspace => Key::Erase,
        KeyCode::Char(c) => Key::Char(c),
        _ => return None,
    }))
}
