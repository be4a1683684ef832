//! Documents as a script of SQL, for programs that load it.

mod dialect;
mod float;
mod names;
mod profile;
mod script;
mod text_forms;

pub(crate) use dialect::Dialect;
pub(crate) use profile::{Declared, Profiles};
pub(crate) use script::{Script, TablePlan, WantedIndex};
