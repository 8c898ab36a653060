//! Tests that need to see inside: what the public API cannot show. The others are in `tests/`.

mod retired;
mod stress;
