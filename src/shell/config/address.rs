//! Which addresses we may talk to: https, no user info, and not into our own network by mistake.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::core::account::Product;

/// Why an address is not one to talk to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAnAddress {
    #[error("is not an absolute URL")]
    NotAUrl,
    #[error("must be https (http is for loopback only)")]
    NotHttps,
    #[error("must not hold a user name or password")]
    UserInfo,
    #[error("must not hold a query or fragment")]
    QueryOrFragment,
    #[error("points to a link-local, multicast or unspecified address")]
    Forbidden,
    #[error("points into a private network; set `allow_private_address = true` if that is meant")]
    Private,
}

/// What an IP address is to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    Loopback,
    Private,
    Public,
    /// Metadata services live here; nothing we talk to does.
    Forbidden,
}

pub fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => reach_v4(ip),
            None => reach_v6(ip),
        },
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    let [a, b, ..] = ip.octets();
    if ip.is_loopback() {
        Reach::Loopback
    } else if ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || a == 0 || a >= 240 {
        Reach::Forbidden
    } else if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    if ip.is_loopback() {
        Reach::Loopback
    } else if ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() {
        Reach::Forbidden
    } else if ip.is_unique_local() {
        Reach::Private
    } else {
        Reach::Public
    }
}

/// Whether we may talk to an address that a configured name resolved to: a name that was the gateway's can be
/// made to point into our own network. `loopback`: the configured URL itself is this machine's own.
pub fn may_reach(ip: IpAddr, allow_private: bool, loopback: bool) -> bool {
    match reach(ip) {
        Reach::Public => true,
        Reach::Private => allow_private,
        Reach::Loopback => loopback,
        Reach::Forbidden => false,
    }
}

/// Reads a gateway's base URL. A path is kept without its last slash; query and fragment are refused.
pub fn base_url(text: &str, allow_private: bool) -> Result<Url, NotAnAddress> {
    let url = any_url(text, allow_private)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(NotAnAddress::QueryOrFragment);
    }
    Ok(url)
}

/// Reads the URL of a webhook, which may carry a query.
pub fn any_url(text: &str, allow_private: bool) -> Result<Url, NotAnAddress> {
    let url = Url::parse(text).map_err(|_| NotAnAddress::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(if url.has_host() { NotAnAddress::NotHttps } else { NotAnAddress::NotAUrl });
    }
    if !url.username().is_empty() || url.password().is_some() || authority_has_at(text) {
        return Err(NotAnAddress::UserInfo);
    }
    let reach = literal_ip(&url).map(reach);
    match reach {
        Some(Reach::Forbidden) => return Err(NotAnAddress::Forbidden),
        Some(Reach::Private) if !allow_private => return Err(NotAnAddress::Private),
        _ => {}
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(NotAnAddress::NotHttps);
    }
    Ok(url)
}

/// `https://@host` parses as an empty user: refuse it all the same.
fn authority_has_at(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#', '\\']).next().is_some_and(|authority| authority.contains('@'))
}

