//! The functions that a guest imports, tied to what answers them.

use crate::{Backend, Refused, instance::State};
use wasmi::{Caller, Engine, Error, Extern, Linker};

const HTTP: &str = "http_handler";
const WASI: &str = "wasi_snapshot_preview1";
/// WASI's error for a clock that is not there.
const INVALID: u32 = 28;

/// Fills a buffer, or only says how long it would have to be.
type Ask<H> = fn(&mut H, &mut [u8]) -> u32;

pub(crate) fn linker<H: Backend + 'static>(engine: &Engine) -> Result<Linker<State<H>>, Error> {
    let mut linker = Linker::new(engine);
    let asks: [(&str, Ask<H>); 4] = [
        ("get_config", H::get_config),
        ("get_source_addr", H::get_source_addr),
        ("get_uri", H::get_uri),
        ("get_method", H::get_method),
    ];
    for (name, ask) in asks {
        linker.func_wrap(HTTP, name, move |caller: Caller<'_, State<H>>, at: u32, limit: u32| {
            lend(caller, |memory, host| Ok(ask(host, slice(memory, at, limit)?)))
        })?;
    }
    linker
        .func_wrap(
            HTTP,
            "enable_features",
            |caller: Caller<'_, State<H>>, features: u32| lend(caller, |_, host| Ok(host.enable_features(features))),
        )?
        .func_wrap(
            HTTP,
            "get_header_names",
            |caller: Caller<'_, State<H>>, kind: u32, at: u32, limit: u32| {
                lend(caller, |memory, host| {
                    Ok(host.get_header_names(kind, slice(memory, at, limit)?))
                })
            },
        )?
        .func_wrap(
            HTTP,
            "get_header_values",
            |caller: Caller<'_, State<H>>, kind: u32, name: u32, name_len: u32, at: u32, limit: u32| {
                lend(caller, |memory, host| {
                    let name = text(memory, name, name_len)?;
                    Ok(host.get_header_values(kind, &name, slice(memory, at, limit)?))
                })
            },
        )?
        .func_wrap(
            HTTP,
            "set_header_value",
            |caller: Caller<'_, State<H>>, kind: u32, name: u32, name_len: u32, value: u32, value_len: u32| {
                lend(caller, |memory, host| {
                    let name = text(memory, name, name_len)?;
                    host.set_header_value(kind, &name, slice(memory, value, value_len)?);
                    Ok(())
                })
            },
        )?
        .func_wrap(
            HTTP,
            "read_body",
            |caller: Caller<'_, State<H>>, kind: u32, at: u32, limit: u32| {
                lend(caller, |memory, host| {
                    Ok(host.read_body(kind, slice(memory, at, limit)?))
                })
            },
        )?
        .func_wrap(HTTP, "get_status_code", |caller: Caller<'_, State<H>>| {
            lend(caller, |_, host| Ok(host.get_status_code()))
        })?
        .func_wrap(HTTP, "set_status_code", |caller: Caller<'_, State<H>>, status: u32| {
            lend(caller, |_, host| {
                host.set_status_code(status);
                Ok(())
            })
        })?
        .func_wrap(
            HTTP,
            "log",
            |caller: Caller<'_, State<H>>, level: i32, message: u32, len: u32| {
                lend(caller, |memory, host| {
                    host.log(level, slice(memory, message, len)?);
                    Ok(())
                })
            },
        )?
        .func_wrap(
            WASI,
            "clock_time_get",
            |caller: Caller<'_, State<H>>, clock: u32, _precision: u64, time: u32| {
                lend(caller, |memory, host| {
                    let Some(now) = host.clock_time_get(clock) else {
                        return Ok(INVALID);
                    };
                    slice(memory, time, 8)?.copy_from_slice(&now.to_le_bytes());
                    Ok(0)
                })
            },
        )?;
    Ok(linker)
}

/// Does `work` with the guest's memory and what answers it.
fn lend<H: Backend, T>(
    mut caller: Caller<'_, State<H>>,
    work: impl FnOnce(&mut [u8], &mut H) -> Result<T, Refused>,
) -> Result<T, Error> {
    let memory = caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .ok_or_else(|| Error::host(Refused("something, and exports no memory to put it into")))?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let done = work(memory, &mut state.host).map_err(Error::host)?;
    state
        .host
        .refused()
        .map_or(Ok(done), |refused| Err(Error::host(refused)))
}

fn slice(memory: &mut [u8], at: u32, len: u32) -> Result<&mut [u8], Refused> {
    let end = at as usize + len as usize;
    memory
        .get_mut(at as usize..end)
        .ok_or(Refused("something outside of its memory"))
}

fn text(memory: &mut [u8], at: u32, len: u32) -> Result<String, Refused> {
    match slice(memory, at, len)? {
        [] => Err(Refused("a header without a name")),
        name => String::from_utf8(name.to_vec()).map_err(|_| Refused("a header whose name is not UTF-8")),
    }
}
