//! Guests that do what they should not: none gets further than its host lets it.

use learnflow_host::{Answer, Clock, Error, Headers, Middleware, Module, Request, Served};

/// A guest of one page. `request` and `response` are the code of the two functions.
fn guest(request: &str, response: &str) -> String {
    format!(
        r#"(module
          (import "http_handler" "enable_features" (func $enable_features (param i32) (result i32)))
          (import "http_handler" "get_uri" (func $get_uri (param i32 i32) (result i32)))
          (import "http_handler" "set_header_value" (func $set_header_value (param i32 i32 i32 i32 i32)))
          (import "http_handler" "read_body" (func $read_body (param i32 i32 i32) (result i64)))
          (import "http_handler" "get_status_code" (func $get_status_code (result i32)))
          (import "http_handler" "set_status_code" (func $set_status_code (param i32)))
          (import "http_handler" "log" (func $log (param i32 i32 i32)))
          (memory (export "memory") 1 100)
          (data (i32.const 0) "x-name")
          (func (export "handle_request") (result i64) {request})
          (func (export "handle_response") (param $context i32) (param $failed i32) {response}))"#
    )
}

fn serve(wat: &str) -> Result<Served, Error> {
    let module = Module::new(&wat::parse_str(wat).expect("a module"))?;
    let mut middleware = Middleware::new(&module, b"", Clock::default())?;
    let request = Request {
        method: b"GET".into(),
        uri: b"/lessons".into(),
        ..Request::default()
    };
    let answer = |_: &Request| {
        let answer = Answer {
            status: Some(201),
            headers: Headers::default().with("date", "today"),
            body: b"answer".into(),
            panicked: false,
        };
        (answer, Clock::default())
    };
    middleware.serve(request, Clock::default(), answer)
}

const GO_ON: &str = "i64.const 1";
const HOLD_BACK: &str = "(drop (call $enable_features (i32.const 2))) i64.const 1";

#[test]
fn what_a_host_must_not_give_ends_the_call() {
    for (request, response, said) in [
        (
            "(drop (call $enable_features (i32.const 1))) i64.const 1",
            "",
            "a feature",
        ),
        (
            "(drop (call $read_body (i32.const 0) (i32.const 0) (i32.const 9))) i64.const 1",
            "",
            "a request's body",
        ),
        (
            "(drop (call $get_uri (i32.const 65530) (i32.const 9))) i64.const 1",
            "",
            "outside of its memory",
        ),
        (
            "(drop (call $get_uri (i32.const -1) (i32.const -1))) i64.const 1",
            "",
            "outside of its memory",
        ),
        (
            "(call $set_header_value (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)) i64.const 1",
            "",
            "without a name",
        ),
        (GO_ON, "(drop (call $get_status_code))", "the status"),
        (
            GO_ON,
            "(call $set_status_code (i32.const 500))",
            "a change of an answer",
        ),
        (
            GO_ON,
            "(drop (call $read_body (i32.const 1) (i32.const 0) (i32.const 9)))",
            "the body",
        ),
        (
            HOLD_BACK,
            "(drop (call $read_body (i32.const 1) (i32.const 0) (i32.const 0)))",
            "without room",
        ),
        (
            HOLD_BACK,
            "(call $set_status_code (i32.const 70000))",
            "a status that there is not",
        ),
        (
            HOLD_BACK,
            "(call $set_header_value (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 1))",
            "a request that is gone",
        ),
    ] {
        match serve(&guest(request, response)) {
            Err(Error::Refused(refused)) => assert!(refused.to_string().contains(said), "{refused} instead of {said}"),
            other => panic!("{request} {response}: {other:?}"),
        }
    }
}

#[test]
fn a_guest_that_does_not_end_is_ended() {
    let served = serve(&guest("(loop $again (br $again)) i64.const 1", ""));
    assert!(matches!(served, Err(Error::Endless)), "{served:?}");
}

#[test]
fn a_trap_is_an_error() {
    for (request, response) in [("unreachable", ""), (GO_ON, "(drop (i32.load (i32.const 65536)))")] {
        let served = serve(&guest(request, response));
        assert!(matches!(served, Err(Error::Trap(_))), "{served:?}");
    }
}

#[test]
fn memory_has_an_end() {
    let grown = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (return (i64.const 0)))) i64.const 1";
    let served = serve(&guest(grown, "")).expect("no more memory is no error");
    assert_eq!(served.answer, Answer::default(), "the guest was told so");
    let large = guest(GO_ON, "").replace("1 100", "17 100");
    assert!(matches!(serve(&large), Err(Error::NoGuest(_))));
}

#[test]
fn what_is_no_guest_is_refused() {
    for (part, other) in [
        (r#"(export "handle_request")"#, ""),
        (r#"(export "handle_response")"#, ""),
        ("(param $failed i32)", ""),
        ("enable_features\" (func", "write_everything\" (func"),
    ] {
        let wat = guest(GO_ON, "").replace(part, other);
        assert!(matches!(serve(&wat), Err(Error::NoGuest(_))), "{part}");
    }
    assert!(matches!(Module::new(b"no module"), Err(Error::NoGuest(_))));
}

#[test]
fn an_answer_that_is_held_back_can_be_changed() {
    let response = "(call $set_status_code (i32.const 500))
        (call $set_header_value (i32.const 1) (i32.const 0) (i32.const 6) (i32.const 2) (i32.const 4))";
    let answer = serve(&guest(HOLD_BACK, response)).expect("an answer").answer;
    assert_eq!((answer.status, &answer.body[..]), (Some(500), &b"answer"[..]));
    assert_eq!(answer.headers.values("X-Name"), [b"name"]);
}

#[test]
fn a_guest_may_keep_the_call_to_itself() {
    let served = serve(&guest("i64.const 0", "unreachable")).expect("nobody else is asked");
    assert_eq!(served.answer, Answer::default());
}
