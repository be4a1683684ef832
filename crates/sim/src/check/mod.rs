//! What must hold at the end of a run, whatever happened in it.

mod agreement;
mod beside;
mod black_box;
mod outcomes;
mod reads;
mod storage;
mod transactions;
mod truth;
mod violation;

pub(crate) use agreement::{check_followers, check_states, check_tickets, expected_of};
pub(crate) use beside::{check_backups, check_successors};
pub(crate) use black_box::{check_black_box, history_of};
pub(crate) use outcomes::{check_outcomes, check_validity};
pub(crate) use reads::check_reads;
pub(crate) use storage::{check_checkpoints, check_expiry, check_layout, check_leftovers, check_verification};
pub(crate) use transactions::check_transactions;
pub(crate) use truth::{Row, Truth};
pub use violation::Violation;
