//! What the reply to a back-end operation that moves money says (fact sheet checkout b.3, g). For such operations
//! "retry later" always means: ask first. So whatever leaves a doubt is unknown.

use super::backend::{self, Class, NoReply, class};
use super::field::Grammar;
use crate::core::operation::Outcome;
use crate::wire::form::shown;

/// What a reply says, and the number of what it made (`paymentNumber`, `creditNumber` or `orderNumber`).
pub fn outcome(http_status: u16, body: &[u8]) -> (Outcome, Option<String>) {
    let reply = match backend::read_reply(http_status, body) {
        Ok(reply) => reply,
        Err(NoReply::Refused { why }) => return (Outcome::Refused { why }, None),
        Err(NoReply::Unavailable { why }) => return (Outcome::Unknown { why }, None),
    };
    if reply.status == 0 {
        let made = ["paymentNumber", "creditNumber", "orderNumber"].into_iter().find_map(|name| {
            let number = reply.form.get(name).filter(|number| Grammar::OrderNumber.accepts(number))?;
            Some((name, number.to_owned()))
        });
        let text = made.as_ref().map(|(name, number)| format!(", {name} {number}")).unwrap_or_default();
        return (Outcome::Executed { how: format!("the gateway answered status 0{text}") }, made.map(|made| made.1));
    }
    let codes = reply.error_codes();
    let told: Vec<String> = codes.iter().map(|code| shown(code)).collect();
    let why = match told.is_empty() {
        true => format!("status {} without an error code", reply.status),
        false => format!("status {}, error {}", reply.status, told.join(", ")),
    };
    let decides = |code: &&str| matches!(class(code), Class::Operator | Class::Declined);
    let is_refused = matches!(reply.status, 1 | 2) && !codes.is_empty() && codes.iter().all(decides);
    (if is_refused { Outcome::Refused { why } } else { Outcome::Unknown { why } }, None)
}

/// One bank of getFinancialInstitutions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bank {
    pub id: String,
    pub name: String,
}

/// Banks of one reply; the longest published list has some hundred.
const BANKS_MAX: usize = 2_000;

/// Reads the reply to getFinancialInstitutions. An `Err` says why there is no list.
pub fn financial_institutions(http_status: u16, body: &[u8]) -> Result<Vec<Bank>, String> {
    let reply = backend::read_reply(http_status, body).map_err(|why| why.to_string())?;
    if reply.status != 0 {
        let codes: Vec<String> = reply.error_codes().into_iter().map(shown).collect();
        return Err(format!("status {}, error {}", reply.status, codes.join(", ")));
    }
    let of = |n: usize, part: &str| reply.form.get(&format!("financialInstitution.{n}.{part}")).map(str::to_owned);
    let bank = |n: usize| {
        let id = of(n, "id")?;
        Some(Bank { name: of(n, "name").unwrap_or_default(), id })
    };
    Ok((1..=BANKS_MAX).map_while(bank).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_is_an_outcome() {
        for (status, body, expected, number) in [
            (200, "status=0&paymentNumber=123", "executed", Some("123")),
            (200, "status=0", "executed", None),
            (200, "status=0&creditNumber=x", "executed", None),
            (200, "status=1&errors=1&error.1.errorCode=11011", "refused", None),
            (200, "status=1&errorCode=30015", "refused", None),
            (200, "status=2&errors=1&error.1.errorCode=20003", "refused", None),
            (200, "status=1&error.1.errorCode=13050", "unknown", None),
            (200, "status=2&error.1.errorCode=20010", "unknown", None),
            (200, "status=3&error.1.errorCode=30012", "unknown", None),
            (200, "status=3&error.1.errorCode=20003", "unknown", None),
            (200, "status=1", "unknown", None),
            (200, "status=4", "unknown", None),
            (200, "status=9", "unknown", None),
            (200, "", "unknown", None),
            (200, "status=0&status=1", "unknown", None),
            (500, "status=0", "unknown", None),
            (403, "", "refused", None),
        ] {
            let (said, made) = outcome(status, body.as_bytes());
            assert_eq!((said.name(), made.as_deref()), (expected, number), "{status} {body}: {}", said.text());
        }
    }

    #[test]
    fn banks_are_listed_in_their_order() {
        let body = b"status=0&financialInstitutions=2&financialInstitution.1.id=ARZ-AB&financialInstitution.1.name=A+B\
            &financialInstitution.2.id=BA-CA&financialInstitution.2.name=C";
        let listed = financial_institutions(200, body).expect("a list");
        let names: Vec<(&str, &str)> = listed.iter().map(|bank| (bank.id.as_str(), bank.name.as_str())).collect();
        assert_eq!(names, [("ARZ-AB", "A B"), ("BA-CA", "C")]);
        assert!(financial_institutions(200, b"status=1&error.1.errorCode=11051").is_err());
    }
}
