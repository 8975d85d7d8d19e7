//! Speaking as the gateway does: confirmations and back-end replies, for the sandbox and the tests.
//!
//! Shapes and spellings are those of captured messages (fact sheet checkout a.2, a.3, c.1): lower-case hex, zero as `0`
//! for orders and `0.00` for payments, times as civil time of Vienna.

use jiff::tz::TimeZone;

use super::backend::Credentials;
use super::fingerprint::{self, FINGERPRINT, ORDER, REQUEST_FINGERPRINT, SECRET};
use super::signed;
use crate::core::account::Product;
use crate::core::message::{PaymentState, Scheme};
use crate::wire::form::{self, Charset, Form};
use crate::words::money::{Amount, print_decimal};
use crate::words::time::Timestamp;

/// One confirmation as the gateway would send it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confirmation {
    pub state: PaymentState,
    /// Everything but `paymentState`, in the order of the wire.
    pub fields: Vec<(String, String)>,
}

impl Confirmation {
    /// The body: signed for SUCCESS and PENDING, unsigned for FAILURE and CANCEL, as the gateway does.
    pub fn body(&self, algorithm: Scheme, secret: &str) -> String {
        let mut fields = self.fields.clone();
        fields.push(("paymentState".to_owned(), self.state.name().to_owned()));
        match self.state {
            PaymentState::Success | PaymentState::Pending => confirmation(&fields, algorithm, secret),
            PaymentState::Failure | PaymentState::Cancel => unsigned(&fields),
        }
    }
}

/// A signed body: the fields, then the list of their names ending in `secret,responseFingerprintOrder`, then the
/// fingerprint.
pub fn confirmation(fields: &[(String, String)], algorithm: Scheme, secret: &str) -> String {
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).chain([SECRET, ORDER]).collect();
    listed(fields, &names.join(","), algorithm, secret)
}

/// A body signed over a list of the caller's choice, however bad: for tests of the list rules.
pub fn listed(fields: &[(String, String)], list: &str, algorithm: Scheme, secret: &str) -> String {
    let value = |name: &str| match name {
        SECRET => secret,
        ORDER => list,
        _ => fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value),
    };
    let digest = fingerprint::digest(algorithm, secret.as_bytes(), list.split(',').map(|name| value(name).as_bytes()));
    let fingerprint = digest.map(|digest| fingerprint::to_hex(&digest)).unwrap_or_default();
    form::encode(pairs(fields).chain([(ORDER, list), (FINGERPRINT, &*fingerprint)]))
}

/// A body without fingerprint, as FAILURE and CANCEL come.
pub fn unsigned(fields: &[(String, String)]) -> String {
    form::encode(pairs(fields))
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// An order as getOrderDetails tells it. All amounts have the order's currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderDetails {
    pub order_number: String,
    /// `ORDERED`, `REFUNDABLE` or `CLOSED`.
    pub state: String,
    /// The engine's code, such as `VPG` for cards or `SUE` for Sofort.
    pub payment_type: String,
    pub brand: String,
    pub amount: Amount,
    /// `REFUND` where it is allowed; empty for none.
    pub operations_allowed: String,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    pub payments: Vec<PaymentDetails>,
    pub credits: Vec<CreditDetails>,
}

/// A payment of an order: reserved, captured or settled money.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentDetails {
    pub payment_number: String,
    /// `payment_approved`, `payment_deposited`, `payment_closed` …
    pub state: String,
    /// What was reserved; stays after the capture.
    pub approve_amount: Amount,
    /// What was captured.
    pub deposit_amount: Amount,
    /// `DEPOSIT,APPROVEREVERSAL` and the like; empty for none.
    pub operations_allowed: String,
    /// Sofort: whether the money is assured.
    pub security_criteria: Option<bool>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

/// A credit of an order: money that went back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreditDetails {
    pub credit_number: String,
    /// `credit_refunded`, `credit_closed` …
    pub state: String,
    pub amount: Amount,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

