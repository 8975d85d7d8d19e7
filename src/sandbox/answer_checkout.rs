//! Back-end operations of the Wirecard Checkout / QENTA gateway: getOrderDetails and
//! generateOrderNumber, for the page and the seamless product (fact sheet checkout b, c).

use secrecy::ExposeSecret;

use super::answer::{Answer, Request};
use super::gateway::{Gateway, Payment};
use super::life::{CreditView, OrderView, PaymentView};
use super::message::payment_type;
use super::shop::Shop;
use crate::core::account::{Checkout, Product};
use crate::wire::checkout::backend::Credentials;
use crate::wire::checkout::encode::{self, CreditDetails, OrderDetails, PaymentDetails};
use crate::words::id::{GatewayOrderNumber, MerchantName};
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
        let shop = asker.and_then(|name| self.shops.get(name));
        let Some((shop, contract)) = shop.and_then(|shop| Some((shop, shop.checkout()?))) else {
            return told(encode::error_reply(Product::Seamless, 1, "10500", "CUSTOMERID is unknown."));
        };
        let product = contract.product;
        if !are_right(shop, contract, request.body) {
            return told(encode::error_reply(product, 1, "18506", "REQUESTFINGERPRINT is invalid."));
        }
        // The page product names its command in the form, the seamless one in the path.
        let command = match product {
            Product::Page => field(fields, "command").unwrap_or_default(),
            Product::Seamless => path.rsplit('/').next().unwrap_or_default(),
        };
        told(match command.to_ascii_lowercase().as_str() {
            "generateordernumber" => encode::order_number_reply(self.generate_order_number().as_str()),
            "getorderdetails" => match field(fields, "orderNumber").map(GatewayOrderNumber::new) {
                Some(Ok(number)) => self.order_details(now, product, asker, &number),
                _ => encode::error_reply(product, 1, "11011", "Order number is missing."),
            },
            _ => encode::error_reply(product, 1, "30007", "Command is not available."),
        })
    }

    fn order_details(
        &self,
        now: Timestamp,
        product: Product,
        asker: Option<&MerchantName>,
        number: &GatewayOrderNumber,
    ) -> String {
        const UNDECIDED: &str = "The final state of the transaction could not yet be determined.";
        const DECLINED: &str = "The financial institution has declined the transaction.";
        let name = self.by_number.get(number).filter(|name| Some(&name.0) == asker);
        let Some(payment) = name.map(|name| &self.payments[name]) else { return encode::no_order_reply() };
        let order = payment.life.orders.iter().find(|order| order.number == *number);
        match order.map_or(&OrderView::Unknown, |order| order.view(now)) {
            OrderView::Unknown => encode::no_order_reply(),
            OrderView::Undecided { code } => encode::error_reply(product, 3, code, UNDECIDED),
            OrderView::Rejected => encode::error_reply(product, 2, "20003", DECLINED),
            OrderView::Exists { state, payment: paid, credit } => {
                encode::order_details_reply(&described(payment, number, state, paid.as_ref(), credit.as_ref()))
            }
        }
    }
}

/// Whether password and fingerprint are this account's own.
fn are_right(shop: &Shop, contract: &Checkout, body: &[u8]) -> bool {
    let Some(password) = &shop.key.password else { return false };
    let credentials = Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: password.expose_secret(),
        secret: shop.key.secret.expose_secret(),
        algorithm: contract.algorithm,
    };
    encode::verify_request(body, &credentials)
}

fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn described(
    payment: &Payment,
    number: &GatewayOrderNumber,
    state: &str,
    paid: Option<&PaymentView>,
    credit: Option<&CreditView>,
) -> OrderDetails {
    let (created_at, modified_at) = (payment.started, payment.started);
    let payments = paid.map(|paid| PaymentDetails {
        payment_number: number.to_string(),
        state: paid.state.to_owned(),
        approve_amount: paid.approved,
        deposit_amount: paid.deposited,
        operations_allowed: payment_operations(paid.state).to_owned(),
        security_criteria: (payment_type(&payment.request) == "SOFORTUEBERWEISUNG").then_some(true),
        created_at,
        modified_at,
    });
    let credits = credit.map(|credit| CreditDetails {
        credit_number: credit.number.clone(),
        state: credit.state.to_owned(),
        amount: credit.amount,
        created_at,
        modified_at,
    });
    OrderDetails {
        order_number: number.to_string(),
        state: state.to_owned(),
        payment_type: engine_payment_type(payment).to_owned(),
        brand: payment_type(&payment.request).to_owned(),
        amount: payment.amount,
        operations_allowed: if state == "REFUNDABLE" { "REFUND" } else { "" }.to_owned(),
        created_at,
        modified_at,
        payments: payments.into_iter().collect(),
        credits: credits.into_iter().collect(),
    }
}

fn payment_operations(state: &str) -> &'static str {
    match state {
        "payment_approved" => "DEPOSIT,APPROVEREVERSAL",
        "payment_deposited" => "DEPOSITREVERSAL",
        _ => "",
    }
}

/// The engine has its own codes for payment types (fact sheet checkout c.1).
fn engine_payment_type(payment: &Payment) -> &str {
    match payment_type(&payment.request) {
        "CCARD" => "VPG",
        "SOFORTUEBERWEISUNG" => "SUE",
        "PAYPAL" => "PPL",
        "EPS" => "EPS2",
        other => other,
    }
}

fn told(body: String) -> Answer {
    Answer::new(200, "text/plain;charset=UTF-8", body)
}
