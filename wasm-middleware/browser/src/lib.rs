//! What the page of `kubectl learnflow ui` knows. It is given the lines of logs and says what there is to draw: the page's
//! script asks once a frame, never once an event.
//!
//! - [`live`]: events read, added up, and the last of them kept
//! - [`graph`]: where services and topics stand
//! - [`view`]: what the page shows of them
//!
//! Pure like the crates below it: no clock, no network, no document.

mod graph;
mod live;
mod view;

use wasm_bindgen::prelude::wasm_bindgen;

/// All of it, for the page's script. What is asked for comes as JSON.
#[wasm_bindgen]
pub struct Page(live::Live);

#[wasm_bindgen]
impl Page {
    /// Figures look back so many seconds; with 0, at all there is.
    #[wasm_bindgen(constructor)]
    pub fn new(window: u32) -> Self {
        Self(live::Live::new(window))
    }

    /// Takes the next bytes of the logs, however they are cut.
    pub fn read(&mut self, bytes: &[u8]) {
        self.0.read(bytes);
    }

    /// The stream of bytes begins anew, at the event of this number. What is between was missed.
    pub fn resume(&mut self, number: f64) {
        self.0.resume(number as u64);
    }

    /// The number of the next event.
    pub fn next(&self) -> f64 {
        self.0.next() as f64
    }

    /// Of each arrow that had events since this was asked last: its number, how many were taken, how many not.
    pub fn pulses(&mut self) -> Vec<u32> {
        self.0.pulses()
    }

    /// Figures and graph, `idle` milliseconds after the last bytes came. `search` chooses among the rows.
    pub fn view(&self, idle: f64, search: &str) -> String {
        view::json(&self.0.view(idle, search))
    }

    /// The last events that were kept, the newest first: of this topic if it is not empty, found by `search`.
    pub fn events(&self, topic: &str, search: &str, failed: bool, most: usize) -> String {
        view::json(&self.0.events(topic, search, failed, most))
    }

    /// One event, and all that is kept of the same one or of the same trace. `null` if it is kept no more.
    pub fn timeline(&self, number: f64) -> String {
        view::json(&self.0.timeline(number as u64))
    }
}
