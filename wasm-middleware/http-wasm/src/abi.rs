//! The guest's side of the http-wasm handler ABI (<https://http-wasm.io/http-handler-abi/>), declared by hand.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use crate::{Guest, Host};

#[link(wasm_import_module = "http_handler")]
unsafe extern "C" {
    fn get_config(buffer: *mut u8, limit: usize) -> u32;
    fn enable_features(features: u32) -> u32;
    fn get_uri(buffer: *mut u8, limit: usize) -> u32;
    fn get_method(buffer: *mut u8, limit: usize) -> u32;
    fn get_header_names(kind: u32, buffer: *mut u8, limit: usize) -> u64;
    fn get_header_values(kind: u32, name: *const u8, name_len: usize, buffer: *mut u8, limit: usize) -> u64;
    fn set_header_value(kind: u32, name: *const u8, name_len: usize, value: *const u8, value_len: usize);
    fn read_body(kind: u32, buffer: *mut u8, limit: usize) -> u64;
    fn get_status_code() -> u32;
    fn set_status_code(status: u32);
    fn log(level: i32, message: *const u8, len: usize);
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

#[link(wasm_import_module = "learnflow")]
unsafe extern "C" {
    /// Exists nowhere. Were a panic left in the code, so would be this import: the build refuses such a binary, and no
    /// host would load it.
    safe fn a_panic_is_left() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    a_panic_is_left()
}

/// The host that runs this guest.
struct RealHost;

// Each pointer goes with the length of the slice it comes from, and the host writes no further.
impl Host for RealHost {
    fn get_config(&mut self, buffer: &mut [u8]) -> u32 {
        unsafe { get_config(buffer.as_mut_ptr(), buffer.len()) }
    }

    fn enable_features(&mut self, features: u32) -> u32 {
        unsafe { enable_features(features) }
    }

    fn get_uri(&mut self, buffer: &mut [u8]) -> u32 {
        unsafe { get_uri(buffer.as_mut_ptr(), buffer.len()) }
    }

    fn get_method(&mut self, buffer: &mut [u8]) -> u32 {
        unsafe { get_method(buffer.as_mut_ptr(), buffer.len()) }
    }

    fn get_header_names(&mut self, kind: u32, buffer: &mut [u8]) -> u64 {
        unsafe { get_header_names(kind, buffer.as_mut_ptr(), buffer.len()) }
    }

    fn get_header_values(&mut self, kind: u32, name: &str, buffer: &mut [u8]) -> u64 {
        unsafe { get_header_values(kind, name.as_ptr(), name.len(), buffer.as_mut_ptr(), buffer.len()) }
    }

    fn set_header_value(&mut self, kind: u32, name: &str, value: &[u8]) {
        unsafe { set_header_value(kind, name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
    }

    fn read_body(&mut self, kind: u32, buffer: &mut [u8]) -> u64 {
        unsafe { read_body(kind, buffer.as_mut_ptr(), buffer.len()) }
    }

    fn get_status_code(&mut self) -> u32 {
        unsafe { get_status_code() }
    }

    fn set_status_code(&mut self, status: u32) {
        unsafe { set_status_code(status) }
    }

    fn log(&mut self, level: i32, message: &[u8]) {
        unsafe { log(level, message.as_ptr(), message.len()) }
    }

    fn clock_time_get(&mut self, clock: u32) -> Option<u64> {
        let mut time = MaybeUninit::uninit();
        let error = unsafe { clock_time_get(clock, 0, time.as_mut_ptr()) };
        // Without an error, the host has written it.
        (error == 0).then(|| unsafe { time.assume_init() })
    }
}

struct OneThread(UnsafeCell<Guest>);

// A WASM instance has one thread, and the host calls it for one request at a time.
unsafe impl Sync for OneThread {}

static GUEST: OneThread = OneThread(UnsafeCell::new(Guest::new()));

/// Once, when the host makes the instance: the first as it loads the component, more whenever none is free.
#[unsafe(export_name = "_start")]
extern "C" fn start() {
    let guest = unsafe { &mut *GUEST.0.get() };
    guest.start(&mut RealHost);
}

/// Before the next handler.
#[unsafe(no_mangle)]
extern "C" fn handle_request() -> u64 {
    let guest = unsafe { &mut *GUEST.0.get() };
    guest.handle_request(&mut RealHost)
}

/// After it.
#[unsafe(no_mangle)]
extern "C" fn handle_response(context: u32, failed: u32) {
    let guest = unsafe { &mut *GUEST.0.get() };
    guest.handle_response(&mut RealHost, context, failed);
}
