//! Portable connectors. Each is one file (or one folder) with a `Config` that the pipeline file shows and
//! a `build` that makes the [`Source`](cloakroom_pipeline::Source) or [`Sink`](cloakroom_pipeline::Sink).
//!
//! A new connector: one file here, one line below, one variant in the program's registry, one test that
//! calls the contract suite.

pub mod context;
pub mod prefetch;
pub mod sinks;
pub mod sources;
pub mod tls;