/// The reply to getOrderDetails for an order that exists.
pub fn order_details_reply(order: &OrderDetails) -> String {
    let mut reply = Reply::default();
    let approved = |p: &&PaymentDetails| p.state == "payment_approved";
    let reserved = total(order.payments.iter().filter(approved).map(|p| p.approve_amount), order.amount);
    let captured = total(order.payments.iter().map(|p| p.deposit_amount), order.amount);
    let refunded = total(order.credits.iter().map(|c| c.amount), order.amount);
    let top = "order.1.";
    reply.put(top, "merchantNumber", "1");
    reply.put(top, "orderNumber", &order.order_number);
    reply.put(top, "paymentType", &order.payment_type);
    reply.put(top, "brand", &order.brand);
    reply.put(top, "amount", &order.amount.value_text());
    reply.put(top, "currency", order.amount.currency().code());
    reply.put(top, "approveAmount", &order_amount(reserved));
    reply.put(top, "depositAmount", &order_amount(captured));
    reply.put(top, "refundAmount", &order_amount(refunded));
    reply.put(top, "state", &order.state);
    reply.filled(top, "operationsAllowed", &order.operations_allowed);
    reply.times(top, order.created_at, order.modified_at);
    reply.put(top, "payments", &order.payments.len().to_string());
    reply.put(top, "credits", &order.credits.len().to_string());
    for (n, payment) in (1..).zip(&order.payments) {
        let at = format!("payment.1.{n}.");
        reply.put(&at, "paymentNumber", &payment.payment_number);
        reply.put(&at, "orderNumber", &order.order_number);
        reply.put(&at, "paymentType", &order.payment_type);
        reply.put(&at, "approveAmount", &payment.approve_amount.value_text());
        reply.put(&at, "depositAmount", &payment.deposit_amount.value_text());
        reply.put(&at, "currency", payment.approve_amount.currency().code());
        reply.put(&at, "state", &payment.state);
        reply.filled(&at, "operationsAllowed", &payment.operations_allowed);
        if let Some(assured) = payment.security_criteria {
            reply.put(&at, "securityCriteria", if assured { "1" } else { "0" });
        }
        reply.times(&at, payment.created_at, payment.modified_at);
    }
    for (n, credit) in (1..).zip(&order.credits) {
        let at = format!("credit.1.{n}.");
        reply.put(&at, "creditNumber", &credit.credit_number);
        reply.put(&at, "orderNumber", &order.order_number);
        reply.put(&at, "amount", &credit.amount.value_text());
        reply.put(&at, "currency", credit.amount.currency().code());
        reply.put(&at, "state", &credit.state);
        reply.times(&at, credit.created_at, credit.modified_at);
    }
    reply.put("", "objectsTotal", "1");
    reply.put("", "status", "0");
    reply.put("", "orders", "1");
    reply.body()
}

/// The reply to getOrderDetails for a number the gateway does not know.
pub fn no_order_reply() -> String {
    form::encode([("status", "0"), ("objectsTotal", "0"), ("orders", "0")])
}

/// The reply to generateOrderNumber.
pub fn order_number_reply(number: &str) -> String {
    form::encode([("status", "0"), ("orderNumber", number)])
}

/// The reply to getFinancialInstitutions: two banks, whatever the payment type.
pub fn institutions_reply(payment_type: &str) -> String {
    let mut fields = vec![("status".to_owned(), "0".to_owned()), ("financialInstitutions".to_owned(), "2".to_owned())];
    for (n, (id, name)) in (1..).zip([("BA-CA", "Bank Austria"), ("SANDBOX", "Sandbox Bank")]) {
        for (part, value) in [
            ("id", id),
            ("name", name),
            ("country", "AT"),
            ("online", "true"),
            ("offline", "false"),
            ("currency", "EUR"),
            ("paymentType", payment_type),
        ] {
            fields.push((format!("financialInstitution.{n}.{part}"), value.to_owned()));
        }
    }
    form::encode(pairs(&fields))
}

/// An error: flat for Checkout Page, indexed for Checkout Seamless.
pub fn error_reply(product: Product, status: u8, code: &str, message: &str) -> String {
    errors_reply(product, Some(status), &[(code, message)])
}

