//! Roles compiled to automata (to be written).
