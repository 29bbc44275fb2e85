//! The guest as it is shipped: in the same scripted host, and what may be in the file.

mod support;
#[path = "support/traps.rs"]
mod traps;

use std::collections::BTreeSet;
use std::path::PathBuf;

use learnflow_host::{Backend, Instance, Module};
use support::{Call, Guest, cases};
use wasmparser::{Operator, Parser, Payload};

fn release() -> Vec<u8> {
    let target = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = || target().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into());
    let named = std::env::var_os("LEARNFLOW_WASM").map(PathBuf::from);
    let file = named.unwrap_or_else(|| target().join("wasm/learnflow.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask wasm` first", file.display()))
}

struct Interpreted(Instance<Call>);

impl Backend for Call {}

impl Interpreted {
    fn new() -> Self {
        let module = Module::new(&release()).expect("the guest is valid");
        let nobody = Call::new("none", "", "", support::Answer::Nothing);
        Self(Instance::new(&module, nobody).expect("the guest has its imports"))
    }
}

impl Guest for Interpreted {
    fn start(&mut self, call: Call) -> Call {
        *self.0.host() = call;
        self.0.start().expect("the guest must not trap");
        self.0.host().clone()
    }

    fn handle_request(&mut self, call: Call) -> (Call, u64) {
        *self.0.host() = call;
        let next = self.0.handle_request().expect("the guest must not trap");
        (self.0.host().clone(), next)
    }

    fn handle_response(&mut self, call: Call, context: u32, failed: u32) -> Call {
        *self.0.host() = call;
        let done = self.0.handle_response(context, failed);
        done.expect("the guest must not trap");
        self.0.host().clone()
    }
}

#[test]
fn all_cases() {
    cases::all(&mut Interpreted::new());
}

#[test]
fn memory_of_a_call_is_not_needed_by_the_next() {
    // The host may take another instance for every call, or always the same.
    let mut same = Interpreted::new();
    cases::all(&mut same);
    cases::all(&mut same);
}

#[test]
fn is_small() {
    let size = release().len();
    assert!(size <= 16_384, "{size} bytes");
}

#[test]
fn nothing_in_it_traps() {
    let stack = traps::most_stack(&release()).unwrap_or_else(|what| panic!("{what}"));
    println!("at most {stack} bytes of stack");
}

/// All that the file can do to an answer: to make it a 500.
#[test]
fn sets_no_other_status() {
    let mut imported = 0;
    let mut setter = None;
    let mut given = Vec::new();
    for payload in Parser::new(0).parse_all(&release()) {
        match payload.expect("a section") {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if import.expect("an import").name == "set_status_code" {
                        setter = Some(imported);
                    }
                    imported += 1;
                }
            }
            Payload::CodeSectionEntry(body) => {
                let mut before = Operator::Nop;
                for operator in body.get_operators_reader().expect("code") {
                    let operator = operator.expect("an instruction");
                    if matches!(operator, Operator::Call { function_index } if Some(function_index) == setter) {
                        given.push(format!("{before:?}"));
                    }
                    before = operator;
                }
            }
            _ => {}
        }
    }
    assert_eq!(given, ["I32Const { value: 500 }"]);
}

#[test]
fn asks_and_offers_nothing_else() {
    wasmparser::validate(&release()).expect("valid");
    let mut imports = BTreeSet::new();
    let mut exports = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&release()) {
        match payload.expect("a section") {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("an import");
                    imports.insert(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) => {
                exports.extend(
                    section
                        .into_iter()
                        .map(|export| export.expect("an export").name.to_owned()),
                );
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let pages = memory.expect("a memory").initial;
                    assert!(pages <= 2, "{pages} pages of memory");
                }
            }
            Payload::StartSection { .. } => panic!("something runs before the first call"),
            Payload::CustomSection(section) => panic!("a custom section: {}", section.name()),
            _ => {}
        }
    }
    // No import of another name: not the one that stands for a panic, no file, no network.
    let allowed = [
        "http_handler.enable_features",
        "http_handler.get_config",
        "http_handler.get_header_names",
        "http_handler.get_header_values",
        "http_handler.get_method",
        "http_handler.get_source_addr",
        "http_handler.get_status_code",
        "http_handler.get_uri",
        "http_handler.log",
        "http_handler.read_body",
        "http_handler.set_header_value",
        "http_handler.set_status_code",
        "wasi_snapshot_preview1.clock_time_get",
    ];
    assert_eq!(imports, allowed.into_iter().map(String::from).collect());
    // The last two are marks that the linker leaves.
    let allowed = [
        "memory",
        "_start",
        "handle_request",
        "handle_response",
        "__data_end",
        "__heap_base",
    ];
    assert_eq!(exports, allowed.into_iter().map(String::from).collect());
}
