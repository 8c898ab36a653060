#!/bin/sh
# rustdoc of the installed toolchain, with its unstable options: `documentation.rs` says what for.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
