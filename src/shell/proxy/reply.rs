//! The few answers that are the proxy's own. Each closes the connection and says that it is not the gateway's.

/// Seconds after which a shop may come again.
const RETRY_AFTER_S: u32 = 30;

/// An answer of the proxy's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Two servers could read the request in two ways; nothing was sent.
    Refused(String),
    /// The request did not come whole in time; nothing was sent.
    Incomplete,
    /// Too long to be kept, and `fail-closed`; nothing was sent.
    TooLong,
    /// It can't be kept, and `fail-closed`; nothing was sent.
    NotKept(String),
    /// No connection to the gateway: nothing was sent.
    NotSent(String),
    /// The request was sent, and no answer came that could be passed on.
    OutcomeUnknown(String),
    /// The request was sent, and the gateway was silent.
    Silent(u128),
}

impl Reply {
    fn status(&self) -> (&'static str, bool) {
        match self {
            Reply::Refused(_) => ("400 Bad Request", false),
            Reply::Incomplete => ("408 Request Timeout", false),
            Reply::TooLong => ("413 Content Too Large", false),
            Reply::NotKept(_) => ("503 Service Unavailable", true),
            Reply::NotSent(_) => ("502 Bad Gateway", true),
            Reply::OutcomeUnknown(_) => ("502 Bad Gateway", false),
            Reply::Silent(_) => ("504 Gateway Timeout", false),
        }
    }

    fn text(&self) -> String {
        match self {
            Reply::Refused(why) => format!("{why}; nothing was sent"),
            Reply::Incomplete => "the request did not arrive whole in time; nothing was sent".into(),
            Reply::TooLong => "the request is too long to be recorded; nothing was sent".into(),
            Reply::NotKept(why) => format!("{why}; nothing was sent, send it again later"),
            Reply::NotSent(why) => format!("the gateway can't be reached ({why}); nothing was sent"),
            Reply::OutcomeUnknown(why) => format!("{why}; the request was sent and its outcome is unknown"),
            Reply::Silent(ms) => {
                format!("the gateway was silent for {ms} ms; the request was sent and its outcome is unknown")
            }
        }
    }

    /// The whole answer. `Retry-After` only where sending again is safe.
    pub fn bytes(&self) -> Vec<u8> {
        let (status, is_safe_again) = self.status();
        let text = format!("reconciled: {}\n", self.text());
        let again = if is_safe_again { format!("Retry-After: {RETRY_AFTER_S}\r\n") } else { String::new() };
        let length = text.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
             {again}Connection: close\r\n\r\n{text}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_our_own_says_whether_anything_was_sent() {
        let text = |reply: Reply| String::from_utf8(reply.bytes()).expect("text");
        let not_sent = text(Reply::NotSent("connection refused".into()));
        assert!(not_sent.starts_with("HTTP/1.1 502 Bad Gateway\r\n") && not_sent.contains("Retry-After: 30\r\n"));
        assert!(
            not_sent
                .ends_with("\r\n\r\nreconciled: the gateway can't be reached (connection refused); nothing was sent\n")
        );
        let silent = text(Reply::Silent(120_000));
        assert!(silent.starts_with("HTTP/1.1 504 ") && !silent.contains("Retry-After"), "a retry might pay twice");
        for reply in [Reply::Refused("x".into()), Reply::Incomplete, Reply::TooLong, Reply::OutcomeUnknown("y".into())]
        {
            let text = text(reply);
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(
                head.contains(&format!("Content-Length: {}\r\n", body.len())) && head.contains("Connection: close")
            );
        }
    }
}
