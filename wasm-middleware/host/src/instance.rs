//! A guest, and calls of what it exports.

use crate::{Backend, Error, Refused, imports};
use wasmi::{
    CompilationMode, Config, Engine, Extern, Store, StoreLimits, StoreLimitsBuilder, TrapCode, TypedFunc, WasmParams,
    WasmResults,
};

/// Instructions of one call, about. An answer of 100 kB, the longest among the guest's cases, takes more than a tenth of it.
const FUEL: u64 = 200_000_000;
/// Bytes of memory. LearnFlow's guest has two pages of 64 KiB.
const MEMORY: usize = 1 << 20;

/// A guest's file.
#[derive(Debug)]
pub struct Module {
    engine: Engine,
    module: wasmi::Module,
}

impl Module {
    /// Checks it.
    pub fn new(wasm: &[u8]) -> Result<Self, Error> {
        let mut config = Config::default();
        config
            .consume_fuel(true)
            .compilation_mode(CompilationMode::LazyTranslation);
        let engine = Engine::new(&config);
        let module = wasmi::Module::new(&engine, wasm).map_err(Error::NoGuest)?;
        Ok(Self { engine, module })
    }
}

/// What belongs to an instance beside its memory.
pub(crate) struct State<H> {
    pub(crate) host: H,
    limits: StoreLimits,
}

/// A guest that can be called.
pub struct Instance<H> {
    store: Store<State<H>>,
    start: Option<TypedFunc<(), ()>>,
    handle_request: TypedFunc<(), u64>,
    handle_response: TypedFunc<(u32, u32), ()>,
}

impl<H: Backend + 'static> Instance<H> {
    /// Makes it. Nothing of it has run then: see [`Self::start`].
    pub fn new(module: &Module, host: H) -> Result<Self, Error> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY)
            .memories(1)
            .tables(0)
            .instances(1)
            .build();
        let mut store = Store::new(&module.engine, State { host, limits });
        store.limiter(|state| &mut state.limits);
        store.set_fuel(FUEL).map_err(Error::NoGuest)?;
        let linker = imports::linker(&module.engine).map_err(Error::NoGuest)?;
        let instance = linker
            .instantiate_and_start(&mut store, &module.module)
            .map_err(Error::NoGuest)?;
        let start = instance
            .get_export(&store, "_start")
            .and_then(Extern::into_func)
            .map(|start| start.typed(&store))
            .transpose()
            .map_err(Error::NoGuest)?;
        Ok(Self {
            start,
            handle_request: instance
                .get_typed_func(&store, "handle_request")
                .map_err(Error::NoGuest)?,
            handle_response: instance
                .get_typed_func(&store, "handle_response")
                .map_err(Error::NoGuest)?,
            store,
        })
    }

    /// What answers it.
    pub fn host(&mut self) -> &mut H {
        &mut self.store.data_mut().host
    }

    /// What Dapr calls when it makes an instance. A guest need not have it.
    pub fn start(&mut self) -> Result<(), Error> {
        match self.start {
            Some(start) => self.call(start, ()),
            None => Ok(()),
        }
    }

    /// Before the next handler. The lower half of what it returns is 0 where that is not to be called; the upper half is for
    /// [`Self::handle_response`].
    pub fn handle_request(&mut self) -> Result<u64, Error> {
        self.call(self.handle_request, ())
    }

    /// After the next handler. `failed` is not 0 where that has panicked.
    pub fn handle_response(&mut self, context: u32, failed: u32) -> Result<(), Error> {
        self.call(self.handle_response, (context, failed))
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, function: TypedFunc<P, R>, given: P) -> Result<R, Error> {
        self.store.set_fuel(FUEL).map_err(Error::Trap)?;
        function
            .call(&mut self.store, given)
            .map_err(|error| match error.downcast_ref::<Refused>() {
                Some(refused) => Error::Refused(*refused),
                None if error.as_trap_code() == Some(TrapCode::OutOfFuel) => Error::Endless,
                None => Error::Trap(error),
            })
    }
}
