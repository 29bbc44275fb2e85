//! Who may come in: whoever was told the address, with the browser that used it first.

use crate::problem::Problem;
use http::{HeaderMap, Method, Uri, header};
use std::sync::Mutex;

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is let in.
    Open,
    /// It has the word of the address: it gets this cookie in its place.
    Exchange(String),
    Refused(&'static str),
}

pub(super) struct Door {
    port: u16,
    /// Works once.
    token: Mutex<Option<String>>,
    session: String,
}

impl Door {
    /// And the token, which nobody else is told.
    pub(super) fn new(port: u16) -> Result<(Self, String), Problem> {
        let (token, session) = (secret()?, secret()?);
        let door = Self {
            port,
            token: Mutex::new(Some(token.clone())),
            session,
        };
        Ok((door, token))
    }

    pub(super) fn entry(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Entry {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        // A page of somebody else's whose name leads to 127.0.0.1 sends that name.
        if !self.is_our_name(text(header::HOST).unwrap_or_default()) {
            return Entry::Refused("This is not its address.");
        }
        if method != Method::GET {
            return Entry::Refused("There is nothing to be changed here.");
        }
        // Browsers say which page asks. Others may lead here, and may not read here.
        let led_here = uri.path() == "/" && text(MODE) == Some("navigate");
        if !matches!(text(SITE), None | Some("none" | "same-origin")) && !led_here {
            return Entry::Refused("Another page asks for this.");
        }
        let given = uri.query().and_then(|query| query.strip_prefix("token="));
        if let Some(given) = given.filter(|_| uri.path() == "/") {
            let mut token = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if token.as_ref().is_some_and(|token| is_same(token, given)) {
                *token = None;
                return Entry::Exchange(format!(
                    "{}={}; Path=/; HttpOnly; SameSite=Lax",
                    self.cookie(),
                    self.session
                ));
            }
        }
        let cookies = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let name = self.cookie();
        let has = cookies.flat_map(|all| all.split("; ")).any(|one| {
            let value = one.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('='));
            value.is_some_and(|value| is_same(value, &self.session))
        });
        if has {
            Entry::Open
        } else {
            Entry::Refused(
                "Open the address that `kubectl learnflow ui` printed. It works once; run it again for another one.",
            )
        }
    }

    fn is_our_name(&self, host: &str) -> bool {
        host.strip_prefix("127.0.0.1")
            .is_some_and(|rest| match rest.strip_prefix(':') {
                Some(port) => port == self.port.to_string(),
                None => rest.is_empty() && self.port == 80,
            })
    }

    /// Browsers do not tell ports apart when they send cookies.
    fn cookie(&self) -> String {
        format!("learnflow-{}", self.port)
    }
}

const SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");
const MODE: header::HeaderName = header::HeaderName::from_static("sec-fetch-mode");

/// Takes as long for a wrong one as for one that is nearly right.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one
            .bytes()
            .zip(other.bytes())
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0
}

fn secret() -> Result<String, Problem> {
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(|e| Problem::new(format!("No random number: {e}.")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(door: &Door, uri: &str, headers: &[(&'static str, &str)]) -> Entry {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().expect("a value"));
        }
        door.entry(&Method::GET, &uri.parse().expect("a path"), &all)
    }

    fn is_refused(entry: &Entry) -> bool {
        matches!(entry, Entry::Refused(_))
    }

    #[test]
    fn the_token_works_once_and_the_cookie_from_then_on() {
        let (door, token) = Door::new(4000).expect("random numbers");
        let host = ("host", "127.0.0.1:4000");
        let page = format!("/?token={token}");
        assert!(is_refused(&ask(&door, "/", &[host])));
        assert!(is_refused(&ask(&door, "/?token=wrong", &[host])));
        assert!(is_refused(&ask(&door, &format!("/events?token={token}"), &[host])));
        let Entry::Exchange(cookie) = ask(&door, &page, &[host]) else {
            panic!("the token is right");
        };
        assert!(is_refused(&ask(&door, &page, &[host])), "a second time");
        let cookie = cookie.split(';').next().expect("a cookie");
        assert_eq!(ask(&door, "/", &[host, ("cookie", cookie)]), Entry::Open);
        let both = format!("other=1; {cookie}");
        assert_eq!(ask(&door, "/events?after=3", &[host, ("cookie", &both)]), Entry::Open);
        assert!(is_refused(&ask(
            &door,
            "/",
            &[host, ("cookie", &cookie[..cookie.len() - 1])]
        )));
    }

    #[test]
    fn nobody_else_comes_in_with_it() {
        let (door, token) = Door::new(4000).expect("random numbers");
        let Entry::Exchange(cookie) = ask(&door, &format!("/?token={token}"), &[("host", "127.0.0.1:4000")]) else {
            panic!("the token is right");
        };
        let cookie = ("cookie", cookie.split(';').next().expect("a cookie"));
        let host = ("host", "127.0.0.1:4000");
        for other in [
            "evil.example",
            "evil.example:4000",
            "127.0.0.1",
            "127.0.0.1:4001",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(is_refused(&ask(&door, "/", &[("host", other), cookie])), "{other}");
        }
        assert!(is_refused(&ask(&door, "/", &[cookie])), "without a host");
        for site in ["cross-site", "same-site"] {
            assert!(
                is_refused(&ask(&door, "/events", &[host, cookie, ("sec-fetch-site", site)])),
                "{site}"
            );
            let navigates = [host, cookie, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")];
            assert_eq!(
                ask(&door, "/", &navigates),
                Entry::Open,
                "a link from a terminal in a browser"
            );
            assert!(is_refused(&ask(&door, "/events", &navigates)));
        }
        let mut headers = HeaderMap::new();
        headers.append("host", "127.0.0.1:4000".parse().expect("a value"));
        headers.append("cookie", cookie.1.parse().expect("a value"));
        let posted = door.entry(&Method::POST, &Uri::from_static("/"), &headers);
        assert!(is_refused(&posted));
    }
}
