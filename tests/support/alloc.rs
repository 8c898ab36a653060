//! An allocator that counts, for tests of allocations.
//!
//! The one file of the project with `unsafe`: a global allocator cannot be written without. Not a
//! part of `support`, since it would then count in every test: a test that counts includes it by
//! its path.
#![allow(unsafe_code, reason = "a counting allocator implements an unsafe trait")]
#![allow(dead_code, reason = "each test that includes it counts something else")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

/// The counts of one thread.
struct Counts {
    allocations: Cell<usize>,
    frees: Cell<usize>,
    /// Allocated less freed. Below zero where a thread frees what others allocated.
    bytes: Cell<isize>,
}

thread_local! {
    static COUNTS: Counts = const {
        Counts { allocations: Cell::new(0), frees: Cell::new(0), bytes: Cell::new(0) }
    };
}

fn count(allocated: Option<usize>, freed: Option<usize>) {
    // `try_with`: the allocator is called while a thread's locals are torn down, too.
    let _gone = COUNTS.try_with(|counts| {
        let (more, less) = (allocated.unwrap_or(0), freed.unwrap_or(0));
        counts
            .allocations
            .set(counts.allocations.get() + usize::from(allocated.is_some()));
        counts.frees.set(counts.frees.get() + usize::from(freed.is_some()));
        counts
            .bytes
            .set(counts.bytes.get() + more.cast_signed() - less.cast_signed());
    });
}

// SAFETY: passes every call to the system's allocator unchanged, and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(Some(layout.size()), None);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(None, Some(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(Some(size), Some(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations that `work` made on this thread.
pub fn allocations(work: impl FnOnce()) -> usize {
    let before = so_far();
    work();
    so_far() - before
}

/// Returns the number of allocations of this thread so far.
pub fn so_far() -> usize {
    COUNTS.with(|counts| counts.allocations.get())
}

/// Returns the number of frees of this thread so far, also of other threads' allocations.
pub fn frees_so_far() -> usize {
    COUNTS.with(|counts| counts.frees.get())
}

/// Returns the bytes that this thread has allocated, less those that it has freed.
pub fn live_bytes() -> isize {
    COUNTS.with(|counts| counts.bytes.get())
}
