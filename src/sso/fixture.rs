//! What the door's tests have in common.
