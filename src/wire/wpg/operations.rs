//! Requests that move money (fact sheet wpg a.1, c.3, d.5, f): follow-ups of a transaction, for the command an operator
//! types. Nothing in the daemon may use this module; [`super::retrieve`] is all it needs.
//!
//! ```text
//! POST {base_url}/engine/rest/payments/         cards and follow-ups
//! POST {base_url}/engine/rest/paymentmethods/   the first request of another method (a payout by sepacredit)
//! ```
//!
//! XML is what the vendor documents for all of them; [`form_body`] writes the same as name-value pairs, which the
//! gateway takes for cards. A request-id is used once, for ever: the same again is answered 400.1018.

use super::encode::escaped;
use super::xml::PAYMENT_NAMESPACES;
use crate::wire::form;

/// One follow-up. Texts are sent as they are; `None` and empty lists are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowUp<'a> {
    pub merchant_account: MerchantAccount<'a>,
    /// At most 150 bytes, the gateway's suffix included: keep to 120.
    pub request_id: &'a str,
    pub transaction_type: &'a str,
    pub parent_transaction_id: &'a str,
    /// Value in plain decimals with a point, and ISO 4217 letters. `None`: the parent's, where the gateway allows it.
    pub amount: Option<(&'a str, &'a str)>,
    pub payment_method: Option<&'a str>,
    pub order_number: Option<&'a str>,
    /// For the payer's statement.
    pub descriptor: Option<&'a str>,
    pub ip_address: Option<&'a str>,
    /// `periodic-type` and `sequence-type` of a series (fact sheet wpg f).
    pub periodic: Option<(&'a str, &'a str)>,
    /// Who gets a payout, where the parent does not say.
    pub payee: Option<Payee<'a>>,
    pub basket: &'a [Item<'a>],
}

/// Where the request is booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MerchantAccount<'a> {
    Id(&'a str),
    /// The gateway chooses the account (fact sheet wpg a.6).
    ResolverCategory(&'a str),
}

/// The receiver of a payout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payee<'a> {
    pub first_name: Option<&'a str>,
    pub last_name: &'a str,
    pub iban: &'a str,
    pub bic: Option<&'a str>,
}

/// A bank account is nobody's business but the gateway's.
impl std::fmt::Debug for Payee<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payee { .. }")
    }
}

/// One line of a basket; at most 99 (fact sheet wpg d.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item<'a> {
    pub name: &'a str,
    pub article_number: &'a str,
    /// Of one piece, tax included, in the request's currency.
    pub amount: &'a str,
    /// In percent.
    pub tax_rate: Option<&'a str>,
    pub quantity: u32,
}

/// Which path below `/engine/rest/` a request goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    Payments,
    PaymentMethods,
}

/// The URL of a request below `base_url`, which may carry a path prefix.
pub fn url(base_url: &str, endpoint: Endpoint) -> String {
    let path = match endpoint {
        Endpoint::Payments => "payments",
        Endpoint::PaymentMethods => "paymentmethods",
    };
    format!("{}/engine/rest/{path}/", base_url.trim_end_matches('/'))
}

