//! What a .wasm file alone shows about traps.
//!
//! Of every function, whether anything calls it or not: it has no instruction that can trap but those that access
//! memory; it divides by nothing but constants that are not zero; memory does not grow; no function calls itself, not
//! even through others, and none is called through a table, so neither of the two stacks, the host's and the one in
//! memory, can overflow.
//!
//! What the file does not show, and something else has to:
//! - **That an access stays inside of the memory.** `memory.copy` and `memory.fill`, into which the compiler turns copies
//!   of arrays, are no different from a load or a store in this. Rust sees to it: the core forbids `unsafe`, so it
//!   reaches memory through slices and references alone, whose bounds are checked, where a check that fails is a panic,
//!   and a panic would be an import here; the guest's own `unsafe` is in `abi.rs`, which hands slices to the host and
//!   does no arithmetic. Fuzzing in Dapr's host tests it (`cargo xtask fuzz`).
//! - **That a loop ends.** Each in the source runs over a slice; fuzzing ends a call that does not.
//! - **That the host takes what it is asked.** It panics when asked for the wrong thing at the wrong time: the host of
//!   these tests does so too, and fuzzing asks the real one.

use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};

/// Every instruction of WebAssembly's first version that never traps. No number with a fraction is among them: the guest
/// has none, and some of their conversions trap. What comes later, or is forgotten here, is refused until it is looked at.
const HARMLESS: &str = "Nop Block Loop If Else End Br BrIf BrTable Return Drop Select Call \
    LocalGet LocalSet LocalTee GlobalGet GlobalSet I32Const I64Const MemorySize \
    I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU \
    I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU \
    I32Clz I32Ctz I32Popcnt I32Add I32Sub I32Mul I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr \
    I64Clz I64Ctz I64Popcnt I64Add I64Sub I64Mul I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr \
    I32WrapI64 I64ExtendI32S I64ExtendI32U I32Extend8S I32Extend16S I64Extend8S I64Extend16S I64Extend32S";

/// Those that trap outside of the memory only.
const ACCESSES: &str = "I32Load I64Load I32Load8S I32Load8U I32Load16S I32Load16U \
    I64Load8S I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U \
    I32Store I64Store I32Store8 I32Store16 I64Store8 I64Store16 I64Store32 MemoryCopy MemoryFill";

#[derive(Default)]
struct Module {
    imported: usize,
    exported: Vec<(u32, String)>,
    /// Where the stack in memory begins; it grows down to 0.
    stack: u32,
    functions: Vec<Function>,
}

#[derive(Default)]
struct Function {
    calls: Vec<u32>,
    /// What it takes of the stack in memory.
    frame: u32,
}

/// The bytes of the stack that are in use at most; or the first instruction that may trap, with its function.
pub fn most_stack(wasm: &[u8]) -> Result<u32, String> {
    let mut module = Module::default();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map(|import| import.expect("an import").ty);
                module.imported = imports.filter(|ty| matches!(ty, TypeRef::Func(_))).count();
            }
            Payload::ExportSection(section) => {
                let exports = section.into_iter().map(|export| export.expect("an export"));
                let functions = exports.filter(|export| export.kind == wasmparser::ExternalKind::Func);
                module.exported = functions.map(|export| (export.index, export.name.to_owned())).collect();
            }
            Payload::GlobalSection(section) => {
                let first = section.into_iter().next().expect("a global").expect("a global");
                if let Ok(Operator::I32Const { value }) = first.init_expr.get_operators_reader().read() {
                    module.stack = value.unsigned_abs();
                }
            }
            Payload::TableSection(_) | Payload::ElementSection(_) => return Err("a table of functions".into()),
            Payload::CodeSectionEntry(body) => {
                let function = Function::of(&body).map_err(|what| format!("{}: {what}", module.next_name()))?;
                module.functions.push(function);
            }
            _ => {}
        }
    }
    let used = (0..module.functions.len()).map(|at| module.deepest(at + module.imported, &mut Vec::new()));
    let used = used.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(0);
    if used > module.stack {
        return Err(format!("{used} bytes of a stack of {}", module.stack));
    }
    Ok(used)
}

impl Module {
    fn next_name(&self) -> String {
        self.name(self.imported + self.functions.len())
    }

    /// Names are not in the file but for those of exports: the index is what `wasm-objdump -d` shows.
    fn name(&self, index: usize) -> String {
        match self.exported.iter().find(|(exported, _)| *exported as usize == index) {
            Some((_, name)) => format!("function {index} ({name})"),
            None => format!("function {index}"),
        }
    }

