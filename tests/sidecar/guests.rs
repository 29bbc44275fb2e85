//! Guests that do what ours must not: with them, the tests have to fail.

use learnflow_tests::{process::Folder, sidecar::Middleware};

/// Has every answer held back until it is complete.
///
/// ```wat
/// (module
///   (import "http_handler" "enable_features" (func $enable (param i32) (result i32)))
///   (func $request (result i64) (drop (call $enable (i32.const 2))) (i64.const 1))
///   (func $response (param i32 i32))
///   (memory 1)
///   (export "memory" (memory 0))
///   (export "handle_request" (func $request))
///   (export "handle_response" (func $response)))
/// ```
pub const HOLDS_ANSWERS_BACK: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x0f\x03\x60\x01\x7f\x01\x7f\x60\0\x01\x7e\x60\x02\x7f\x7f\0\
    \x02\x20\x01\x0chttp_handler\x0fenable_features\0\0\
    \x03\x03\x02\x01\x02\
    \x05\x03\x01\0\x01\
    \x07\x2d\x03\x06memory\x02\0\x0ehandle_request\0\x01\x0fhandle_response\0\x02\
    \x0a\x0e\x02\x09\0\x41\x02\x10\0\x1a\x42\x01\x0b\x02\0\x0b";

/// Reads 64 bytes of a request's body and leaves the rest.
///
/// ```wat
/// (module
///   (import "http_handler" "enable_features" (func $enable (param i32) (result i32)))
///   (import "http_handler" "read_body" (func $read (param i32 i32 i32) (result i64)))
///   (func $request (result i64)
///     (drop (call $enable (i32.const 1)))
///     (drop (call $read (i32.const 0) (i32.const 0) (i32.const 0x40)))
///     (i64.const 1))
///   (func $response (param i32 i32))
///   (memory 1)
///   (export "memory" (memory 0))
///   (export "handle_request" (func $request))
///   (export "handle_response" (func $response)))
/// ```
pub const READS_BODIES: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x16\x04\x60\x01\x7f\x01\x7f\x60\x03\x7f\x7f\x7f\x01\x7e\x60\0\x01\x7e\x60\x02\x7f\x7f\0\
    \x02\x39\x02\x0chttp_handler\x0fenable_features\0\0\x0chttp_handler\x09read_body\0\x01\
    \x03\x03\x02\x02\x03\
    \x05\x03\x01\0\x01\
    \x07\x2d\x03\x06memory\x02\0\x0ehandle_request\0\x02\x0fhandle_response\0\x03\
    \x0a\x18\x02\x13\0\x41\x01\x10\0\x1a\x41\0\x41\0\x41\xc0\0\x10\x01\x1a\x42\x01\x0b\x02\0\x0b";

/// A middleware of such a guest; its file goes with the folder.
pub fn middleware(guest: &[u8], folder: &Folder) -> std::io::Result<Middleware> {
    let file = folder.path().join("guest.wasm");
    std::fs::write(&file, guest)?;
    Ok(Middleware::of(file))
}
