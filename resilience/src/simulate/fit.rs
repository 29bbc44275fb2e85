//! Numbers that hold a budget.