fn literal_ip(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether the address is this machine's own.
pub fn is_loopback(url: &Url) -> bool {
    match literal_ip(url) {
        Some(ip) => reach(ip) == Reach::Loopback,
        None => url.host_str().is_some_and(|h| h == "localhost" || h.ends_with(".localhost")),
    }
}

/// Hosts on which published test credentials are at home (fact sheet wpg a.1): `api-test.…`, `wpp-test.…`.
pub fn is_test_host(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let at_home = [".wirecard.com", ".getneteurope.com"].iter().any(|domain| host.ends_with(domain));
    at_home && host.split('.').next().is_some_and(|first| first.ends_with("-test"))
}

/// The gateway's own hosts of the checkout dialect by era, and its folders for Checkout Page and Checkout Seamless there
/// (guides.qenta.com, back-end operations, "technical"; `/qpay` and `/qmore` are the oldest names).
const CHECKOUT_HOSTS: [(&str, [&str; 2]); 4] = [
    ("secure.wirecard-cee.com", ["/qpay", "/qmore"]),
    ("checkout.wirecard.com", ["/page", "/seamless"]),
    ("api.qenta.com", ["/page", "/seamless"]),
    ("papi.hobex.at", ["/page", "/seamless"]),
];

/// What a base URL on one of the gateway's own hosts should be, where it lacks the product's folder: nothing there
/// would answer. `None`: it has it, or the host is nobody we know.
pub fn without_product(url: &Url, product: Product) -> Option<String> {
    let host = url.host_str()?;
    let (_, folders) = CHECKOUT_HOSTS.iter().find(|(known, _)| host == *known)?;
    let path = url.path().trim_end_matches('/');
    let ours = |page: &str, seamless: &str| {
        path.eq_ignore_ascii_case(match product {
            Product::Page => page,
            Product::Seamless => seamless,
        })
    };
    // Hosts took the oldest names long after they had new ones.
    if ours("/page", "/seamless") || ours("/qpay", "/qmore") {
        return None;
    }
    let folder = match product {
        Product::Page => folders[0],
        Product::Seamless => folders[1],
    };
    Some(format!("https://{host}{folder}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_addresses() {
        use NotAnAddress::*;
        for (text, expected) in [
            ("https://api.wirecard.com", Ok(())),
            ("https://api.wirecard.com/prefix", Ok(())),
            ("https://api.wirecard.com:8443/", Ok(())),
            ("http://127.0.0.1:18080", Ok(())),
            ("http://[::1]:18080", Ok(())),
            ("http://localhost:1", Ok(())),
            ("https://127.0.0.1", Ok(())),
            ("http://[::ffff:127.0.0.1]/", Ok(())),
            ("http://api.wirecard.com", Err(NotHttps)),
            ("ftp://api.wirecard.com", Err(NotHttps)),
            ("file:///etc/passwd", Err(NotAUrl)),
            ("api.wirecard.com", Err(NotAUrl)),
            ("", Err(NotAUrl)),
            ("https://gw@evil.example", Err(UserInfo)),
            ("https://gw:pw@evil.example", Err(UserInfo)),
            ("https://@evil.example", Err(UserInfo)),
            ("https://api.wirecard.com?x=1", Err(QueryOrFragment)),
            ("https://api.wirecard.com/#x", Err(QueryOrFragment)),
            ("https://169.254.169.254/latest", Err(Forbidden)),
            ("http://169.254.169.254/latest", Err(Forbidden)),
            ("https://[fe80::1]", Err(Forbidden)),
            ("https://[::ffff:169.254.169.254]", Err(Forbidden)),
            ("https://0.0.0.0", Err(Forbidden)),
            ("https://[::]", Err(Forbidden)),
            ("https://224.0.0.1", Err(Forbidden)),
            ("https://255.255.255.255", Err(Forbidden)),
            ("https://2852039166", Err(Forbidden)),
            ("https://0xA9FEA9FE/", Err(Forbidden)),
            ("https://10.0.0.1", Err(Private)),
            ("https://192.168.1.1", Err(Private)),
            ("https://172.16.0.1", Err(Private)),
            ("https://100.64.0.1", Err(Private)),
            ("https://[fd00::1]", Err(Private)),
            ("http://127.0.0.1.evil.example", Err(NotHttps)),
            ("http://localhost.evil.example", Err(NotHttps)),
        ] {
            assert_eq!(base_url(text, false).map(|_| ()), expected, "{text}");
        }
        assert!(base_url("https://10.0.0.1", true).is_ok());
        assert_eq!(base_url("http://10.0.0.1", true).map(|_| ()), Err(NotHttps));
        assert!(any_url("https://hooks.example/x?token=1", false).is_ok());
    }

    #[test]
    fn test_hosts_are_the_gateways_own() {
        let is_test = |text: &str| is_test_host(&Url::parse(text).expect("a url"));
        assert!(is_test("https://api-test.wirecard.com"));
        assert!(is_test("https://paymentpage-test.getneteurope.com"));
        assert!(!is_test("https://api.wirecard.com"));
        assert!(!is_test("https://api-test.evil.example"));
        assert!(!is_test("https://api-test.wirecard.com.evil.example"));
    }

    #[test]
    fn the_gateways_own_hosts_are_asked_in_the_products_folder() {
        let right = |text: &str, product| without_product(&Url::parse(text).expect("a url"), product);
        for (text, product, says) in [
            ("https://checkout.wirecard.com", Product::Seamless, Some("https://checkout.wirecard.com/seamless")),
            ("https://checkout.wirecard.com/", Product::Page, Some("https://checkout.wirecard.com/page")),
            ("https://api.qenta.com/page", Product::Seamless, Some("https://api.qenta.com/seamless")),
            ("https://api.qenta.com/seamless/backend", Product::Seamless, Some("https://api.qenta.com/seamless")),
            ("https://secure.wirecard-cee.com", Product::Page, Some("https://secure.wirecard-cee.com/qpay")),
            ("https://api.qenta.com/page/", Product::Page, None),
            ("https://checkout.wirecard.com/seamless", Product::Seamless, None),
            ("https://checkout.wirecard.com/qmore", Product::Seamless, None),
            ("https://gateway.example.com", Product::Seamless, None),
            ("http://127.0.0.1:8090", Product::Page, None),
        ] {
            assert_eq!(right(text, product).as_deref(), says, "{text}");
        }
    }
}
