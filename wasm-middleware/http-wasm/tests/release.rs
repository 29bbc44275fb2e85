//! The guest as it is shipped: in the same scripted host, and what may be in the file.

mod support;
#[path = "support/traps.rs"]
mod traps;

use std::collections::BTreeSet;
use std::path::PathBuf;

use learnflow_http_wasm::Host;
use support::{Call, Guest, cases};
use wasmi::{Caller, Engine, Extern, Instance, Linker, Module, Store};
use wasmparser::{Operator, Parser, Payload};

fn release() -> Vec<u8> {
    let target = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = || target().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into());
    let named = std::env::var_os("LEARNFLOW_WASM").map(PathBuf::from);
    let file = named.unwrap_or_else(|| target().join("wasm/learnflow.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask wasm` first", file.display()))
}

/// The store holds the call under way.
struct Interpreted {
    store: Store<Call>,
    instance: Instance,
}

impl Interpreted {
    fn new() -> Self {
        let engine = Engine::default();
        let module = Module::new(&engine, release()).expect("the guest is valid");
        let mut store = Store::new(&engine, Call::new("none", "", "", support::Answer::Nothing));
        let instance = imports(&engine)
            .instantiate_and_start(&mut store, &module)
            .expect("the guest has its imports");
        Self { store, instance }
    }
}

impl Guest for Interpreted {
    fn start(&mut self, call: Call) -> Call {
        *self.store.data_mut() = call;
        let run = self
            .instance
            .get_typed_func::<(), ()>(&self.store, "_start")
            .expect("export");
        run.call(&mut self.store, ()).expect("the guest must not trap");
        self.store.data().clone()
    }

    fn handle_request(&mut self, call: Call) -> (Call, u64) {
        *self.store.data_mut() = call;
        let run = self
            .instance
            .get_typed_func::<(), u64>(&self.store, "handle_request")
            .expect("export");
        let next = run.call(&mut self.store, ()).expect("the guest must not trap");
        (self.store.data().clone(), next)
    }

    fn handle_response(&mut self, call: Call, context: u32, failed: u32) -> Call {
        *self.store.data_mut() = call;
        let run = self
            .instance
            .get_typed_func::<(u32, u32), ()>(&self.store, "handle_response")
            .expect("export");
        run.call(&mut self.store, (context, failed))
            .expect("the guest must not trap");
        self.store.data().clone()
    }
}

/// Does `work` with the guest's memory and the call.
fn with<T>(mut caller: Caller<'_, Call>, work: impl FnOnce(&mut [u8], &mut Call) -> T) -> T {
    let memory = caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .expect("memory");
    let (memory, call) = memory.data_and_store_mut(&mut caller);
    work(memory, call)
}

fn at(start: u32, len: u32) -> std::ops::Range<usize> {
    start as usize..(start as usize + len as usize)
}

fn text(memory: &[u8], start: u32, len: u32) -> String {
    String::from_utf8(memory[at(start, len)].to_vec()).expect("UTF-8")
}

fn imports(engine: &Engine) -> Linker<Call> {
    let mut linker = Linker::new(engine);
    let http = "http_handler";
    linker
        .func_wrap(http, "enable_features", |caller: Caller<'_, Call>, features: u32| {
            with(caller, |_, call| call.enable_features(features))
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "get_config",
                |caller: Caller<'_, Call>, buffer: u32, limit: u32| {
                    with(caller, |memory, call| call.get_config(&mut memory[at(buffer, limit)]))
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(http, "get_uri", |caller: Caller<'_, Call>, buffer: u32, limit: u32| {
                with(caller, |memory, call| call.get_uri(&mut memory[at(buffer, limit)]))
            })
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "get_method",
                |caller: Caller<'_, Call>, buffer: u32, limit: u32| {
                    with(caller, |memory, call| call.get_method(&mut memory[at(buffer, limit)]))
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "get_header_names",
                |caller: Caller<'_, Call>, kind: u32, buffer: u32, limit: u32| {
                    with(caller, |memory, call| {
                        call.get_header_names(kind, &mut memory[at(buffer, limit)])
                    })
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "get_header_values",
                |caller: Caller<'_, Call>, kind: u32, name: u32, name_len: u32, buffer: u32, limit: u32| {
                    with(caller, |memory, call| {
                        let name = text(memory, name, name_len);
                        call.get_header_values(kind, &name, &mut memory[at(buffer, limit)])
                    })
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "set_header_value",
                |caller: Caller<'_, Call>, kind: u32, name: u32, name_len: u32, value: u32, value_len: u32| {
                    with(caller, |memory, call| {
                        call.set_header_value(kind, &text(memory, name, name_len), &memory[at(value, value_len)]);
                    })
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "read_body",
                |caller: Caller<'_, Call>, kind: u32, buffer: u32, limit: u32| {
                    with(caller, |memory, call| {
                        call.read_body(kind, &mut memory[at(buffer, limit)])
                    })
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(http, "get_status_code", |caller: Caller<'_, Call>| {
                with(caller, |_, call| call.get_status_code())
            })
        })
        .and_then(|linker| {
            linker.func_wrap(http, "set_status_code", |caller: Caller<'_, Call>, status: u32| {
                with(caller, |_, call| call.set_status_code(status));
            })
        })
        .and_then(|linker| {
            linker.func_wrap(
                http,
                "log",
                |caller: Caller<'_, Call>, level: i32, message: u32, len: u32| {
                    with(caller, |memory, call| call.log(level, &memory[at(message, len)]))
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                "wasi_snapshot_preview1",
                "clock_time_get",
                |caller: Caller<'_, Call>, clock: u32, _precision: u64, time: u32| {
                    with(caller, |memory, call| {
                        let Some(now) = call.clock_time_get(clock) else {
                            return 28;
                        };
                        memory[at(time, 8)].copy_from_slice(&now.to_le_bytes());
                        0_u32
                    })
                },
            )
        })
        .expect("each import once");
    linker
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
