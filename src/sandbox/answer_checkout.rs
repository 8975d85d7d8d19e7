//! Questions to the Wirecard Checkout / QENTA gateway: getOrderDetails, generateOrderNumber and
//! getFinancialInstitutions, for the page and the seamless product (fact sheet checkout b, c). What moves money or
//! starts a payment goes on to its own modules.

use secrecy::ExposeSecret;

use super::answer::{Answer, Reply, Request, form};
use super::gateway::{Gateway, Payment};
use super::life::{CreditView, OrderLife, OrderView, PaymentView};
use super::message::payment_type;
use super::methods_checkout;
use super::shop::Shop;
use super::standing_checkout::{Refused, refused};
use crate::core::account::{Checkout, Product};
use crate::wire;
use crate::wire::checkout::backend::Credentials;
use crate::wire::checkout::encode::{self, CreditDetails, OrderDetails, PaymentDetails};
use crate::wire::request::{HttpRequest, Kind, Operation, Question, Unreadable};
use crate::words::id::{GatewayOrderNumber, MerchantName};
use crate::words::time::Timestamp;

pub(super) type Fields = [(String, String)];

/// A request to the Checkout, and the account it names.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub shop: &'a Shop,
    pub contract: &'a Checkout,
    pub fields: &'a Fields,
    pub request: &'a Request<'a>,
}

impl Sent<'_> {
    pub fn merchant(&self) -> &MerchantName {
        &self.shop.account.name
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(self.fields, name)
    }

    /// What is wrong with the back-end password and the fingerprint of an operation, as the gateway tells it: everything
    /// that is missing, or the first that is not this account's own (fact sheet checkout b.1, g).
    pub fn refused(&self) -> Option<Refused> {
        let (name, no_password, bad_password) = match self.contract.product {
            Product::Page => {
                ("toolkitPassword", ("11003", "TOOLKITPASSWORD is missing."), ("18003", "TOOLKITPASSWORD is invalid."))
            }
            Product::Seamless => ("password", ("11123", "PASSWORD is missing."), ("18123", "PASSWORD is invalid.")),
        };
        let needed = [
            ("language", ("11009", "Language is missing.")),
            (name, no_password),
            ("requestFingerprint", ("11506", "REQUESTFINGERPRINT is missing.")),
        ];
        let is_missing = |name: &str| self.field(name).is_none_or(str::is_empty);
        let errors: Vec<_> = needed.into_iter().filter(|(name, _)| is_missing(name)).map(|(_, error)| error).collect();
        if !errors.is_empty() {
            return Some(Refused { status: 1, errors });
        }
        let own = self.shop.key.password.as_ref().map(|password| password.expose_secret());
        if own != self.field(name) {
            return Some(refused(bad_password));
        }
        (!self.is_signed()).then(|| Refused::of("18506", "REQUESTFINGERPRINT is invalid."))
    }

    fn is_signed(&self) -> bool {
        let Some(password) = &self.shop.key.password else { return false };
        let credentials = Credentials {
            product: self.contract.product,
            customer_id: &self.contract.customer_id,
            shop_id: self.contract.shop_id.as_deref(),
            password: password.expose_secret(),
            secret: self.shop.key.secret.expose_secret(),
            algorithm: self.contract.algorithm,
        };
        encode::verify_request(self.request.body, &credentials)
    }
}

impl Gateway {
    /// The account a form names, whether or not its credentials are right.
    pub(super) fn checkout_asker(&self, fields: &Fields) -> Option<&Shop> {
        let (customer, shop_id) = (field(fields, "customerId")?, field(fields, "shopId"));
        self.find_shop(|shop| {
            shop.checkout().is_some_and(|c| c.customer_id == customer && c.shop_id.as_deref() == shop_id)
        })
    }

    /// A question, a back-end operation or the start of a payment.
    pub(super) fn answer_checkout_request(&mut self, now: Timestamp, request: &Request) -> Reply {
        let fields = form(request.body);
        let asker = self.checkout_asker(&fields).cloned();
        let Some((shop, contract)) = asker.as_ref().and_then(|shop| Some((shop, shop.checkout()?))) else {
            let (code, text) = match field(&fields, "customerId") {
                None | Some("") => ("11500", "CUSTOMERID is missing."),
                Some(_) => ("10500", "CUSTOMERID is unknown."),
            };
            let is_page = request.path().ends_with("/toolkit.php");
            let product = if is_page { Product::Page } else { Product::Seamless };
            let genuine = told(encode::error_reply(product, 1, code, text));
            return self.in_manner(now, None, genuine);
        };
        if request.method != "POST" {
            return Reply::Answer(Answer::empty(405));
        }
        let asked = HttpRequest {
            method: request.method,
            path: request.target,
            content_type: request.header("content-type"),
            body: request.body,
        };
        let merchant = &shop.account.name;
        let sent = Sent { shop, contract, fields: &fields, request };
        let question = |gateway: &mut Gateway, operation| {
            let body = gateway.answer_question(now, &sent, operation);
            gateway.in_manner(now, Some(merchant), told(body))
        };
        match wire::checkout::request::read(&asked, &contract.own_id_parameter) {
            Ok(wire::request::Request::Submits(all)) => self.taken_in_manner(now, Some(merchant), |gateway| match all
                .first()
                .map(|facts| (facts, facts.kind))
            {
                Some((facts, Kind::Operation(operation))) => gateway.operate_checkout(now, &sent, operation, facts),
                Some((facts, _)) => gateway.take_checkout(now, &sent, facts),
                None => Reply::Answer(Answer::empty(400)),
            }),
            Ok(wire::request::Request::Asks(Question::BackEnd(operation))) => question(self, Some(operation)),
            Ok(wire::request::Request::Asks(Question::DataStorage)) => {
                let body = self.data_storage(shop);
                self.in_manner(now, Some(merchant), told(body))
            }
            Ok(wire::request::Request::Asks(Question::Retrieval) | wire::request::Request::Unknown)
            | Err(Unreadable::NoOperation) => question(self, None),
            Err(why) => Reply::Answer(Answer::new(400, "text/plain;charset=UTF-8", format!("{why}\n"))),
        }
    }

