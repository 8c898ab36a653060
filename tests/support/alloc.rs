//! An allocator that counts, for the tests that say what allocates nothing, or how much.
//!
//! The one file of the project with `unsafe`: a global allocator cannot be written without. Not a part of `support`, since it would
//! then count in every test: a test that counts includes it by its path.
#![allow(unsafe_code, reason = "a counting allocator implements an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // `try_with`: the allocator is called while a thread's locals are torn down, too.
    let _gone = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: hands every call on to the system's allocator unchanged, and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations of this thread `work` made.
pub fn allocations(work: impl FnOnce()) -> usize {
    let before = so_far();
    work();
    so_far() - before
}

/// How many allocations this thread has made so far.
pub fn so_far() -> usize {
    ALLOCATIONS.get()
}
