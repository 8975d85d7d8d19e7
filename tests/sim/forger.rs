//! The stranger on the road: he holds genuine messages and knows ids, but no secret.

use reconciled::sandbox::prng::Prng;
use reconciled::words::id::MerchantName;

/// Genuine messages he remembers.
const HELD_MAX: usize = 64;

#[derive(Default)]
pub struct Forger {
    held: Vec<(MerchantName, String, Vec<u8>)>,
}

/// What he sends.
pub struct Forged {
    pub merchant: MerchantName,
    pub body: Vec<u8>,
    /// Byte for byte what the gateway once sent to this account.
    pub is_replay: bool,
}

impl Forger {
    /// He sees a genuine message go by.
    pub fn sees(&mut self, merchant: &MerchantName, request_id: &str, body: &[u8], prng: &mut Prng) {
        let seen = (merchant.clone(), request_id.to_owned(), body.to_vec());
        if self.held.len() < HELD_MAX {
            self.held.push(seen);
        } else {
            let at = prng.below(HELD_MAX as u64) as usize;
            self.held[at] = seen;
        }
    }

    /// One message, made of one he holds.
    pub fn sends(&self, accounts: &[MerchantName], prng: &mut Prng) -> Option<Forged> {
        if self.held.is_empty() {
            return None;
        }
        let (merchant, request_id, body) = prng.pick(&self.held).clone();
        let other = prng.pick(&self.held).1.clone();
        let text = String::from_utf8_lossy(&body).into_owned();
        let forged = |merchant, text: String| Some(Forged { merchant, body: text.into_bytes(), is_replay: false });
        match prng.below(7) {
            0 | 1 => Some(Forged { merchant, body, is_replay: true }),
            // To another account.
            2 => forged(prng.pick(accounts).clone(), text),
            // Under another payment's id.
            3 => forged(merchant, text.replace(&request_id, &other)),
            4 => forged(merchant, altered_digit(&text, prng)),
            5 => forged(merchant, shifted_border(&text, prng)),
            // A field said twice.
            _ => forged(merchant, format!("{text}&amount=1.00&requested_amount=1.00")),
        }
    }
}

/// One digit is another one.
fn altered_digit(text: &str, prng: &mut Prng) -> String {
    let digits: Vec<usize> = text.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()).map(|(at, _)| at).collect();
    if digits.is_empty() {
        return text.to_owned();
    }
    let at = *prng.pick(&digits);
    let digit = text.as_bytes()[at] - b'0';
    let other = (digit + 1 + prng.below(9) as u8) % 10;
    format!("{}{}{}", &text[..at], char::from(b'0' + other), &text[at + 1..])
}

/// The last character of one field goes to the front of the next: the digest over both stays.
fn shifted_border(text: &str, prng: &mut Prng) -> String {
    let mut fields: Vec<(String, String)> = text
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if fields.len() < 2 {
        return text.to_owned();
    }
    let at = prng.below(fields.len() as u64 - 1) as usize;
    if let Some(last) = fields[at].1.pop() {
        fields[at + 1].1.insert(0, last);
    }
    fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}
