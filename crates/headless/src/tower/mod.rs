//! The tower face.
