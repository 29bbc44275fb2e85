//! The only writer of stdout and stderr.
//!
//! stdout is data, stderr is progress and hints. Whatever is written passes here, so here is where
//! text from a cluster is made harmless, colours are decided, and a closed pipe is noticed.

mod screen;

pub(crate) use screen::Screen;

use crate::{
    cli::Format,
    problem::Problem,
    text::{harmless, is_harmful},
};
use clap::ColorChoice;
use comfy_table::{Cell, Color, Table as Grid, presets::NOTHING};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize;
use serde::Serialize;
use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A wait never stays silent for longer than this when nobody sees a spinner.
const SILENCE: Duration = Duration::from_secs(8);

/// How a line of progress begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Warn,
    Bad,
}

/// The state a table cell stands for; it decides the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
}

/// A table with a heading, as rows of text.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<(String, Tone)>>,
}

pub(crate) struct Printer {
    state: Mutex<State>,
    color_out: bool,
    color_err: bool,
}

struct State {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    bar: Option<ProgressBar>,
    spinner: bool,
    last_line: Instant,
    failed: Option<io::Error>,
    troubled: bool,
    /// What is collected of a picture that is shown as a whole, and the one before.
    frame: Option<String>,
    shown: Option<String>,
    /// A new picture goes over the old one.
    redraws: bool,
}

impl Printer {
    pub(crate) fn new(color: ColorChoice, verbosity: u8) -> Self {
        let color_err = colored(color, io::stderr().is_terminal());
        if verbosity > 0 {
            // The client's own words: a line for each request.
            let lines = match verbosity {
                1 => "kube_client=debug,kubectl_learnflow=debug",
                _ => "debug",
            };
            let lines = tracing_subscriber::fmt().with_env_filter(lines).with_writer(io::stderr);
            lines.with_ansi(color_err).without_time().compact().init();
        }
        // A spinner and a stream of log lines would overwrite each other.
        let spinner = io::stderr().is_terminal() && verbosity == 0;
        Self {
            color_out: colored(color, io::stdout().is_terminal()),
            color_err,
            state: Mutex::new(State {
                out: Box::new(io::stdout()),
                err: Box::new(io::stderr()),
                bar: None,
                spinner,
                last_line: Instant::now(),
                failed: None,
                troubled: false,
                frame: None,
                shown: None,
                redraws: io::stdout().is_terminal(),
            }),
        }
    }

    /// A heading of progress.
    pub(crate) fn section(&self, title: &str) {
        let title = harmless(title);
        let line = if self.color_err {
            format!("{}", title.bold())
        } else {
            title.into_owned()
        };
        self.progress(&line);
    }

    /// One thing that was checked or done.
    pub(crate) fn step(&self, mark: Mark, text: &str) {
        let sign = match (mark, self.color_err) {
            (Mark::Good, false) => "√".to_owned(),
            (Mark::Warn, false) => "‼".to_owned(),
            (Mark::Bad, false) => "×".to_owned(),
            (Mark::Good, true) => format!("{}", "√".green()),
            (Mark::Warn, true) => format!("{}", "‼".yellow()),
            (Mark::Bad, true) => format!("{}", "×".red()),
        };
        self.progress(&format!("{sign} {}", harmless(text)));
    }

    /// The cluster does not answer just now, and is asked again. Said once: what it does next is said anyhow.
    pub(crate) fn trouble(&self, problem: &Problem) {
        if !std::mem::replace(&mut self.lock().troubled, true) {
            self.step(Mark::Warn, &problem.what);
            self.hint("Trying again until it passes.");
        }
    }

    /// What to do about the line before.
    pub(crate) fn hint(&self, text: &str) {
        self.progress(&format!("    {}", harmless(text)));
    }

    pub(crate) fn problem(&self, problem: &Problem) {
        self.step(Mark::Bad, &problem.what);
        if let Some(next) = &problem.next {
            self.hint(next);
        }
    }

    /// What is being waited for, now. A terminal sees it move; anything else gets a line often
    /// enough to know that the wait is alive and what it hangs on.
    pub(crate) fn waiting(&self, text: &str) {
        let text = harmless(text).into_owned();
        let mut state = self.lock();
        if state.spinner {
            state.bar.get_or_insert_with(spinner).set_message(text);
        } else if state.last_line.elapsed() >= SILENCE {
            state.line(&format!("  … {text}"));
        }
    }

    pub(crate) fn done_waiting(&self) {
        if let Some(bar) = self.lock().bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Data for stdout: text that we made ourselves, line breaks included.
    pub(crate) fn data(&self, text: &str) {
        let mut state = self.lock();
        match &mut state.frame {
            Some(frame) => frame.push_str(text),
            None => state.write(text),
        }
    }

    /// Data that is no text of ours, as it is: never to a terminal.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.lock().write_bytes(bytes);
    }

    /// From here on data is kept back, until [`Self::end_frame`] shows all of it at once.
    pub(crate) fn begin_frame(&self) {
        self.lock().frame = Some(String::new());
    }

