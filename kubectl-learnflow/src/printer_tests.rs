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
            troubled: false,
            frame: None,
            shown: None,
            redraws: false,
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

#[test]
fn a_picture_is_shown_again_only_when_it_has_changed() {
    let (printer, out, _) = captured();
    for text in ["one\n", "one\n", "two\n"] {
        printer.begin_frame();
        printer.data(text);
        assert!(printer.end_frame("\n"));
    }
    assert_eq!(out.text(), "one\n\ntwo\n");
    let printer = broken(ErrorKind::BrokenPipe);
    printer.begin_frame();
    printer.data("x");
    assert!(!printer.end_frame("\n"), "nobody reads any more");
}

#[test]
fn a_terminal_sees_one_picture_over_the_other() {
    let (printer, out, _) = captured();
    printer.lock().redraws = true;
    for text in ["long line\nb\n", "short\n"] {
        printer.begin_frame();
        printer.data(text);
        printer.end_frame("\n");
    }
    assert_eq!(
        out.text(),
        "\u{1b}[2J\u{1b}[Hlong line\u{1b}[K\nb\u{1b}[K\n\u{1b}[J\u{1b}[Hshort\u{1b}[K\n\u{1b}[J"
    );
}

#[test]
fn trouble_is_said_once() {
    let (printer, _, err) = captured();
    for what in ["The first.", "The second."] {
        printer.trouble(&Problem::new(what));
    }
    assert_eq!(err.text(), "‼ The first.\n    Trying again until it passes.\n");
}
