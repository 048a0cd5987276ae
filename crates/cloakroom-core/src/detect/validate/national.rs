//! The numbers that countries give to people and companies: one file a country, by its ISO 3166 code.

pub(super) mod us;
