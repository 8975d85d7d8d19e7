//! Back-end operations of the Wirecard Checkout / QENTA gateway: getOrderDetails and
//! generateOrderNumber, for the page and the seamless product (fact sheet checkout b, c).

use jiff::tz::TimeZone;

use super::answer::{Answer, Request};
use super::gateway::Gateway;
use super::life::{OrderView, PaymentView};
use super::message::payment_type;
use super::shop::Shop;
use crate::core::account::{Checkout, Product};
use crate::core::submission::Submission;
use crate::wire::checkout::backend::Credentials;
use crate::wire::checkout::encode;
use crate::words::id::{GatewayOrderNumber, MerchantName};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

type Fields = [(String, String)];

impl Gateway {
    /// The account a form names, whether or not its credentials are right.
    pub(super) fn checkout_asker(&self, fields: &Fields) -> Option<&Shop> {
        let (customer, shop_id) = (field(fields, "customerId")?, field(fields, "shopId"));
        self.find_shop(|shop| {
            shop.checkout().is_some_and(|c| c.customer_id == customer && c.shop_id.as_deref() == shop_id)
        })
    }

    pub(super) fn answer_checkout(
        &mut self,
        now: Timestamp,
        path: &str,
        asker: Option<&MerchantName>,
        fields: &Fields,
        request: &Request,
    ) -> Answer {
        if request.method != "POST" {
            return Answer::empty(405);
        }
        let Some(shop) = asker.and_then(|name| self.shops.get(name)) else {
            return refused(Product::Seamless, 1, "10500", "CUSTOMERID is unknown.");
        };
        let Some(contract) = shop.checkout() else { return Answer::empty(403) };
        let product = contract.product;
        if !are_right(shop, contract, fields, request.body) {
            return refused(product, 1, "18506", "REQUESTFINGERPRINT is invalid.");
        }
        // The page product names its command in the form, the seamless one in the path.
        let command = match product {
            Product::Page => field(fields, "command").unwrap_or_default(),
            Product::Seamless => path.rsplit('/').next().unwrap_or_default(),
        };
        match command.to_ascii_lowercase().as_str() {
            "generateordernumber" => {
                let number = self.generate_order_number();
                done(&[("status", "0".into()), ("orderNumber", number.to_string())])
            }
            "getorderdetails" => match field(fields, "orderNumber").map(GatewayOrderNumber::new) {
                Some(Ok(number)) => self.order_details(now, product, asker, &number),
                _ => refused(product, 1, "11011", "Order number is missing."),
            },
            _ => refused(product, 1, "30007", "Command is not available."),
        }
    }

    fn order_details(
        &self,
        now: Timestamp,
        product: Product,
        asker: Option<&MerchantName>,
        number: &GatewayOrderNumber,
    ) -> Answer {
        let unknown = || done(&[("status", "0".into()), ("objectsTotal", "0".into()), ("orders", "0".into())]);
        let Some(name) = self.by_number.get(number).filter(|name| Some(&name.0) == asker) else { return unknown() };
        let payment = &self.payments[name];
        let order = payment.life.orders.iter().find(|order| order.number == *number);
        match order.map(|order| order.view(now)) {
            None | Some(OrderView::Unknown) => unknown(),
            Some(OrderView::Undecided { code }) => {
                refused(product, 3, code, "The final state of the transaction could not yet be determined.")
            }
            Some(OrderView::Rejected) => {
                refused(product, 2, "20003", "The financial institution has declined the transaction.")
            }
            Some(view @ OrderView::Exists { .. }) => {
                done(&described(view, number, &payment.request, payment.amount, payment.started))
            }
        }
    }
}

/// Whether password and fingerprint are this account's own.
fn are_right(shop: &Shop, contract: &Checkout, fields: &Fields, body: &[u8]) -> bool {
    use secrecy::ExposeSecret;
    let Some(password) = &shop.key.password else { return false };
    let name = match contract.product {
        Product::Page => "toolkitPassword",
        Product::Seamless => "password",
    };
    let credentials = Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: password.expose_secret(),
        secret: shop.key.secret.expose_secret(),
        algorithm: contract.algorithm,
    };
    field(fields, name) == Some(password.expose_secret()) && encode::verify_request(body, &credentials)
}

fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// The keys of an existing order, as captured replies have them: zero is `0` for an order and `0.00`
/// for a payment, `payment.1.1.state` and never `order.1.payment.1.state`.
fn described(
    view: &OrderView,
    number: &GatewayOrderNumber,
    request: &Submission,
    asked: Amount,
    started: Timestamp,
) -> Vec<(&'static str, String)> {
    let OrderView::Exists { state, payment, credit } = view else { return Vec::new() };
    let currency = asked.currency().code().to_owned();
    let engine_type = engine_payment_type(request).to_owned();
    let created = stamp(started);
    let mut keys = Vec::new();
    if let Some(PaymentView { state, approved, deposited }) = payment {
        keys.extend([
            ("payment.1.1.merchantNumber", "1".to_owned()),
            ("payment.1.1.paymentNumber", number.to_string()),
            ("payment.1.1.orderNumber", number.to_string()),
            ("payment.1.1.approvalCode", "123456".to_owned()),
            ("payment.1.1.approveAmount", approved.value_text()),
            ("payment.1.1.depositAmount", deposited.value_text()),
            ("payment.1.1.currency", currency.clone()),
            ("payment.1.1.timeCreated", created.clone()),
            ("payment.1.1.timeModified", created.clone()),
            ("payment.1.1.state", (*state).to_owned()),
            ("payment.1.1.paymentType", engine_type.clone()),
            ("payment.1.1.operationsAllowed", payment_operations(state).to_owned()),
        ]);
    }
    if let Some(credit) = credit {
        keys.extend([
            ("credit.1.1.merchantNumber", "1".to_owned()),
            ("credit.1.1.creditNumber", credit.number.clone()),
            ("credit.1.1.orderNumber", number.to_string()),
            ("credit.1.1.amount", credit.amount.value_text()),
            ("credit.1.1.currency", currency.clone()),
            ("credit.1.1.timeCreated", created.clone()),
            ("credit.1.1.timeModified", created.clone()),
            ("credit.1.1.state", credit.state.to_owned()),
        ]);
    }
    let is_approved = payment.as_ref().is_some_and(|p| p.state == "payment_approved");
    let open = payment.as_ref().filter(|_| is_approved).map(|p| p.approved);
    let deposited = payment.as_ref().map(|p| p.deposited).filter(|d| !d.is_zero());
    let refunded = credit.as_ref().map(|c| c.amount);
    let at_order_level = |amount: Option<Amount>| amount.map_or("0".to_owned(), Amount::value_text);
    keys.extend([
        ("order.1.merchantNumber", "1".to_owned()),
        ("order.1.orderNumber", number.to_string()),
        ("order.1.paymentType", engine_type),
        ("order.1.amount", asked.value_text()),
        ("order.1.currency", currency),
        ("order.1.orderDescription", "sandbox order".to_owned()),
        ("order.1.orderReference", format!("OR-{number}")),
        ("order.1.acquirer", "card complete".to_owned()),
        ("order.1.contractNumber", "0815DemoContract".to_owned()),
        ("order.1.timeCreated", created.clone()),
        ("order.1.timeModified", created),
        ("order.1.state", (*state).to_owned()),
        ("order.1.approveAmount", at_order_level(open)),
        ("order.1.depositAmount", at_order_level(deposited)),
        ("order.1.refundAmount", at_order_level(refunded)),
        ("order.1.payments", usize::from(payment.is_some()).to_string()),
        ("order.1.credits", usize::from(credit.is_some()).to_string()),
        ("objectsTotal", "1".to_owned()),
        ("orders", "1".to_owned()),
        ("status", "0".to_owned()),
    ]);
    keys
}

fn payment_operations(state: &str) -> &'static str {
    match state {
        "payment_approved" => "DEPOSIT,APPROVEREVERSAL",
        "payment_deposited" => "DEPOSITREVERSAL",
        _ => "",
    }
}

/// The engine has its own codes for payment types (fact sheet checkout c.1).
fn engine_payment_type(request: &Submission) -> &str {
    match payment_type(request) {
        "CCARD" => "VPG",
        "SOFORTUEBERWEISUNG" => "SUE",
        "PAYPAL" => "PPL",
        "EPS" => "EPS2",
        other => other,
    }
}

/// `DD.MM.YYYY hh:mm:ss` in Vienna, without a zone.
fn stamp(at: Timestamp) -> String {
    let zone = TimeZone::get("Europe/Vienna").unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%d.%m.%Y %H:%M:%S").to_string()
}

fn done(keys: &[(&str, String)]) -> Answer {
    let fields: Vec<(String, String)> = keys.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Answer::new(200, "text/plain;charset=UTF-8", encode::unsigned(&fields))
}

/// An error reply: flat keys on the page product, numbered ones on the seamless one.
fn refused(product: Product, status: u8, code: &str, message: &str) -> Answer {
    let status = ("status", status.to_string());
    let keys = match product {
        Product::Page => vec![status, ("errorCode", code.to_owned()), ("message", message.to_owned())],
        Product::Seamless => vec![
            status,
            ("errors", "1".to_owned()),
            ("error.1.errorCode", code.to_owned()),
            ("error.1.message", message.to_owned()),
            ("error.1.consumerMessage", message.to_owned()),
        ],
    };
    done(&keys)
}
