//! Where records are kept.

pub mod elasticsearch;
pub mod file;
mod key;
pub mod postgres;
pub mod sqlite;
pub mod text;
