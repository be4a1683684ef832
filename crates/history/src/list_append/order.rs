use crate::History;
use crate::list_append::dependencies::Connector;
use crate::list_append::graph::Kind;

/// Says that what ended before something else began comes before it.
///
/// All that ended before a moment come before all that begin after it, so a chain of moments, one wherever something
/// begins after something ended, needs two edges for each transaction instead of one for each pair. What ends just when
/// something begins is concurrent with it. What nobody acknowledged has no end.
pub(super) fn real_time(history: &History, connector: &mut Connector) {
    let mut events = Vec::with_capacity(2 * history.0.len());
    for (at, transaction) in history.0.iter().enumerate().filter(|(at, _)| connector.has(*at)) {
        events.push((transaction.start, Event::Start, at));
        if transaction.is_ok() {
            events.push((transaction.end.max(transaction.start), Event::End, at));
        }
    }
    events.sort_unstable();
    let mut ended = Vec::new();
    let mut moment = None;
    for (_, event, at) in events {
        if event == Event::End {
            ended.push(at);
            continue;
        }
        if !ended.is_empty() {
            let next = connector.helper();
            if let Some(moment) = moment {
                connector.exit(moment, next);
            }
            ended.drain(..).for_each(|ended| connector.order(ended, next, Kind::RealTime));
            moment = Some(next);
        }
        if let Some(moment) = moment {
            connector.exit(moment, at);
        }
    }
}

/// Starts sort before ends of the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Start,
    End,
}

/// Says that the transactions of a process come one after the other.
///
/// What nobody acknowledged may still happen while the process goes on, so nothing comes after it.
pub(super) fn process(history: &History, connector: &mut Connector) {
    let begun = |(at, transaction): (usize, &crate::Transaction)| (transaction.process, transaction.start, at);
    let mut order: Vec<_> = history.0.iter().enumerate().map(begun).filter(|(.., at)| connector.has(*at)).collect();
    order.sort_unstable();
    let mut last: Option<(usize, &crate::Transaction)> = None;
    for (_, _, at) in order {
        let Some(transaction) = history.0.get(at) else { continue };
        last = last.filter(|(_, last)| last.process == transaction.process);
        if let Some((before, _)) = last.filter(|(_, last)| last.end <= transaction.start) {
            connector.order(before, at, Kind::Process);
        }
        if transaction.is_ok() {
            last = Some((at, transaction));
        }
    }
}