    /// The bytes of stack that this function takes, with all that it calls.
    fn deepest(&self, index: usize, path: &mut Vec<usize>) -> Result<u32, String> {
        let Some(at) = index.checked_sub(self.imported) else {
            return Ok(0);
        };
        if path.contains(&index) {
            return Err(format!("{} calls itself, by way of {path:?}", self.name(index)));
        }
        path.push(index);
        let mut most = 0;
        for callee in &self.functions[at].calls {
            most = most.max(self.deepest(*callee as usize, path)?);
        }
        path.pop();
        Ok(self.functions[at].frame + most)
    }
}

impl Function {
    fn of(body: &FunctionBody<'_>) -> Result<Self, String> {
        let mut function = Self::default();
        let mut before = [Operator::Nop, Operator::Nop];
        let mut stack_read = 0;
        let operators = body.get_operators_reader().expect("code");
        for operator in operators.into_iter_with_offsets() {
            let (operator, offset) = operator.expect("an instruction");
            let shown = format!("{operator:?}");
            let name = shown.split(' ').next().unwrap_or_default();
            let listed = |list: &str| list.split_whitespace().any(|listed| listed == name);
            let fine = match operator {
                Operator::I32DivU | Operator::I32RemU | Operator::I64DivU | Operator::I64RemU => divides(&before[1], 0),
                // The least number by -1 is more than the largest one.
                Operator::I32DivS | Operator::I32RemS | Operator::I64DivS | Operator::I64RemS => {
                    divides(&before[1], -1)
                }
                _ => listed(HARMLESS) || listed(ACCESSES),
            };
            if !fine {
                return Err(format!("{shown} at byte {offset:#x}"));
            }
            match (&before, &operator) {
                (_, Operator::Call { function_index }) => function.calls.push(*function_index),
                (_, Operator::GlobalGet { .. }) => stack_read += 1,
                ([Operator::GlobalGet { global_index: 0 }, Operator::I32Const { value }], Operator::I32Sub) => {
                    stack_read -= 1;
                    function.frame += u32::try_from(*value).map_err(|_| format!("a frame of {value} bytes"))?;
                }
                _ => {}
            }
            let [_, last] = before;
            before = [last, operator];
        }
        // Nothing else is done with the stack's pointer, and there is no other global to read.
        if stack_read != 0 {
            return Err("a frame of a size that is not fixed".into());
        }
        Ok(function)
    }
}

/// Is this a constant to divide by, neither zero nor the other one?
fn divides(operator: &Operator<'_>, other: i64) -> bool {
    let constant = match operator {
        Operator::I32Const { value } => i64::from(*value),
        Operator::I64Const { value } => *value,
        _ => return false,
    };
    constant != 0 && constant != other
}

/// A module of one function, with a page of memory and a stack of 64 bytes.
fn module(code: &[u8]) -> Vec<u8> {
    let mut wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01".to_vec();
    wasm.extend(b"\x06\x07\x01\x7f\x01\x41\xc0\0\x0b\x07\x08\x01\x04main\0\0");
    let len = u8::try_from(code.len()).expect("short");
    wasm.extend([10, len + 4, 1, len + 2, 0]);
    wasm.extend(code);
    wasm.push(0x0b);
    wasm
}

#[test]
fn what_may_trap_is_named() {
    for (code, expected) in [
        (&b"\0"[..], "Unreachable at byte 0x2f"),
        (b"\x41\0\x40\0\x1a", "MemoryGrow"),
        (b"\x41\x01\x41\0\x6e\x1a", "I32DivU"),
        (b"\x41\x01\x41\x01\x41\x02\x6a\x70\x1a", "I32RemU"),
        (b"\x42\x01\x42\x7f\x7f\x1a", "I64DivS"),
        (b"\x43\0\0\0\0\xa8\x1a", "F32Const"),
        (b"\x10\0", "calls itself"),
        (b"\x23\0\x1a", "not fixed"),
        (b"\x23\0\x41\xc1\0\x6b\x1a", "65 bytes of a stack of 64"),
    ] {
        let wasm = module(code);
        wasmparser::validate(&wasm).expect(expected);
        let error = most_stack(&wasm).expect_err(expected);
        assert!(error.contains(expected), "{error} instead of {expected}");
        assert!(
            error.starts_with("function 0 (main)") || error.ends_with("64"),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_trap_is_fine() {
    for (code, used) in [
        (&b""[..], 0),
        (b"\x41\x01\x41\x0a\x6e\x1a", 0),
        (b"\x42\x01\x42\x0a\x7f\x1a", 0),
        (b"\x23\0\x41\xc0\0\x6b\x1a", 64),
    ] {
        let wasm = module(code);
        wasmparser::validate(&wasm).expect("valid");
        assert_eq!(most_stack(&wasm), Ok(used));
    }
}
