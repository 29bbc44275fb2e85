//! The whole terminal, for a picture that moves. It is given back whatever happens: at the end, after an error, in a panic.

use super::Printer;
use crate::{problem::Problem, text::is_harmful};
use crossterm::{
    cursor::Show,
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend, buffer::Buffer};
use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// The terminal is ours just now.
static TAKEN: AtomicBool = AtomicBool::new(false);

pub(crate) struct Screen<'a> {
    terminal: Terminal<CrosstermBackend<Out<'a>>>,
    printer: &'a Printer,
}

/// The printer's stdout.
struct Out<'a>(&'a Printer);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().out.flush()
    }
}

impl Printer {
    /// Whether a picture can move where stdout goes.
    pub(crate) fn can_draw() -> bool {
        io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Takes the terminal, until the screen is dropped.
    pub(crate) fn screen(&self) -> Result<Screen<'_>, Problem> {
        self.done_waiting();
        restored_in_a_panic();
        take(&mut Out(self)).map_err(failed)?;
        // From here on it is given back by being dropped.
        let terminal = Terminal::new(CrosstermBackend::new(Out(self)));
        let terminal = terminal.inspect_err(|_| give_back(&mut Out(self))).map_err(failed)?;
        Ok(Screen {
            terminal,
            printer: self,
        })
    }
}

impl<'a> Screen<'a> {
    /// In a corner of nothing, as a test has it.
    #[cfg(test)]
    pub(super) fn of_size(printer: &'a Printer, width: u16, height: u16) -> Self {
        let viewport = ratatui::Viewport::Fixed(ratatui::layout::Rect::new(0, 0, width, height));
        let options = ratatui::TerminalOptions { viewport };
        let terminal = Terminal::with_options(CrosstermBackend::new(Out(printer)), options);
        let terminal = terminal.expect("a fixed size is not asked for");
        Self { terminal, printer }
    }

    pub(crate) fn size(&self) -> Result<(u16, u16), Problem> {
        let size = self.terminal.size().map_err(failed)?;
        Ok((size.width, size.height))
    }

    /// Whether colours may be used.
    pub(crate) fn color(&self) -> bool {
        self.printer.color_out
    }

    /// Shows what is painted. What of it a terminal would obey instead of showing is taken out, whoever painted it.
    pub(crate) fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> Result<(), Problem> {
        let drawn = self.terminal.draw(|frame| {
            let buffer = frame.buffer_mut();
            paint(buffer);
            for cell in &mut buffer.content {
                if cell.symbol().contains(is_harmful) {
                    cell.set_symbol("\u{fffd}");
                }
            }
        });
        drawn.map(drop).map_err(failed)
    }

    /// Gives the terminal back, stops this process until somebody lets it go on, and takes the terminal again.
    pub(crate) fn stop(&mut self) -> Result<(), Problem> {
        give_back(&mut Out(self.printer));
        #[cfg(unix)]
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).map_err(|e| failed(e.into()))?;
        take(&mut Out(self.printer)).map_err(failed)?;
        // Not `clear`: it asks the terminal where the cursor is, and somebody else reads the answer.
        let size = self.terminal.size().map_err(failed)?;
        self.terminal.resize(size.into()).map_err(failed)
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        give_back(&mut Out(self.printer));
    }
}

fn take(out: &mut impl Write) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(out, EnterAlternateScreen).inspect_err(|_| give_back(out))
}

/// What cannot be given back is not worth another error.
fn give_back(out: &mut impl Write) {
    if TAKEN.swap(false, Ordering::SeqCst) {
        drop(execute!(out, LeaveAlternateScreen, Show));
        drop(disable_raw_mode());
    }
}

/// A panic may end the process without anything being dropped.
fn restored_in_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back(&mut io::stdout());
            before(panic);
        }));
    });
}

fn failed(e: io::Error) -> Problem {
    Problem::new(format!("Cannot draw on this terminal: {e}.")).next("Look once instead, with --once.")
}

#[cfg(test)]
mod tests {
    use crate::printer::tests::captured;
    use ratatui::style::Style;

    #[test]
    fn a_terminal_obeys_nothing_that_is_painted() {
        let (printer, out, _) = captured();
        let mut screen = super::Screen::of_size(&printer, 40, 2);
        let hostile = "a\u{1b}]0;title\u{7}b\u{9b}2J\u{202e}c";
        screen
            .draw(|buffer| {
                buffer.set_string(0, 0, hostile, Style::default());
                // As a widget might that does not look.
                buffer[(0, 1)].set_symbol("\u{1b}[2J");
            })
            .expect("drawn");
        let text = out.text();
        assert!(!text.contains("\u{1b}]0;") && !text.contains("\u{1b}[2J"), "{text:?}");
        assert!(!text.contains(['\u{7}', '\u{9b}', '\u{202e}']), "{text:?}");
        assert!(text.contains("title") && text.contains('\u{fffd}'), "{text:?}");
    }
}
