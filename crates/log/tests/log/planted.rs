//! Each rule of upkeep, taken out, makes a test fail that is about it.

use bucketdb_log::planted::{PlantedBug, plant};

use crate::{checkpoints, deletion, upkeep_model, upkeep_races};

#[test]
fn tests_fail_where_a_rule_is_missing() {
    let model = upkeep_model::whatever_is_done_for_upkeep_the_state_stays;
    let cases: [(PlantedBug, fn()); 12] = [
        (PlantedBug::DeleteAtOnce, model),
        (PlantedBug::DeleteAtOnce, deletion::what_is_superfluous_goes_after_the_grace_and_not_before),
        (PlantedBug::DeleteAtOnce, upkeep_races::upkeep_beside_writers_loses_nothing),
        (PlantedBug::SweepFirst, model),
        (PlantedBug::SweepFirst, deletion::a_checkpoint_that_is_late_by_a_sweep_is_invalid),
        (
            PlantedBug::HeadWithoutCheck,
            checkpoints::a_head_from_before_the_log_was_set_back_does_not_hide_what_is_there,
        ),
        (
            PlantedBug::HeadWithoutCheck,
            checkpoints::a_head_that_is_stale_foreign_or_spoilt_is_passed_over_and_then_replaced,
        ),
        (PlantedBug::AcceptStaleCheckpoint, model),
        (PlantedBug::AcceptStaleCheckpoint, checkpoints::of_two_that_make_a_checkpoint_at_the_same_time_one_does),
        (PlantedBug::NoTailLimit, deletion::over_the_hard_limit_only_what_helps_is_written),
        (PlantedBug::DeadlineByWallClock, deletion::a_wrong_clock_deletes_nothing_early),
        (PlantedBug::FloorIgnored, deletion::only_what_lies_below_the_floor_goes),
    ];
    for (index, (bug, test)) in cases.into_iter().enumerate() {
        plant(Some(bug));
        let outcome = std::panic::catch_unwind(test);
        plant(None);
        assert!(outcome.is_err(), "{bug:?}, case {index}, went unseen");
    }
}
