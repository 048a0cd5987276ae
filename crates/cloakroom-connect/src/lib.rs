//! Portable connectors. Each is one file (or one folder) with a `Config` that the pipeline file shows and
//! a `build` that makes the [`Source`](cloakroom_pipeline::Source) or [`Sink`](cloakroom_pipeline::Sink).
//!
//! [`vault_transit`] is no connector: it wraps the root keys in a key file.
//!
//! A new connector: one file here, one line below, one variant in the program's registry, one test that
//! calls the contract suite.

mod http;
pub mod sinks;
pub mod sources;
pub mod tls;
pub mod vault_transit;