/// The request as XML, in the order of the vendor's samples.
pub fn xml_body(follow_up: &FollowUp<'_>) -> String {
    let mut xml = Xml::default();
    xml.raw(&format!(r#"<?xml version="1.0" encoding="UTF-8"?><payment xmlns="{}">"#, PAYMENT_NAMESPACES[0]));
    match follow_up.merchant_account {
        MerchantAccount::Id(id) => xml.text("merchant-account-id", id),
        MerchantAccount::ResolverCategory(category) => xml.text("merchant-account-resolver-category", category),
    }
    xml.text("request-id", follow_up.request_id);
    xml.text("transaction-type", follow_up.transaction_type);
    if let Some(method) = follow_up.payment_method {
        xml.raw(&format!(r#"<payment-methods><payment-method name="{}"/></payment-methods>"#, escaped(method)));
    }
    if let Some((value, currency)) = follow_up.amount {
        xml.money("requested-amount", value, currency);
    }
    xml.text("parent-transaction-id", follow_up.parent_transaction_id);
    xml.maybe("order-number", follow_up.order_number);
    xml.maybe("descriptor", follow_up.descriptor);
    xml.maybe("ip-address", follow_up.ip_address);
    if let Some((kind, sequence)) = follow_up.periodic {
        xml.inside("periodic", |xml| {
            xml.text("periodic-type", kind);
            xml.text("sequence-type", sequence);
        });
    }
    if let Some(payee) = follow_up.payee {
        xml.inside("account-holder", |xml| {
            xml.maybe("first-name", payee.first_name);
            xml.text("last-name", payee.last_name);
        });
        xml.inside("bank-account", |xml| {
            xml.text("iban", payee.iban);
            xml.maybe("bic", payee.bic);
        });
    }
    if !follow_up.basket.is_empty() {
        xml.inside("order-items", |xml| {
            for item in follow_up.basket {
                xml.inside("order-item", |xml| {
                    xml.text("name", item.name);
                    xml.text("article-number", item.article_number);
                    let currency = follow_up.amount.map_or("", |(_, currency)| currency);
                    xml.money("amount", item.amount, currency);
                    xml.maybe("tax-rate", item.tax_rate);
                    xml.text("quantity", &item.quantity.to_string());
                });
            }
        });
    }
    xml.raw("</payment>");
    xml.out
}

/// Why a request can't be written as name-value pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway documents no name-value pairs for a {0}: send it as XML")]
pub struct NotAForm(&'static str);

/// The request as name-value pairs (fact sheet wpg b.3 for the names).
pub fn form_body(follow_up: &FollowUp<'_>) -> Result<String, NotAForm> {
    if !follow_up.basket.is_empty() {
        return Err(NotAForm("basket"));
    }
    if follow_up.payee.is_some() {
        return Err(NotAForm("payee's bank account"));
    }
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.push(match follow_up.merchant_account {
        MerchantAccount::Id(id) => ("merchant_account_id", id),
        MerchantAccount::ResolverCategory(category) => ("merchant_account_resolver_category", category),
    });
    pairs.push(("request_id", follow_up.request_id));
    pairs.push(("transaction_type", follow_up.transaction_type));
    pairs.extend(follow_up.payment_method.map(|method| ("payment_method", method)));
    if let Some((value, currency)) = follow_up.amount {
        pairs.extend([("requested_amount", value), ("requested_amount_currency", currency)]);
    }
    pairs.push(("parent_transaction_id", follow_up.parent_transaction_id));
    let more = [
        ("order_number", follow_up.order_number),
        ("descriptor", follow_up.descriptor),
        ("ip_address", follow_up.ip_address),
    ];
    pairs.extend(more.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    if let Some((kind, sequence)) = follow_up.periodic {
        pairs.extend([("periodic_type", kind), ("sequence_type", sequence)]);
    }
    Ok(form::encode(pairs))
}

#[derive(Default)]
struct Xml {
    out: String,
}

impl Xml {
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(&format!("<{name}>{}</{name}>", escaped(value)));
    }

    fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn money(&mut self, name: &str, value: &str, currency: &str) {
        self.raw(&format!(r#"<{name} currency="{}">{}</{name}>"#, escaped(currency), escaped(value)));
    }

    fn inside(&mut self, name: &str, fill: impl FnOnce(&mut Xml)) {
        self.raw(&format!("<{name}>"));
        fill(self);
        self.raw(&format!("</{name}>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::wpg::decode;

    const CAPTURE: FollowUp<'_> = FollowUp {
        merchant_account: MerchantAccount::Id("9abf05c1-c266-46ae-8eac-7f87ca97af28"),
        request_id: "op-1",
        transaction_type: "capture-authorization",
        parent_transaction_id: "32783284-5bce-4d5f-aca6-25fa17f6ad53",
        amount: Some(("12.50", "EUR")),
        payment_method: Some("creditcard"),
        order_number: None,
        descriptor: None,
        ip_address: None,
        periodic: None,
        payee: None,
        basket: &[],
    };

    #[test]
    fn a_capture_is_what_the_vendor_shows() {
        assert_eq!(
            xml_body(&CAPTURE),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><payment xmlns=\"http://www.elastic-payments.com/schema/payment\">\
             <merchant-account-id>9abf05c1-c266-46ae-8eac-7f87ca97af28</merchant-account-id><request-id>op-1</request-id>\
             <transaction-type>capture-authorization</transaction-type>\
             <payment-methods><payment-method name=\"creditcard\"/></payment-methods>\
             <requested-amount currency=\"EUR\">12.50</requested-amount>\
             <parent-transaction-id>32783284-5bce-4d5f-aca6-25fa17f6ad53</parent-transaction-id></payment>"
        );
        assert_eq!(
            form_body(&CAPTURE).expect("a form"),
            "merchant_account_id=9abf05c1-c266-46ae-8eac-7f87ca97af28&request_id=op-1\
             &transaction_type=capture-authorization&payment_method=creditcard&requested_amount=12.50\
             &requested_amount_currency=EUR&parent_transaction_id=32783284-5bce-4d5f-aca6-25fa17f6ad53"
        );
        assert_eq!(url("https://api.example/", Endpoint::Payments), "https://api.example/engine/rest/payments/");
        let prefixed = url("https://proxy.example/wpg", Endpoint::PaymentMethods);
        assert_eq!(prefixed, "https://proxy.example/wpg/engine/rest/paymentmethods/");
    }

    #[test]
    fn a_basket_carries_the_requests_currency() {
        let item = |name, amount, quantity| Item { name, article_number: "1", amount, tax_rate: Some("19"), quantity };
        let basket = [item("Denim & Co", "150", 1), item("Neck <S>", "25", 2)];
        let invoice = FollowUp {
            amount: Some(("200", "EUR")),
            payment_method: Some("ratepay-invoice"),
            basket: &basket,
            ..CAPTURE
        };
        let xml = xml_body(&invoice);
        let expected = "<order-items><order-item><name>Denim &amp; Co</name><article-number>1</article-number>\
             <amount currency=\"EUR\">150</amount><tax-rate>19</tax-rate><quantity>1</quantity></order-item>\
             <order-item><name>Neck &lt;S&gt;</name><article-number>1</article-number>\
             <amount currency=\"EUR\">25</amount><tax-rate>19</tax-rate><quantity>2</quantity></order-item></order-items>";
        assert!(xml.ends_with(&format!("{expected}</payment>")), "{xml}");
        assert_eq!(form_body(&invoice), Err(NotAForm("basket")));
    }

    #[test]
    fn a_payout_names_its_receiver_to_the_gateway_alone() {
        let payee = Payee { first_name: Some("Ada"), last_name: "Lovelace", iban: "AT00", bic: None };
        let payout =
            FollowUp { transaction_type: "credit", payment_method: Some("sepacredit"), payee: Some(payee), ..CAPTURE };
        let xml = xml_body(&payout);
        assert!(
            xml.contains(
                "<account-holder><first-name>Ada</first-name><last-name>Lovelace</last-name></account-holder>\
                 <bank-account><iban>AT00</iban></bank-account>"
            ),
            "{xml}"
        );
        assert!(!format!("{payout:?}").contains("AT00"));
    }

    /// A request has the shape of an answer: our own reader must find in it what was put there.
    #[test]
    fn what_is_written_can_be_read_again_whatever_the_texts_hold() {
        let odd = "a&b<c>\"d'e; ä €";
        let request = FollowUp {
            merchant_account: MerchantAccount::ResolverCategory("cat"),
            order_number: Some(odd),
            descriptor: Some(odd),
            ip_address: Some("192.0.2.1"),
            periodic: Some(("recurring", "final")),
            ..CAPTURE
        };
        let xml = xml_body(&request);
        assert!(xml.contains("<merchant-account-resolver-category>cat<"), "{xml}");
        let read = decode(xml.as_bytes(), None).expect("readable").transactions.remove(0);
        assert_eq!(read.order_number.as_deref(), Some(odd));
        assert_eq!(read.request_id.as_deref(), Some("op-1"));
        assert_eq!(read.periodic.and_then(|p| p.sequence_type).as_deref(), Some("final"));
        assert_eq!(read.amount.map(|a| a.value_text()).as_deref(), Some("12.50"));
        let form = form_body(&request).expect("a form");
        let read = decode(form.as_bytes(), None).expect("readable").transactions.remove(0);
        assert_eq!(read.order_number.as_deref(), Some(odd));
        assert_eq!(read.parent_transaction_id.as_deref(), Some(CAPTURE.parent_transaction_id));
    }
}
