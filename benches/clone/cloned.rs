//! [`cloned`]: the operation that is measured.

use std::sync::Arc;

use headless_benches::harness::micro::{Micro, repeated};

/// Clones the value of `make`, and drops the clone.
pub fn cloned<T: Clone + Send + Sync + 'static>(name: &'static str, make: impl AsyncFn() -> T + 'static) -> Micro {
    Micro::shared(name, move |runtime| {
        let original = Arc::new(runtime.block_on(make()));
        // WHY kept: the tasks that run on it are part of the original.
        let runtime = Arc::clone(runtime);
        repeated(move || {
            let _keep = &runtime;
            T::clone(&original)
        })
    })
}
