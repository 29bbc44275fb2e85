//! The filter's side of the proxy-wasm ABI. Crate `proxy-wasm` brings the exports and keeps the calls apart; what is
//! asked of Envoy is declared by hand, for the reason that [`Host`] gives.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::{Call, Config, Host, Kind, Map, Metrics};

const OK: u32 = 0;
const WARN: u32 = 3;
const RESPONSE_BODY: u32 = 1;
const PLUGIN_CONFIGURATION: u32 = 7;
const MONOTONIC: u32 = 1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, len: usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *mut *mut u8,
        value_len: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, metric: *mut u32) -> u32;
    fn proxy_increment_metric(metric: u32, by: i64) -> u32;
    fn proxy_record_metric(metric: u32, value: u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    // The ABI's own clock is the wall's, which may be set back.
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// Takes what the host writes: into memory that it asks `proxy_on_memory_allocate` for, a `Vec<u8>` that crate
/// `proxy-wasm` has filled to its capacity and forgotten.
fn given(ask: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data = ptr::null_mut();
    let mut len = 0;
    if ask(&raw mut data, &raw mut len) != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    Some(unsafe { Vec::from_raw_parts(data, len, len) })
}

fn buffer(buffer: u32, max: usize) -> Option<Vec<u8>> {
    given(|data, len| unsafe { proxy_get_buffer_bytes(buffer, 0, max, data, len) })
}

/// The Envoy that runs this filter.
struct Envoy;

// Each pointer goes with the length of the slice it comes from.
impl Host for Envoy {
    fn header(&mut self, map: Map, name: &str) -> Option<Vec<u8>> {
        given(|value, len| unsafe { proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), value, len) })
    }

    fn add_request_header(&mut self, name: &str, value: &str) {
        let map = Map::Request as u32;
        unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    }

    fn response_body(&mut self, len: usize) -> Option<Vec<u8>> {
        buffer(RESPONSE_BODY, len)
    }

    fn set_property(&mut self, name: &str, value: &str) {
        unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    }

    fn define_metric(&mut self, kind: Kind, name: &str) -> Option<u32> {
        let mut metric = 0;
        let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut metric) };
        (status == OK).then_some(metric)
    }

    fn increment_metric(&mut self, metric: u32, by: i64) {
        unsafe { proxy_increment_metric(metric, by) };
    }

    fn record_metric(&mut self, metric: u32, value: u64) {
        unsafe { proxy_record_metric(metric, value) };
    }

    fn monotonic(&mut self) -> Option<u64> {
        let mut time = 0;
        let error = unsafe { clock_time_get(MONOTONIC, 0, &raw mut time) };
        (error == 0).then_some(time)
    }
}

/// The plugin in one of Envoy's threads. One VM has one thread, so its calls share the metrics without a lock.
#[derive(Default)]
struct Plugin {
    metrics: Rc<RefCell<Option<Metrics>>>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, len: usize) -> bool {
        let (config, wrong) = Config::read(&buffer(PLUGIN_CONFIGURATION, len).unwrap_or_default());
        if let Some(wrong) = wrong {
            unsafe { proxy_log(WARN, wrong.as_ptr(), wrong.len()) };
        }
        if let Ok(mut metrics) = self.metrics.try_borrow_mut() {
            *metrics = Some(Metrics::new(&mut Envoy, config));
        }
        // A filter that refuses its configuration would keep Envoy from starting.
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        let metrics = Rc::clone(&self.metrics);
        let call = Call::default();
        Some(Box::new(Filter { call, metrics }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// The filter of one call.
struct Filter {
    call: Call,
    metrics: Rc<RefCell<Option<Metrics>>>,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.call.on_request(&mut Envoy);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.call.on_answer(&mut Envoy);
        Action::Continue
    }

    fn on_http_response_body(&mut self, len: usize, _: bool) -> Action {
        self.call.on_answer_body(&mut Envoy, len);
        Action::Continue
    }

    fn on_log(&mut self) {
        if let Ok(mut metrics) = self.metrics.try_borrow_mut()
            && let Some(metrics) = metrics.as_mut()
        {
            self.call.on_end(&mut Envoy, metrics);
        }
    }
}

/// Where Envoy begins.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}
