use bucketdb::StoreReport;

/// What a store may be used for, in sentences.
pub(super) fn uses(report: &StoreReport) -> Vec<String> {
    let create_only = if report.create_only.is_honoured() {
        "several nodes may share a database here: of several writers to one position, one wins".to_owned()
    } else {
        "one node only (ring size 1), and never two processes that write: create-only writes keep several apart"
            .to_owned()
    };
    let if_match = if report.if_match.is_honoured() {
        "If-Match holds: shared pointers that make opening a long log cheaper are safe here".to_owned()
    } else {
        "without If-Match a database is safe all the same; opening a long log cannot be made cheaper by shared pointers"
            .to_owned()
    };
    vec![create_only, if_match]
}

#[cfg(test)]
mod tests {
    use bucketdb::Verdict;

    use super::*;

    #[test]
    fn several_nodes_need_create_only() {
        let report = |create_only, if_match| StoreReport { create_only, if_match };
        let both = uses(&report(Verdict::Honoured, Verdict::Honoured));
        assert!(both[0].starts_with("several nodes") && both[1].starts_with("If-Match holds"));
        let none = uses(&report(Verdict::Ignored("x".to_owned()), Verdict::Absent("y".to_owned())));
        assert!(none[0].starts_with("one node only") && none[1].starts_with("without If-Match"));
    }
}
