//! Whose message is it? Request-ids with the gateway's suffixes.

/// Suffixes under which the gateway stores steps and follow-ups of a request (fact sheet wpg d.3).
/// `-deposit` may carry a number: `-deposit:2`.
const SUFFIXES: [&str; 10] = [
    "-get-url",
    "-pending-debit",
    "-pending-credit",
    "-refund-request",
    "-request-checkout",
    "-purchase",
    "-authorization",
    "-debit-return",
    "-credit-return",
    "-deposit",
];

/// The request-id without one known suffix; `None` where it ends in none. Ids are never cut at a bare
/// `-`: they are UUIDs themselves.
pub fn strip_suffix(request_id: &str) -> Option<&str> {
    let unnumbered = match request_id.rsplit_once(':') {
        Some((head, number))
            if head.ends_with("-deposit") && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            head
        }
        _ => request_id,
    };
    let bare = SUFFIXES.iter().find_map(|suffix| unnumbered.strip_suffix(suffix))?;
    (!bare.is_empty()).then_some(bare)
}

/// The ids to ask for besides the bare one, by the payment's method. Wire transfers are stored only
/// under suffixed ids; other methods leave their steps there.
pub fn suffixes_to_ask(method: Option<&str>) -> &'static [&'static str] {
    match method {
        Some("wiretransfer") => &["-authorization", "-deposit"],
        Some("ideal" | "alipay-xborder" | "wechat-qrpay" | "alipay-qrpay") => &["-get-url"],
        Some("sepadirectdebit") => &["-pending-debit", "-debit-return"],
        Some("sepacredit") => &["-pending-credit", "-credit-return"],
        Some("masterpass" | "paylib" | "visa-checkout") => &["-request-checkout", "-purchase"],
        Some("przelewy24" | "paydirekt" | "zapp") => &["-refund-request"],
        Some(_) => &[],
        // The payer chooses on the payment page: the steps most methods leave.
        None => &["-get-url", "-pending-debit", "-authorization"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_suffixes_are_cut() {
        for (id, bare) in [
            ("r-1-get-url", Some("r-1")),
            ("32422d37-114a-657e-5403-a6b920d06c1c", None),
            ("r-deposit", Some("r")),
            ("r-deposit:2", Some("r")),
            ("r-deposit:", None),
            ("r-deposit:x", None),
            ("r-authorization", Some("r")),
            ("r-debit", None),
            ("-purchase", None),
        ] {
            assert_eq!(strip_suffix(id), bare, "{id}");
        }
    }
}
