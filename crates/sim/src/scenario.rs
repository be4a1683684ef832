use bucketdb::simulation::{PlantedBug, plant, set_remembered_positions};
use futures::future::BoxFuture;

use crate::scenarios::{backups, blobs, branches, commits, drops, reads, removal, sessions, storage, transactions};
use crate::stage::{Outcome, Stage};
use crate::{Executor, Limits};

/// One interleaving that a rule of the protocol is there for, told step by step; without the rule it ends in a wrong
/// answer.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The rule, as a sentence that holds.
    pub name: &'static str,
    /// What it looks like to take the rule out.
    pub bug: PlantedBug,
    play: fn(Stage) -> BoxFuture<'static, Outcome>,
}

macro_rules! scenario {
    ($bug:ident, $play:path, $name:literal) => {
        Scenario { name: $name, bug: PlantedBug::$bug, play: |stage| Box::pin($play(stage)) }
    };
}

/// A scenario for every rule that can be taken out.
pub const SCENARIOS: &[Scenario] = &[
    scenario!(AnswerBeforePut, commits::answered_when_stored, "a commit is acknowledged when the store has it"),
    scenario!(
        NextSlotWhileOpen,
        commits::one_slot_at_a_time,
        "after an unclear answer, the same bytes go to the same slot"
    ),
    scenario!(TakenIsFailure, commits::taken_by_ourselves, "a taken slot may be our own"),
    scenario!(ForbiddenIsFinal, commits::forbidden_after_unclear, "forbidden after an unclear answer decides nothing"),
    scenario!(SessionDecidesHolder, commits::cloned_machine, "the bytes decide whose record it is"),
    scenario!(DropChainCheck, commits::overwritten_record, "a record must continue the one before it"),
    scenario!(ApplyTwice, commits::read_before_answered, "a record takes effect once"),
    scenario!(EarlyRefusal, commits::refused_by_the_group, "a refusal waits for the member it rests on"),
    scenario!(MoveAbandoned, sessions::abandoned_stays, "a commit of unknown outcome never moves to another slot"),
    scenario!(ReuseCommitId, sessions::id_told_once, "the number of a commit of unknown outcome is not given again"),
    scenario!(ForgottenIsNotCommitted, sessions::forgotten, "what is forgotten is not said to have failed"),
    scenario!(SkipValidation, transactions::lost_update, "what a transaction read is validated"),
    scenario!(MissRangeRead, transactions::phantom, "ranges that a transaction read are validated"),
    scenario!(NoWindow, removal::late_create, "outside the window, a record that was created may not count"),
    scenario!(NoWindow, reads::stale_end, "outside the window, an empty slot is not the end"),
    scenario!(
        TrustClock,
        removal::late_create_with_clock_set_back,
        "the window is measured by more than the wall clock"
    ),
    scenario!(RepeatRenewsWindow, removal::repeated_create, "repeating a put does not renew the window"),
    scenario!(TakenRenewsWindow, removal::lost_races, "losing a slot does not renew the window"),
    scenario!(ReadBelowFloor, reads::feed_below_the_floor, "nothing below the floor is read"),
    scenario!(SweepFirst, storage::sweep_first, "what a sweep may have removed becomes part of no checkpoint"),
    scenario!(DeleteAtOnce, storage::grace_first, "what a checkpoint made superfluous stays for a grace"),
    scenario!(DeadlineByWallClock, storage::one_clock, "the grace is measured by one clock"),
    scenario!(HeadWithoutCheck, storage::restored_head, "a head that was set back is noticed"),
    scenario!(FloorIgnored, storage::floor_first, "no record is deleted that may still be read"),
    scenario!(NameForgotten, storage::name_is_kept, "what a snapshot with a name needs stays"),
    scenario!(BlobShared, blobs::one_document_each, "a blob belongs to one document"),
    scenario!(BlobReleasedUnseen, blobs::put_back, "a blob stays whose document refers to it again"),
    scenario!(BlobForgotten, blobs::kept_with_the_past, "a blob stays as long as a document of the past that has it"),
    scenario!(BranchForgotten, branches::what_it_shares_is_kept, "what a branch shares with its parent stays there"),
    scenario!(
        BranchUnnoticed,
        branches::created_meanwhile,
        "no checkpoint gives up what a branch began with meanwhile"
    ),
    scenario!(BranchRemovesParents, branches::removes_its_own_only, "a branch removes nothing of its parent's"),
    scenario!(
        DropForgotten,
        drops::never_beside_the_next,
        "what was on its way to a dropped database stays out of the next"
    ),
    scenario!(DropAtOnce, drops::records_stay_for_a_grace, "the log of a dropped database stays for a grace"),
    scenario!(
        DeadlineByWallClock,
        drops::one_clock,
        "the grace of a dropped database is measured by the store's clock"
    ),
    scenario!(BackupUnpinned, backups::what_it_copies_is_kept, "what a backup copies stays until it has it"),
    scenario!(RestoreUngated, backups::whole_or_no_database, "what was restored in part is no database"),
    scenario!(NoTailLimit, storage::bounded_tail, "the log does not grow without checkpoints"),
    scenario!(LoadUnnoticed, storage::load_counts_as_written, "what was bulk-loaded counts as written"),
    scenario!(
        LoadBelowAll,
        storage::load_is_in_order,
        "what was bulk-loaded lies between what was written before and after"
    ),
    scenario!(StaleIndexEntry, storage::index_is_exact, "an index says nothing of rows that were written since"),
    scenario!(UnbuiltIndex, storage::index_is_whole_first, "an index is used once it has all documents"),
    scenario!(UniqueUnchecked, storage::unique_among_all, "no two documents have the same value of a unique index"),
    scenario!(EndedByLocalClock, storage::ends_by_the_store, "documents end for good by the store's clock"),
    scenario!(WriteByWrongClock, storage::wrong_clocks_write_nothing, "a clock that is wrong decides no condition"),
];

impl Scenario {
    /// Plays it, with the rule or without it.
    ///
    /// # Errors
    /// The wrong answer that somebody got.
    pub fn play(&self, without_rule: bool) -> Result<(), String> {
        plant(without_rule.then_some(self.bug));
        set_remembered_positions(Some(sessions::REMEMBERED_POSITIONS));
        let executor = Executor::new(1, Limits::default());
        let stage = Stage::new(executor.scheduler());
        let outcome = executor.run((self.play)(stage));
        plant(None);
        set_remembered_positions(None);
        outcome.unwrap_or_else(|stuck| Err(stuck.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_holds_and_is_needed() {
        let mut wrong = Vec::new();
        for scenario in SCENARIOS {
            if let Err(error) = scenario.play(false) {
                wrong.push(format!("{:?}: {}: {error}", scenario.bug, scenario.name));
            }
            if scenario.play(true).is_ok() {
                wrong.push(format!("{:?}: {}: nothing goes wrong without the rule", scenario.bug, scenario.name));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
