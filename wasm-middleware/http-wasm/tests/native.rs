//! The guest in Rust, in a scripted host.

mod support;

use support::{Call, Guest, cases};

struct Native(learnflow_http_wasm::Guest);

impl Guest for Native {
    fn start(&mut self, mut call: Call) -> Call {
        self.0.start(&mut call);
        call
    }

    fn handle_request(&mut self, mut call: Call) -> (Call, u64) {
        let next = self.0.handle_request(&mut call);
        (call, next)
    }

    fn handle_response(&mut self, mut call: Call, context: u32, failed: u32) -> Call {
        self.0.handle_response(&mut call, context, failed);
        call
    }
}

#[test]
fn all_cases() {
    cases::all(&mut Native(learnflow_http_wasm::Guest::new()));
}
