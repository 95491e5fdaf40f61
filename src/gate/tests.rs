//! The gate's behaviour before a scripted authority. Time stands still unless a test moves it.

pub(in crate::gate) mod fixture;

mod cache;
mod decision;
mod sessions;
mod spellings;
mod trouble;
