//! Merchant accounts of every scheme, their payments, and the genuine messages about them that an attacker has seen.

use std::collections::BTreeMap;

use reconciled::core::account::{Account, Checkout, Contract, Product, Wpg};
use reconciled::core::message::{Message, Scheme, Status, Transaction};
use reconciled::wire::{Key, Keys, checkout, wpg};
use reconciled::words::id::MerchantName;
use reconciled::words::money::Amount;
use secrecy::SecretString;

/// An account of the test, and how its gateway signs.
#[derive(Clone, Copy)]
pub struct Shop {
    pub name: &'static str,
    pub scheme: Option<Scheme>,
    /// Another account whose transactions may belong to this one's payments.
    pub sibling: Option<&'static str>,
}

pub const OWN_ID: &str = "shopRequestId";

/// Every account has a secret of its own, but `json` and `json-3d` are one family.
pub const SHOPS: [Shop; 8] = [
    Shop { name: "json", scheme: Some(Scheme::JsonSigned), sibling: Some("json-3d") },
    Shop { name: "json-3d", scheme: Some(Scheme::JsonSigned), sibling: Some("json") },
    Shop { name: "xml", scheme: Some(Scheme::XmlDsig), sibling: None },
    Shop { name: "nvp", scheme: Some(Scheme::NvpV2), sibling: None },
    Shop { name: "open", scheme: None, sibling: None },
    Shop { name: "hmac", scheme: Some(Scheme::HmacSha512), sibling: None },
    Shop { name: "sha", scheme: Some(Scheme::Sha512), sibling: None },
    Shop { name: "md5", scheme: Some(Scheme::Md5), sibling: None },
];

impl Shop {
    pub fn is_checkout(&self) -> bool {
        matches!(self.scheme, Some(Scheme::HmacSha512 | Scheme::Sha512 | Scheme::Md5))
    }

    pub fn merchant(&self) -> MerchantName {
        MerchantName::new(self.name).expect("a name")
    }

    pub fn maid(&self) -> String {
        let at = SHOPS.iter().position(|shop| shop.name == self.name).expect("one of the shops");
        format!("11111111-2222-3333-4444-{at:0>12}")
    }

    pub fn secret(&self) -> String {
        format!("the-secret-of-{}-and-of-nobody-else", self.name)
    }

    pub fn account(&self) -> Account {
        let contract = match self.scheme {
            Some(algorithm) if self.is_checkout() => Contract::Checkout(Checkout {
                product: Product::Seamless,
                customer_id: "D299999".to_owned(),
                shop_id: None,
                algorithm,
                own_id_parameter: OWN_ID.to_owned(),
                can_ask: true,
            }),
            scheme => Contract::Wpg(Wpg {
                merchant_account_ids: vec![self.maid()],
                resolver_category: None,
                scheme,
                siblings: self.sibling.map(|name| MerchantName::new(name).expect("a name")).into_iter().collect(),
            }),
        };
        Account { name: self.merchant(), time_zone: "Europe/Vienna".to_owned(), contract }
    }

    /// The pin of `xml` allows SHA-1: an attacker has more to try.
    pub fn key(&self) -> Key {
        let pin = wpg::pin_from_pem(include_str!("../keys/wpg-gateway.crt")).expect("a pin").allowing_sha1();
        Key {
            secret: SecretString::from(self.secret()),
            user: Some("user".to_owned()),
            password: Some(SecretString::from("password".to_owned())),
            pins: if self.scheme == Some(Scheme::XmlDsig) { vec![pin] } else { Vec::new() },
        }
    }

    /// Reads a body as the daemon does.
    pub fn read(&self, body: &[u8], key: &Key) -> Option<Message> {
        if self.is_checkout() {
            let reading = checkout::Reading {
                algorithm: self.scheme,
                secret: Some(key.secret_bytes()),
                own_id_parameter: Some(OWN_ID),
            };
            checkout::decode(body, &reading).ok()
        } else {
            wpg::decode(body, Some(key)).ok()
        }
    }
}

pub fn keys() -> Keys {
    SHOPS.iter().map(|shop| (shop.merchant(), shop.key())).collect()
}

/// One genuine message, as sent to the shop at `SHOPS[shop]`.
pub struct Genuine {
    pub shop: usize,
    pub body: String,
    pub message: Message,
}

/// The request-ids of one shop's payments: what became of each is in [`said`]. Of the last nothing was heard.
pub fn request_ids(shop: &Shop) -> [String; 5] {
    ["paid", "failed", "held", "pending", "silent"].map(|life| format!("{}-{life}-7f3a", shop.name))
}

/// What a payment is about: each costs something else.
pub fn amount(shop: &Shop, request_id: &str) -> Amount {
    let cents = (shop.name.len() * 7 + request_id.len() * 131) % 100;
    Amount::parse(&format!("{}.{cents:02}", 10 + request_id.len()), "EUR").expect("money")
}

