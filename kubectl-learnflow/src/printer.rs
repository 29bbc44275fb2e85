//! The only writer of stdout and stderr.
//!
//! stdout is data, stderr is progress and hints. Whatever is written passes here, so here is where
//! text from a cluster is made harmless, colours are decided, and a closed pipe is noticed.

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
}

impl Printer {
    pub(crate) fn new(color: ColorChoice, verbosity: u8) -> Self {
        if verbosity > 0 {
            let level = if verbosity > 1 { "debug" } else { "info" };
            tracing_subscriber::fmt()
                .with_env_filter(level)
                .with_writer(io::stderr)
                .init();
        }
        // A spinner and a stream of log lines would overwrite each other.
        let spinner = io::stderr().is_terminal() && verbosity == 0;
        Self {
            color_out: colored(color, io::stdout().is_terminal()),
            color_err: colored(color, io::stderr().is_terminal()),
            state: Mutex::new(State {
                out: Box::new(io::stdout()),
                err: Box::new(io::stderr()),
                bar: None,
                spinner,
                last_line: Instant::now(),
                failed: None,
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
        if state.failed.is_none()
            && let Err(error) = state.out.write_all(text.as_bytes()).and_then(|()| state.out.flush())
        {
            state.failed = Some(error);
        }
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
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;

    /// A printer whose output a test can read: (printer, stdout, stderr).
    pub(crate) fn captured() -> (Printer, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let printer = Printer {
            color_out: false,
            color_err: false,
            state: Mutex::new(State {
                out: Box::new(out.clone()),
                err: Box::new(err.clone()),
                bar: None,
                spinner: false,
                last_line: Instant::now(),
                failed: None,
            }),
        };
        (printer, out, err)
    }

    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Full(ErrorKind);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn broken(kind: ErrorKind) -> Printer {
        let (printer, ..) = captured();
        printer.lock().out = Box::new(Full(kind));
        printer
    }

    #[test]
    fn tables_line_up_and_carry_no_control_characters() {
        let mut table = Table::new(&["NAME", "READY"]);
        table.rows.push(vec![plain("a"), plain("1/1")]);
        table
            .rows
            .push(vec![plain("evil\u{1b}[2J\nname"), ("0/1".into(), Tone::Bad)]);
        assert_eq!(
            table.render(false),
            "NAME                  READY\n\
             a                     1/1\n\
             evil\\u{1b}[2J\\nname   0/1\n"
        );
        assert!(table.render(true).contains("\u{1b}["), "colours only when asked for");
    }

    #[test]
    fn progress_goes_to_stderr_and_data_to_stdout() {
        let (printer, out, err) = captured();
        printer.step(Mark::Good, "applied ConfigMap a/b\u{1b}[1m");
        printer.data_line(Tone::Good, "healthy");
        assert_eq!(err.text(), "√ applied ConfigMap a/b\\u{1b}[1m\n");
        assert_eq!(out.text(), "healthy\n");
        assert_eq!(printer.close(), Ok(true));
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let printer = broken(ErrorKind::BrokenPipe);
        printer.data("x");
        assert_eq!(printer.close(), Ok(false));
        let printer = broken(ErrorKind::StorageFull);
        printer.data("x");
        assert!(printer.close().is_err());
    }

    #[test]
    fn documents_are_harmless_and_still_the_same_data() {
        let evil = serde_json::json!({ "name": "a\u{9b}31m\u{202e}\u{1b}b" });
        let (printer, out, _) = captured();
        printer.document(Format::Json, &evil).expect("written");
        assert!(!out.text().chars().any(|c| is_harmful(c) && c != '\n'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&out.text()).expect("JSON"),
            evil
        );
        let (printer, out, _) = captured();
        printer.document(Format::Yaml, &evil).expect("written");
        assert!(!out.text().chars().any(|c| is_harmful(c) && c != '\n'));
    }

    #[test]
    fn a_long_wait_says_something_without_a_terminal() {
        let (printer, _, err) = captured();
        printer.waiting("DaemonSet a/b 0/1 ready");
        assert_eq!(err.text(), "");
        printer.lock().last_line = Instant::now() - SILENCE;
        printer.waiting("DaemonSet a/b 0/1 ready");
        printer.waiting("DaemonSet a/b 0/1 ready");
        assert_eq!(err.text(), "  … DaemonSet a/b 0/1 ready\n");
    }
}
