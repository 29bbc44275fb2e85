/// How long a new lab lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Until somebody takes it down.
    Detached,
    /// At most as long as the process that brought it up, however that ends.
    Tied,
}