    /// Shows what was kept back: a terminal gets it in the place of the picture before, anything else
    /// gets it when it differs, with `between` in between. False when nobody reads any more.
    pub(crate) fn end_frame(&self, between: &str) -> bool {
        let mut state = self.lock();
        let frame = state.frame.take().unwrap_or_default();
        if state.redraws {
            // Home, each line cleared to its end, the rest of the screen cleared: nothing flickers.
            let picture = frame.replace('\n', "\x1b[K\n");
            let start = if state.shown.is_none() {
                "\x1b[2J\x1b[H"
            } else {
                "\x1b[H"
            };
            state.write(&format!("{start}{picture}\x1b[J"));
        } else if state.shown.as_ref() != Some(&frame) {
            if state.shown.is_some() {
                state.write(between);
            }
            state.write(&frame);
        }
        state.shown = Some(frame);
        state.failed.is_none()
    }

    /// A text in lines that others also read from files: tabs and line breaks stay.
    pub(crate) fn document_text(&self, text: &str) {
        self.data(&text.replace(|c| is_harmful(c) && !matches!(c, '\n' | '\t'), "\u{fffd}"));
    }

    /// One line of data.
    pub(crate) fn data_line(&self, tone: Tone, text: &str) {
        let text = harmless(text);
        let line = match tone {
            _ if !self.color_out => text.into_owned(),
            Tone::Plain => text.into_owned(),
            Tone::Good => format!("{}", text.green()),
            Tone::Warn => format!("{}", text.yellow()),
            Tone::Bad => format!("{}", text.red()),
        };
        self.data(&(line + "\n"));
    }

    pub(crate) fn table(&self, table: &Table) {
        self.data(&table.render(self.color_out));
    }

    /// The same data for a program.
    pub(crate) fn document<T: Serialize>(&self, format: Format, value: &T) -> Result<(), Problem> {
        let failed = |e: &dyn std::fmt::Display| Problem::new(format!("Cannot write the result: {e}."));
        let text = match format {
            Format::Yaml => serde_saphyr::to_string(value)
                .map_err(|e| failed(&e))?
                .replace(|c| is_harmful(c) && c != '\n', "\u{fffd}"),
            _ => escape_json(&serde_json::to_string_pretty(value).map_err(|e| failed(&e))?) + "\n",
        };
        self.data(&text);
        Ok(())
    }

    /// One line of JSON. False when nobody reads any more.
    pub(crate) fn json_line<T: Serialize>(&self, value: &T) -> Result<bool, Problem> {
        let text = serde_json::to_string(value).map_err(|e| Problem::new(format!("Cannot write the result: {e}.")))?;
        self.data(&(escape_json(&text) + "\n"));
        Ok(self.is_read())
    }

    /// Whether somebody still reads stdout.
    pub(crate) fn is_read(&self) -> bool {
        self.lock().failed.is_none()
    }

    /// What became of stdout: `Ok(false)` when its reader has gone, which is no error.
    pub(crate) fn close(&self) -> Result<bool, Problem> {
        self.done_waiting();
        match self.lock().failed.take() {
            None => Ok(true),
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Some(error) => Err(Problem::new(format!("Cannot write to standard output: {error}."))),
        }
    }

    fn progress(&self, line: &str) {
        self.lock().line(line);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        if self.failed.is_none()
            && let Err(error) = self.out.write_all(bytes).and_then(|()| self.out.flush())
        {
            self.failed = Some(error);
        }
    }

    /// Progress that nobody can read any more is not worth failing for.
    fn line(&mut self, line: &str) {
        self.last_line = Instant::now();
        match &self.bar {
            Some(bar) => bar.println(line),
            None => drop(writeln!(self.err, "{line}")),
        }
    }
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn render(&self, color: bool) -> String {
        let mut grid = Grid::new();
        grid.load_style(NOTHING).set_header(self.header.iter());
        if color {
            grid.enforce_styling();
        } else {
            grid.force_no_tty();
        }
        for row in &self.rows {
            grid.add_row(row.iter().map(|(text, tone)| {
                let cell = Cell::new(harmless(text));
                match tone {
                    _ if !color => cell,
                    Tone::Plain => cell,
                    Tone::Good => cell.fg(Color::Green),
                    Tone::Warn => cell.fg(Color::Yellow),
                    Tone::Bad => cell.fg(Color::Red),
                }
            }));
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, 3));
        }
        grid.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

/// A cell without a colour.
pub(crate) fn plain(text: impl Into<String>) -> (String, Tone) {
    (text.into(), Tone::Plain)
}

/// Rounded down: 100 % is said only when nothing failed.
pub(crate) fn success(ratio: Option<f64>) -> (String, Tone) {
    match ratio {
        None => plain("-"),
        Some(ratio) => {
            let percent = (ratio * 10_000.0).floor() / 100.0;
            let tone = if percent >= 100.0 { Tone::Good } else { Tone::Warn };
            (format!("{percent:.2}%"), tone)
        }
    }
}

fn colored(choice: ColorChoice, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            terminal
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
                && std::env::var_os("TERM").is_none_or(|v| v != "dumb")
        }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// JSON leaves C1 controls and bidirectional marks as they are; a terminal would obey them.
fn escape_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmful(c) && c != '\n' {
            safe.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
#[path = "printer_tests.rs"]
pub(crate) mod tests;
