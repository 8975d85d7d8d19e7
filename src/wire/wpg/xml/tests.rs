use super::*;

fn why(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn what_the_gate_refuses_is_named() {
    let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
    let wide = format!("<a {}/>", (0..65).map(|n| format!("b{n}='1' ")).collect::<String>());
    let scoped = format!("<a {}/>", (0..17).map(|n| format!("xmlns:n{n}='u' ")).collect::<String>());
    for (text, expected) in [
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "a DOCTYPE"),
        ("<a>&x;</a>", "an entity other than the five"),
        ("<a b='&x;'/>", "an entity other than the five"),
        ("<a b='&'/>", "a lone `&`"),
        ("<a>&#0;</a>", "an entity other than the five"),
        ("<a><?php x?></a>", "a processing instruction"),
        ("<a/><b/>", "a second root element"),
        ("<a/>more", "text outside the root"),
        ("<a/><![CDATA[]]>", "CDATA outside the root"),
        ("more<a/>", "text outside the root"),
        ("<a>", "an end before the root is closed"),
        ("", "an end before the root is closed"),
        ("<a></b>", "xml: "),
        ("<a/><?xml version='1.0'?>", "an XML declaration that is not first"),
        ("<a b='1' b='2'/>", "comes twice"),
        ("<a b=1/>", "not in quotes"),
        ("<a b='1'c='2'/>", "without a blank"),
        ("<a b/>", "without a value"),
        ("<a b='1' c/>", "without a value"),
        ("<a ='1'/>", "the name"),
        ("<a b c='1'/>", "the name"),
        ("<a b='1/>", "xml: "),
        ("<a xmlns='u' xmlns='v'/>", "comes twice"),
        ("<x:a/>", "an undeclared prefix"),
        ("<a x:b='1'/>", "an undeclared prefix"),
        ("<a$b/>", "the name"),
        ("<a xmlns:xml='u'/>", "a namespace declaration"),
        ("<a>\u{1}</a>", "a control character"),
        (&deep, "nested deeper than 32"),
        (&wide, "more than 64 attributes"),
        (&scoped, "a namespace declaration"),
    ] {
        assert!(why(text).contains(expected), "{text}: {}", why(text));
    }
}

#[test]
fn text_is_joined_over_comments_cdata_and_references() {
    let document = read("<a>19<!-- -->.<![CDATA[5]]>0&amp;&#x41;\r\n</a>").expect("a document");
    assert_eq!(document.text(0), "19.50&A\n");
}

#[test]
fn attributes_are_normalised_as_xml_says() {
    let document = read("<a b='x\r\ny&#10;&quot;'/>").expect("a document");
    assert_eq!(document.attribute(0, "b"), Some("x y\n\""));
}

#[test]
fn the_encoding_is_taken_from_the_document_and_strictly() {
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xFC</a>";
    assert!(decode_text(latin).expect("latin").contains('ü'));
    let west = b"<?xml version=\"1.0\" encoding = \"windows-1250\"?><a>\x9A</a>";
    assert!(decode_text(west).expect("1250").contains('š'));
    assert_eq!(decode_text(b"\xEF\xBB\xBF<a/>").expect("mark"), "<a/>");
    for bad in [
        &b"<a>\xFC</a>"[..],
        b"<?xml version='1.0' encoding='UTF-7'?><a/>",
        b"<?xml version='1.0' encoding='gbk'?><a/>",
        b"\xFF\xFE<\0a\0/\0>\0",
    ] {
        assert!(decode_text(bad).is_err());
    }
}

#[test]
fn declarations_hold_for_their_own_element_and_below_only() {
    let text = format!(
        "<p:a xmlns:p='{}'><b xmlns='{DSIG_NAMESPACE}' p:c='1'/><d/><p:e xmlns:p='u'/></p:a>",
        PAYMENT_NAMESPACES[0]
    );
    let document = read(&text).expect("a document");
    assert_eq!(document.element(0).space, Space::Payment);
    let children: Vec<_> = document.children(0).map(|at| document.element(at).space).collect();
    assert_eq!(children, [Space::Dsig, Space::None, Space::Strange]);
    let b = document.children(0).next().expect("b");
    assert_eq!(document.namespace(&document.attributes(document.element(b))[0]), PAYMENT_NAMESPACES[0]);
}