/// The gateway's word on a payment of a `wpg` account; `None` where it has none yet.
pub fn said(shop: &Shop, request_id: &str) -> Option<Transaction> {
    let (kind, state) = match request_id.split('-').rev().nth(1)? {
        "paid" => ("purchase", "success"),
        "failed" => ("purchase", "failed"),
        "held" => ("authorization", "success"),
        "pending" => ("pending-debit", "success"),
        _ => return None,
    };
    let code = if state == "success" { "201.0000" } else { "500.1051" };
    Some(Transaction {
        merchant_account_id: Some(shop.maid()),
        request_id: Some(request_id.to_owned()),
        transaction_id: Some(uuid_of(request_id)),
        transaction_type: Some(kind.to_owned()),
        transaction_state: Some(state.to_owned()),
        amount: Some(amount(shop, request_id).into()),
        // A payer may type what he likes where the shop lets him name his order.
        order_number: Some(format!("purchasesuccess20180516205300 {request_id}")),
        payment_methods: vec!["creditcard".to_owned()],
        completed_at: "2026-03-02T09:00:30Z".parse().ok(),
        statuses: vec![Status { code: code.to_owned(), severity: None }],
        ..Transaction::default()
    })
}

fn uuid_of(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("1e555c94-37cb-4b89-ad8c-{:012x}", hash & 0xffff_ffff_ffff)
}

/// The gateway's order number of a `checkout` payment.
pub fn gateway_order(shop: &Shop, request_id: &str) -> String {
    let shop = SHOPS.iter().position(|other| other.name == shop.name).expect("one of the shops");
    let life = request_ids(&SHOPS[shop]).iter().position(|id| id == request_id).expect("one of its payments");
    format!("{}{life:03}", 7_000 + shop)
}

/// The fields of a confirmation, without list and fingerprint; `None` for a payment nothing was heard of.
fn confirmed(shop: &Shop, request_id: &str) -> Option<Vec<(String, String)>> {
    let state = match request_id.split('-').rev().nth(1)? {
        "paid" | "held" | "failed" => "SUCCESS",
        "pending" => "PENDING",
        _ => return None,
    };
    let (number, value) = (gateway_order(shop, request_id), amount(shop, request_id).value_text());
    // The payer wrote another payment's confirmation into his name: cut anew, the same characters could say it.
    let silent = &request_ids(shop)[4];
    let cardholder = format!(
        "{}EURCCARDMCde{}SUCCESS{silent}1.00EURCCARDMCde7000009SUCCESSx",
        amount(shop, silent).value_text(),
        gateway_order(shop, silent),
    );
    let pairs = [
        ("amount", value.as_str()),
        ("currency", "EUR"),
        ("paymentType", "CCARD"),
        ("financialInstitution", "MC"),
        ("language", "de"),
        ("orderNumber", &number),
        ("paymentState", state),
        (OWN_ID, request_id),
        ("authenticated", "No"),
        ("cardholder", &cardholder),
        ("gatewayReferenceNumber", "DGW_RN"),
    ];
    Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// Every genuine message, in every format that the account's gateway signs.
pub fn messages() -> Vec<Genuine> {
    let signing = wpg::SigningKey::from_pem(include_str!("../keys/wpg-gateway.pem")).expect("a key");
    let mut all = Vec::new();
    for (at, shop) in SHOPS.iter().enumerate() {
        for request_id in request_ids(shop) {
            let bodies: Vec<String> = if shop.is_checkout() {
                let algorithm = shop.scheme.expect("a checkout account has an algorithm");
                let fields = confirmed(shop, &request_id);
                fields.iter().map(|f| checkout::encode::confirmation(f, algorithm, &shop.secret())).collect()
            } else {
                let Some(t) = said(shop, &request_id) else { continue };
                match shop.scheme {
                    Some(Scheme::XmlDsig) => {
                        vec![wpg::encode::signed_xml(&wpg::encode::payment_xml(&t), &signing).expect("signed")]
                    }
                    Some(Scheme::JsonSigned) => vec![wpg::encode::json_signed(&t, &shop.secret())],
                    _ => {
                        let both = wpg::encode::nvp(&t, &shop.secret());
                        let v1_only: String = both
                            .split_inclusive('&')
                            .filter(|pair| !pair.starts_with("response_signature_v2="))
                            .collect();
                        vec![both, v1_only]
                    }
                }
            };
            for body in bodies {
                let message = shop.read(body.as_bytes(), &shop.key()).expect("readable");
                assert!(message.authenticity.is_verified(), "{}: {:?}", shop.name, message.authenticity);
                all.push(Genuine { shop: at, body, message });
            }
        }
    }
    all
}

/// What the messages' counts are printed by.
pub type Counts = BTreeMap<&'static str, usize>;
