//! An instance between who asks and who answers, as in a pipeline of a sidecar.

use crate::{Answer, Clock, Error, Exchange, Instance, Line, Module, Request};

/// One instance, for one call after the other. Dapr has as many as there are calls at a time.
pub struct Middleware {
    instance: Instance<Exchange>,
    config: Vec<u8>,
    /// What it logged when it started.
    pub started: Vec<Line>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// As the next handler got it.
    pub request: Request,
    /// As the client gets it.
    pub answer: Answer,
    /// What the guest logged of it.
    pub lines: Vec<Line>,
}

impl Middleware {
    /// Makes an instance and starts it.
    pub fn new(module: &Module, config: &[u8], clock: Clock) -> Result<Self, Error> {
        let exchange = Exchange::new(config.to_vec(), clock, Request::default());
        let mut instance = Instance::new(module, exchange)?;
        instance.start()?;
        let started = std::mem::take(&mut instance.host().lines);
        Ok(Self {
            instance,
            config: config.to_vec(),
            started,
        })
    }

    /// The guest sees the request, `next` answers it, the guest sees the answer. `next` says what the clocks show then.
    pub fn serve(
        &mut self,
        request: Request,
        clock: Clock,
        next: impl FnOnce(&Request) -> (Answer, Clock),
    ) -> Result<Served, Error> {
        *self.instance.host() = Exchange::new(self.config.clone(), clock, request);
        let go_on = self.instance.handle_request()?;
        #[allow(clippy::cast_possible_truncation)]
        let (context, next_is_called) = ((go_on >> 32) as u32, go_on as u32 != 0);
        if next_is_called {
            let exchange = self.instance.host();
            let (answer, clock) = next(&exchange.request);
            let failed = u32::from(answer.panicked);
            exchange.answer = Some(answer);
            // One that counts its own readings goes on.
            if clock.step == 0 {
                exchange.clock = clock;
            }
            self.instance.handle_response(context, failed)?;
        }
        let Exchange {
            request, answer, lines, ..
        } = std::mem::take(self.instance.host());
        Ok(Served {
            request,
            answer: answer.unwrap_or_default(),
            lines,
        })
    }
}
