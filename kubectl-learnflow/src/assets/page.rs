//! The page of `ui`: its files, and all of them in one.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const HTML: &str = include_str!("../../page/page.html");
pub(crate) const STYLE: &str = include_str!("../../page/page.css");
pub(crate) const WASM: &[u8] = include_bytes!(env!("LEARNFLOW_PAGE_WASM"));
/// In this order, one script. The first is wasm-bindgen's, which loads the .wasm.
const SCRIPTS: [&str; 7] = [
    include_str!(env!("LEARNFLOW_PAGE_JS")),
    include_str!("../../page/format.js"),
    include_str!("../../page/dom.js"),
    include_str!("../../page/graph.js"),
    include_str!("../../page/lists.js"),
    include_str!("../../page/stream.js"),
    include_str!("../../page/page.js"),
];

const LINKED_STYLE: &str = r#"<link rel="stylesheet" href="page.css">"#;
const LINKED_SCRIPT: &str = r#"<script type="module" src="page.js"></script>"#;
const SETTINGS: &str = r#"data-mode="live" data-window="0""#;

/// Where the page gets its events from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Live,
    Saved,
    /// Out of itself.
    Whole,
}

pub(crate) fn script() -> &'static str {
    static SCRIPT: LazyLock<String> = LazyLock::new(|| SCRIPTS.join("\n"));
    &SCRIPT
}

/// What the page is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) mode: Mode,
    /// Seconds that figures look back; 0: all there is.
    pub(crate) window: u64,
    /// Where spans can be looked at.
    pub(crate) traces: Option<&'a str>,
    pub(crate) rehearsal: bool,
}

pub(crate) fn html(settings: &Settings) -> String {
    let mode = match settings.mode {
        Mode::Live => "live",
        Mode::Saved => "saved",
        Mode::Whole => "whole",
    };
    let window = settings.window;
    let mut told = format!(r#"data-mode="{mode}" data-window="{window}""#);
    if let Some(url) = settings.traces {
        told += &format!(r#" data-traces="{url}""#);
    }
    if settings.rehearsal {
        told += " data-rehearsal";
    }
    HTML.replace(SETTINGS, &told)
}

/// With the style, the script, the .wasm and `data` in it, which is lines of a log, packed and in base64. What may run is
/// named by its hash.
pub(crate) fn whole(settings: &Settings, data: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let (style, script) = (STYLE, script());
    let policy = format!(
        "<meta http-equiv=\"content-security-policy\" content=\"default-src 'none'; script-src 'sha256-{}' 'wasm-unsafe-eval'; \
         style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'\">",
        hash(script),
        hash(style)
    );
    let blocks = format!(
        "<script type=\"text/plain\" id=\"wasm\">{}</script>\n<script type=\"text/plain\" id=\"data\">{data}</script>\n",
        STANDARD.encode(WASM)
    );
    html(settings)
        .replace(LINKED_STYLE, &format!("{policy}\n<style>{style}</style>"))
        .replace(
            LINKED_SCRIPT,
            &format!("{blocks}<script type=\"module\">{script}</script>"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_its_files_together_are_small() {
        let bytes = HTML.len() + STYLE.len() + script().len() + WASM.len();
        assert!(bytes <= 300_000, "{bytes}");
    }

    #[test]
    fn one_file_has_all_of_it_and_links_nowhere() {
        let mut settings = Settings {
            mode: Mode::Whole,
            window: 60,
            traces: None,
            rehearsal: false,
        };
        let whole = whole(&settings, "AAAA");
        assert!(whole.contains(r#"data-mode="whole" data-window="60""#));
        assert!(!whole.contains("page.css\"") && !whole.contains("src=\"page.js\""));
        assert_eq!(
            whole.matches("</script>").count(),
            3,
            "a script may not have this in it"
        );
        assert_eq!(whole.matches("</style>").count(), 1);
        settings.mode = Mode::Saved;
        assert!(html(&settings).contains(LINKED_SCRIPT) && html(&settings).contains(LINKED_STYLE));
    }

    #[test]
    fn nothing_makes_markup_of_text() {
        let ours = SCRIPTS[1..].concat();
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "new Function",
            "http:",
            "https:",
        ] {
            let allowed = if word == "http:" {
                ours.matches("http://www.w3.org/").count()
            } else {
                0
            };
            assert_eq!(ours.matches(word).count(), allowed, "{word}");
        }
    }
}