/// Several errors at once. Checkout Page tells the first alone. The answer to an init has no status.
pub fn errors_reply(product: Product, status: Option<u8>, errors: &[(&str, &str)]) -> String {
    let mut fields: Vec<(String, String)> = Vec::new();
    fields.extend(status.map(|status| ("status".to_owned(), status.to_string())));
    match product {
        Product::Page => {
            for (code, message) in errors.iter().take(1) {
                fields.push(("errorCode".to_owned(), (*code).to_owned()));
                fields.push(("message".to_owned(), (*message).to_owned()));
            }
        }
        Product::Seamless => {
            fields.push(("errors".to_owned(), errors.len().to_string()));
            for (n, (code, message)) in (1..).zip(errors) {
                fields.push((format!("error.{n}.errorCode"), (*code).to_owned()));
                fields.push((format!("error.{n}.message"), (*message).to_owned()));
                fields.push((format!("error.{n}.consumerMessage"), (*message).to_owned()));
            }
        }
    }
    form::encode(pairs(&fields))
}

/// Whether a back-end request is authentic: right customer, shop, password and fingerprint, no name twice.
///
/// On Seamless this says nothing about the operation, which stands in the path alone.
pub fn verify_request(body: &[u8], c: &Credentials<'_>) -> bool {
    let Ok(form) = Form::read(body, &super::confirm::LIMITS, Charset::Utf8) else { return false };
    let given = |name: &str| form.get(name).unwrap_or_default();
    let password = match c.product {
        Product::Page => "toolkitPassword",
        Product::Seamless => "password",
    };
    if form.flaw().is_some()
        || given("customerId") != c.customer_id
        || form.get("shopId") != c.shop_id
        || given(password) != c.password
    {
        return false;
    }
    let names = signed_names(&form, c.product);
    let seed = names.iter().map(|name| if *name == SECRET { c.secret.as_bytes() } else { given(name).as_bytes() });
    fingerprint::digest(c.algorithm, c.secret.as_bytes(), seed)
        .is_some_and(|digest| fingerprint::matches(&digest, given(REQUEST_FINGERPRINT)))
}

/// The names a request signs, in order, read back from the request: what the gateway does to check it.
fn signed_names(form: &Form, product: Product) -> Vec<&str> {
    let has = |name: &&str| form.get(name).is_some() || *name == SECRET;
    let common: &[&str] = match product {
        Product::Page => &["customerId", "shopId", "toolkitPassword", SECRET, "command", "language"],
        Product::Seamless => &["customerId", "shopId", "password", SECRET, "language"],
    };
    let is_transfer = form.get("fundTransferType").is_some();
    let names = form.fields().iter().map(|(name, _)| name.as_str());
    let mut own: Vec<_> = names.filter_map(|name| Some((signed::place(is_transfer, name)?, name))).collect();
    own.sort_unstable();
    common.iter().copied().filter(has).chain(own.into_iter().map(|(_, name)| name)).collect()
}

#[derive(Default)]
struct Reply {
    fields: Vec<(String, String)>,
}

impl Reply {
    fn put(&mut self, at: &str, key: &str, value: &str) {
        self.fields.push((format!("{at}{key}"), value.to_owned()));
    }

    fn filled(&mut self, at: &str, key: &str, value: &str) {
        if !value.is_empty() {
            self.put(at, key, value);
        }
    }

    fn times(&mut self, at: &str, created_at: Timestamp, modified_at: Timestamp) {
        self.put(at, "timeCreated", &civil(created_at));
        self.put(at, "timeModified", &civil(modified_at));
    }

    fn body(&self) -> String {
        form::encode(pairs(&self.fields))
    }
}

fn total(amounts: impl Iterator<Item = Amount>, like: Amount) -> Amount {
    amounts.fold(Amount::zero(like.currency()), |sum, amount| sum.checked_add(amount).unwrap_or(sum))
}

/// Orders show nothing as `0`, and amounts with their decimals.
fn order_amount(amount: Amount) -> String {
    if amount.is_zero() { "0".to_owned() } else { print_decimal(amount.value(), Some(amount.currency())) }
}

fn civil(at: Timestamp) -> String {
    let zone = TimeZone::get("Europe/Vienna").unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%d.%m.%Y %H:%M:%S").to_string()
}
