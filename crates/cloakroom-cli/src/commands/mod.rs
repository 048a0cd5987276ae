//! One file per command.

pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod plan;
pub(crate) mod protect;
pub(crate) mod reveal;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod sample;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod shell;
pub(crate) mod status;
