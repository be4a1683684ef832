use bucketdb_driver::{DriverError, ErrorKind, Operation};
use redis::{RedisError, ServerErrorKind};

/// What an error of the redis crate means, and how to say it.
pub(crate) fn driver_error(operation: Operation, subject: &str, error: RedisError) -> DriverError {
    let (kind, detail) = classify(&error);
    DriverError::new(kind, operation, subject, detail).with_source(error)
}

/// Whether the server answered that it did not run the command, for a reason that passes soon. Only then may a
/// command be sent again: an error of the connection leaves open whether it ran.
pub(crate) fn was_not_run(error: &RedisError) -> bool {
    match error.kind() {
        redis::ErrorKind::ClusterConnectionNotFound => true,
        redis::ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        ),
        _ => false,
    }
}

fn classify(error: &RedisError) -> (ErrorKind, &'static str) {
    use redis::ErrorKind as Redis;

    // An error inside MULTI is reported as one of EXEC; the reason is the error of the command.
    if error.kind() == Redis::Server(ServerErrorKind::ExecAbort)
        && let Some((_, first)) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first)
        && first.kind() != Some(ServerErrorKind::ExecAbort)
    {
        return classify_answer(first.code(), first.details().unwrap_or_default());
    }
    match error.kind() {
        Redis::Server(_) | Redis::Extension => {
            classify_answer(error.code().unwrap_or_default(), error.detail().unwrap_or_default())
        }
        Redis::AuthenticationFailed => (ErrorKind::Denied, WRONG_CREDENTIALS),
        // The cluster client wraps the reason why it found no node into a text.
        Redis::Io if error.detail().is_some_and(speaks_of_credentials) => (ErrorKind::Denied, WRONG_CREDENTIALS),
        Redis::InvalidClientConfig | Redis::Client | Redis::RESP3NotSupported => {
            (ErrorKind::Permanent, "the client refused the request")
        }
        Redis::ClusterConnectionNotFound => (ErrorKind::Transient, "no node of the cluster could be reached"),
        _ if error.is_connection_refusal() => (ErrorKind::Transient, "the server cannot be reached"),
        _ => (ErrorKind::Transient, "there was no answer"),
    }
}

const WRONG_CREDENTIALS: &str = "the server refused the user name or password";

fn speaks_of_credentials(detail: &str) -> bool {
    ["AuthenticationFailed", "NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|word| detail.contains(word))
}

/// Classifies an error that the server answered with, by its code. Anything unknown counts as passing, because that
/// claims least.
fn classify_answer(code: &str, detail: &str) -> (ErrorKind, &'static str) {
    match code {
        "NOAUTH" => (ErrorKind::Denied, "the server asks for a password"),
        "WRONGPASS" => (ErrorKind::Denied, WRONG_CREDENTIALS),
        "NOPERM" => (ErrorKind::Denied, "the user lacks permission for a command or key"),
        "OOM" => (ErrorKind::NoSpace, "the server has reached its memory limit"),
        "WRONGTYPE" => (ErrorKind::Permanent, "a Redis key of the store has been overwritten by something else"),
        "MOVED" | "ASK" => (
            ErrorKind::Transient,
            "the cluster is moving slots, or the server belongs to a cluster: then connect to it as one",
        ),
        "CROSSSLOT" | "NOSCRIPT" => (ErrorKind::Permanent, "the server cannot run the driver's scripts"),
        // Servers before version 7 wrap errors inside scripts, and some errors have no code of their own.
        "ERR" if detail.contains("-OOM ") => (ErrorKind::NoSpace, "the server has reached its memory limit"),
        "ERR" if detail.contains("user executing the script") => {
            (ErrorKind::Denied, "the user lacks permission for a command or key")
        }
        "ERR" if detail.contains("max number of clients") => (ErrorKind::Transient, "the server has too many clients"),
        "ERR" if detail.contains("killed by user") => (ErrorKind::Transient, "the script was killed"),
        "ERR" => (ErrorKind::Permanent, "the server refused the command"),
        "LOADING" => (ErrorKind::Transient, "the server is still loading its data"),
        "READONLY" => (ErrorKind::Transient, "the server has become a replica"),
        "CLUSTERDOWN" => (ErrorKind::Transient, "the cluster is down"),
        "TRYAGAIN" => (ErrorKind::Transient, "the cluster is moving the object to another node"),
        "MISCONF" => (ErrorKind::Transient, "the server cannot write to its disk"),
        "NOREPLICAS" => (ErrorKind::Transient, "the server has fewer replicas than it asks for"),
        "BUSY" => (ErrorKind::Transient, "the server is running a script that does not end"),
        _ => (ErrorKind::Transient, "the server answered with an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    fn kind_of(line: &str) -> ErrorKind {
        driver_error(Operation::Put, "a", answered(line)).kind()
    }

    #[test]
    fn answers_mean_what_the_contract_says() {
        for (line, kind) in [
            ("NOAUTH Authentication required.", ErrorKind::Denied),
            ("WRONGPASS invalid username-password pair or user is disabled.", ErrorKind::Denied),
            ("NOPERM this user has no permissions to run the 'get' command", ErrorKind::Denied),
            ("OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::NoSpace),
            ("ERR Error running script (call to f_1): @user_script:4: -OOM command not allowed", ErrorKind::NoSpace),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", ErrorKind::Permanent),
            ("ERR unknown command 'EVALSHA'", ErrorKind::Permanent),
            ("LOADING Redis is loading the dataset in memory", ErrorKind::Transient),
            ("MOVED 3999 127.0.0.1:6381", ErrorKind::Transient),
            ("READONLY You can't write against a read only replica.", ErrorKind::Transient),
            ("SOMETHING new", ErrorKind::Transient),
        ] {
            assert_eq!(kind_of(line), kind, "{line}");
        }
    }

    /// The test for repeating: a lost connection or a time-out must never be in it.
    #[test]
    fn only_what_did_not_run_is_sent_again() {
        for line in ["MOVED 1 a:1", "ASK 1 a:1", "TRYAGAIN x", "CLUSTERDOWN x", "LOADING x", "READONLY x"] {
            assert!(was_not_run(&answered(line)), "{line}");
        }
        for line in ["OOM x", "ERR x", "NOAUTH x", "SOMETHING x"] {
            assert!(!was_not_run(&answered(line)), "{line}");
        }
        for kind in
            [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::TimedOut, std::io::ErrorKind::ConnectionRefused]
        {
            let error = RedisError::from(std::io::Error::from(kind));
            assert!(!was_not_run(&error), "{kind}");
            assert!(driver_error(Operation::Put, "a", error).is_transient(), "{kind}");
        }
    }
}
