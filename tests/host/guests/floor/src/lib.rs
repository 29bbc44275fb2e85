//! What LearnFlow's guest asks of the host for a publish, in the same order, and nothing else: no answer is looked at.

#![no_std]

#[link(wasm_import_module = "http_handler")]
unsafe extern "C" {
    fn enable_features(features: u32) -> u32;
    fn get_uri(buffer: *mut u8, limit: usize) -> u32;
    fn get_method(buffer: *mut u8, limit: usize) -> u32;
    fn get_header_values(kind: u32, name: *const u8, name_len: usize, buffer: *mut u8, limit: usize) -> u64;
    fn set_header_value(kind: u32, name: *const u8, name_len: usize, value: *const u8, value_len: usize);
    fn get_status_code() -> u32;
    fn log(level: i32, message: *const u8, len: usize);
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

const TOPIC: &str = "lesson.generated";
const ATTRIBUTE: &str = "Dapr-Messaging.destination.name";
const LINE: &str = r#"{"lf":1,"dir":"publish","pubsub":"kafka-pubsub","topic":"lesson.generated","outcome":"success","status":204,"us":1234,"bytes":400,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;

static mut BUFFER: [u8; 16 * 1024] = [0; _];
static mut TIME: u64 = 0;

#[unsafe(no_mangle)]
extern "C" fn handle_request() -> u64 {
    let (buffer, room) = (&raw mut BUFFER as *mut u8, 16 * 1024);
    let header = |name: &str, room| unsafe { get_header_values(0, name.as_ptr(), name.len(), buffer, room) };
    unsafe {
        get_uri(buffer, room);
        get_method(buffer, room);
        enable_features(2);
        header("Traceparent", room);
        header("Content-Length", room);
        header(ATTRIBUTE, 0);
        set_header_value(0, ATTRIBUTE.as_ptr(), ATTRIBUTE.len(), TOPIC.as_ptr(), TOPIC.len());
        clock_time_get(1, 0, &raw mut TIME);
    }
    1
}

#[unsafe(no_mangle)]
extern "C" fn handle_response(_context: u32, _failed: u32) {
    unsafe {
        clock_time_get(1, 0, &raw mut TIME);
        get_status_code();
        log(0, LINE.as_ptr(), LINE.len());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