    fn answer_question(&mut self, now: Timestamp, sent: &Sent<'_>, operation: Option<Operation>) -> String {
        let product = sent.contract.product;
        if let Some(refused) = sent.refused() {
            return encode::errors_reply(product, Some(refused.status), &refused.errors);
        }
        match operation {
            Some(Operation::GenerateOrderNumber) => encode::order_number_reply(self.generate_order_number().as_str()),
            Some(Operation::GetOrderDetails) => match sent.field("orderNumber").map(GatewayOrderNumber::new) {
                Some(Ok(number)) => self.order_details(now, product, sent.merchant(), &number),
                _ => encode::error_reply(product, 1, "11011", "Order number is missing."),
            },
            Some(Operation::GetFinancialInstitutions) => match sent.field("paymentType") {
                Some(payment_type) => encode::institutions_reply(payment_type),
                None => encode::error_reply(product, 1, "11051", "PAYMENTTYPE is missing."),
            },
            Some(
                Operation::ApproveReversal
                | Operation::Deposit
                | Operation::DepositReversal
                | Operation::RecurPayment
                | Operation::Refund
                | Operation::RefundReversal
                | Operation::TransferFund,
            )
            | None => encode::error_reply(product, 1, "30007", "Command is not available."),
        }
    }

    fn order_details(
        &self,
        now: Timestamp,
        product: Product,
        merchant: &MerchantName,
        number: &GatewayOrderNumber,
    ) -> String {
        const UNDECIDED: &str = "The final state of the transaction could not yet be determined.";
        const DECLINED: &str = "The financial institution has declined the transaction.";
        let name = self.by_number.get(number).filter(|name| name.0 == *merchant);
        let Some(payment) = name.map(|name| &self.payments[name]) else { return encode::no_order_reply() };
        let order = payment.life.orders.iter().find(|order| order.number == *number);
        let Some(order) = order else { return encode::no_order_reply() };
        match order.view(now) {
            OrderView::Unknown => encode::no_order_reply(),
            OrderView::Undecided { code } => encode::error_reply(product, 3, code, UNDECIDED),
            OrderView::Rejected => encode::error_reply(product, 2, "20003", DECLINED),
            OrderView::Exists { state, payments, credits } => {
                encode::order_details_reply(&described(now, payment, order, (state, payments, credits)))
            }
        }
    }
}

fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn described(
    now: Timestamp,
    payment: &Payment,
    order: &OrderLife,
    (state, paid, credited): (&str, &[PaymentView], &[CreditView]),
) -> OrderDetails {
    let payment_type = payment_type(&payment.request);
    // What is in the view that holds now is in a view: nothing else is ever described.
    let or_start = |times: Option<(Timestamp, Timestamp)>| times.unwrap_or((payment.started, payment.started));
    let payments = paid.iter().map(|paid| {
        let (created_at, modified_at) = or_start(order.times(now, |view| match view {
            OrderView::Exists { payments, .. } => payments.iter().find(|p| p.number == paid.number).cloned(),
            OrderView::Unknown | OrderView::Undecided { .. } | OrderView::Rejected => None,
        }));
        PaymentDetails {
            payment_number: paid.number.clone(),
            state: paid.state.to_owned(),
            approve_amount: paid.approved,
            deposit_amount: paid.deposited,
            operations_allowed: methods_checkout::offered_for_payment(payment_type, paid.state),
            security_criteria: (payment_type == "SOFORTUEBERWEISUNG").then_some(true),
            created_at,
            modified_at,
        }
    });
    let credits = credited.iter().map(|credit| {
        let (created_at, modified_at) = or_start(order.times(now, |view| match view {
            OrderView::Exists { credits, .. } => credits.iter().find(|c| c.number == credit.number).cloned(),
            OrderView::Unknown | OrderView::Undecided { .. } | OrderView::Rejected => None,
        }));
        CreditDetails {
            credit_number: credit.number.clone(),
            state: credit.state.to_owned(),
            amount: credit.amount,
            created_at,
            modified_at,
        }
    });
    let (created_at, modified_at) =
        or_start(order.times(now, |view| matches!(view, OrderView::Exists { .. }).then(|| view.clone())));
    OrderDetails {
        order_number: order.number.to_string(),
        state: state.to_owned(),
        payment_type: engine_payment_type(payment).to_owned(),
        brand: payment_type.to_owned(),
        amount: payment.amount,
        operations_allowed: methods_checkout::offered_for_order(payment_type, state).to_owned(),
        created_at,
        modified_at,
        payments: payments.collect(),
        credits: credits.collect(),
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

pub(super) fn told(body: String) -> Answer {
    Answer::new(200, "text/plain;charset=UTF-8", body)
}
