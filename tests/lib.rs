//! Shared by the scenario tests.
