use bucketdb::simulation::PlantedBug;

/// Every bug that can be planted.
const BUGS: [PlantedBug; 44] = [
    PlantedBug::AnswerBeforePut,
    PlantedBug::SkipValidation,
    PlantedBug::NextSlotWhileOpen,
    PlantedBug::TakenIsFailure,
    PlantedBug::TrustClock,
    PlantedBug::ReuseCommitId,
    PlantedBug::MissRangeRead,
    PlantedBug::DropChainCheck,
    PlantedBug::ApplyTwice,
    PlantedBug::TakenRenewsWindow,
    PlantedBug::NoWindow,
    PlantedBug::RepeatRenewsWindow,
    PlantedBug::SessionDecidesHolder,
    PlantedBug::MoveAbandoned,
    PlantedBug::ForgottenIsNotCommitted,
    PlantedBug::EarlyRefusal,
    PlantedBug::ForbiddenIsFinal,
    PlantedBug::ListingWithoutRun,
    PlantedBug::ReadBelowFloor,
    PlantedBug::DeleteAtOnce,
    PlantedBug::SweepFirst,
    PlantedBug::HeadWithoutCheck,
    PlantedBug::AcceptStaleCheckpoint,
    PlantedBug::NoTailLimit,
    PlantedBug::DeadlineByWallClock,
    PlantedBug::FloorIgnored,
    PlantedBug::LoadUnnoticed,
    PlantedBug::LoadBelowAll,
    PlantedBug::StaleIndexEntry,
    PlantedBug::UnbuiltIndex,
    PlantedBug::UniqueUnchecked,
    PlantedBug::EndedByLocalClock,
    PlantedBug::WriteByWrongClock,
    PlantedBug::NameForgotten,
    PlantedBug::BlobShared,
    PlantedBug::BlobReleasedUnseen,
    PlantedBug::BlobForgotten,
    PlantedBug::BranchForgotten,
    PlantedBug::BranchUnnoticed,
    PlantedBug::BranchRemovesParents,
    PlantedBug::DropForgotten,
    PlantedBug::DropAtOnce,
    PlantedBug::BackupUnpinned,
    PlantedBug::RestoreUngated,
];

/// The names of all bugs that can be planted.
pub fn bug_names() -> impl Iterator<Item = String> {
    BUGS.iter().map(|bug| format!("{bug:?}"))
}

/// A bug by its name, in whatever case.
#[must_use]
pub fn bug_by_name(name: &str) -> Option<PlantedBug> {
    let plain = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    BUGS.into_iter().find(|bug| plain(&format!("{bug:?}")) == plain(name))
}
