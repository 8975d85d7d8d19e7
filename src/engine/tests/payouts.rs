//! Which account pays a payout: the one that is named, or whose payment is.

use super::operations::wish;
use super::*;
use crate::core::operation::{Fund, Kind, Wish};
use crate::engine::operations::OverCapture;

#[test]
fn the_payment_that_is_named_says_which_account_pays() {
    let mut world = World::new();
    world.submit("hmac", "c-1", "50");
    world.submit("signed", "r-1", "50");
    let payer = |merchant: Option<&str>, id: Option<&str>| {
        let wish = Wish {
            id: id.map(str::to_owned),
            merchant: merchant.and_then(|name| MerchantName::new(name).ok()),
            currency: crate::words::money::Currency::parse("EUR"),
            fund: Some(Fund::SepaCt),
            ..wish(Kind::Transfer, "", "5")
        };
        let planned = world.engine.plan_operation(&world.store, &wish, &OverCapture::new(), world.now);
        planned
            .expect("no fault")
            .map(|plan| plan.merchant.to_string())
            .map_err(|refusal| (refusal.field, refusal.error))
    };
    assert_eq!(payer(None, Some("c-1")), Ok("hmac".to_owned()));
    assert_eq!(payer(None, Some("order-c-1")), Ok("hmac".to_owned()));
    assert_eq!(payer(Some("hmac"), None), Ok("hmac".to_owned()));
    let (field, why) = payer(None, Some("nobody")).expect_err("refused");
    assert_eq!((field.as_deref(), why.as_str()), (Some("id"), "nothing is known under `nobody`"));
    for (merchant, id) in [(None, Some("r-1")), (Some("signed"), None)] {
        let (field, why) = payer(merchant, id).expect_err("refused");
        assert_eq!(field.as_deref(), Some("merchant"));
        assert!(
            why.starts_with("must be the one checkout account that pays it out: ") && why.contains("hmac"),
            "{why}"
        );
    }
}
