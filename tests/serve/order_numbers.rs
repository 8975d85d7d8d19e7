//! Gateway order numbers, asked for by the real process.

use std::sync::atomic::Ordering;

use super::relay::Own;
use super::shop::Shop;

const BODY: &str = r#"{"merchant": "shop-at"}"#;

/// The example, its checkout account at this gateway.
fn shop_at(gateway: &Own, order_numbers: bool) -> Shop {
    let shop = Shop::new();
    let file = shop.path("reconciled.toml");
    let config = std::fs::read_to_string(&file).expect("the example");
    let (before, account) = config.split_once("[merchants.shop-at]").expect("the account");
    let base = gateway.url.split("/own").next().expect("an address");
    let account = account.replacen("http://127.0.0.1:9\"", &format!("{base}\""), 1).replace(
        "#order_numbers = false ",
        &format!("order_numbers = {order_numbers}\nrequests_per_second_max = 100 "),
    );
    std::fs::write(file, format!("{before}[merchants.shop-at]{account}")).expect("written");
    shop
}

#[test]
fn a_shop_gets_a_gateway_order_number_only_where_it_is_switched_on() {
    let gateway = Own::new(200, "status=0&orderNumber=1234567");
    let shop = shop_at(&gateway, false);
    let daemon = shop.start();
    assert_eq!(shop.ask("POST", "/v1/order-numbers", BODY).0, 409);
    assert_eq!(daemon.stop(), Some(0));
    assert!(gateway.came().is_empty(), "nothing is asked where it is not switched on");

    let shop = shop_at(&gateway, true);
    let daemon = shop.start();
    let (status, said) = shop.ask("POST", "/v1/order-numbers", BODY);
    assert_eq!((status, said["gateway_order_number"].as_str()), (200, Some("1234567")), "{said}");
    let asked = gateway.came();
    assert!(asked.len() == 1 && asked[0].target.starts_with("POST /backend/generateOrderNumber "), "{asked:?}");
    assert!(asked[0].body.contains("requestFingerprint="));
    for (body, field) in [
        (r#"{"merchant": "shop-eu"}"#, "merchant"),
        (r#"{"merchant": "shop-xx"}"#, "merchant"),
        ("{}", "merchant"),
        (r#"{"merchant": "shop-at", "count": 2}"#, "count"),
    ] {
        let (status, refused) = shop.ask("POST", "/v1/order-numbers", body);
        assert_eq!((status, refused["field"].as_str()), (422, Some(field)), "{body}");
    }
    gateway.status.store(500, Ordering::SeqCst);
    let (status, refused) = shop.ask("POST", "/v1/order-numbers", BODY);
    assert_eq!(status, 502, "{refused}");
    assert_eq!(daemon.stop(), Some(0));
}
