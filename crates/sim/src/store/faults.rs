use std::time::Duration;

/// What goes wrong, and how often: probabilities are per request. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// An error before anything is done: 500, 503, 429 or 409, all of them transient.
    pub fail_before: f64,
    /// The request takes effect, and the answer is an error or a lost connection.
    pub fail_after: f64,
    /// The request never arrives and nobody answers.
    pub lose_request: f64,
    /// The request takes effect and nobody answers.
    pub lose_answer: f64,
    /// The request arrives late, by up to [`longest_delay`](Self::longest_delay).
    pub delay: f64,
    /// The request arrives again later, by up to [`longest_delay`](Self::longest_delay).
    pub duplicate: f64,
    /// How late a delayed or repeated request may arrive.
    pub longest_delay: Duration,
    /// "Forbidden", once, although the credentials are right. Nothing is done.
    pub deny: f64,
    /// A listing may show the state of up to this long ago.
    pub list_lag: Duration,
    /// A create overwrites what is there and says that it created it: a store that does not keep its promise.
    pub lie: f64,
}

/// Which way requests of a process get lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reach {
    /// None.
    #[default]
    Whole,
    /// Connections are refused at once.
    Refused,
    /// Requests vanish.
    NoRequests,
    /// Requests arrive, answers vanish.
    NoAnswers,
    /// The credentials have expired: everything is forbidden.
    Denied,
}
