//! Where records are kept.

pub mod file;
pub mod postgres;
pub mod sqlite;
pub mod text;
