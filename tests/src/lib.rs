//! The proof of the house: a simulator, checkers for the delivery contract and the laws, and experiments.

pub mod chaos;
pub mod check;
pub mod glomers;
pub mod heap;
pub mod lab;
pub mod plumtree;
pub mod sim;
pub mod swim;
