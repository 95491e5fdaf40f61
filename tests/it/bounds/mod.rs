//! What is bounded, by attack: who may come from where and how often, how much at a time, and who may stand still for how long.

mod addresses;
mod floods;
mod methods;
mod overload;
mod preflight;
mod rates;
mod slow;
