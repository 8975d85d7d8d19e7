//! What we answer to a confirmation (fact sheet checkout a.6).
//!
//! The gateway reads the answer only where the merchant bought re-delivery; then HTTP 200 alone is not enough, the body
//! must hold the token. OK is the answer to everything that is durably kept, duplicates and unsigned messages
//! included; NOK only to what could not be kept, because it asks for the whole series of repeats.

/// Longest message the gateway logs with a NOK, in characters.
pub const NOK_MESSAGE_MAX_CHARS: usize = 255;

/// The three forms the gateway looks for in the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyForm {
    /// `<QPAY-CONFIRMATION-RESPONSE result="OK" />`
    #[default]
    Element,
    /// The same inside an HTML comment, for pages that people see too.
    Comment,
    /// JSON, to be sent with `Content-Type: application/json`.
    Json,
}

/// "Kept": the element form.
pub fn reply_ok() -> String {
    ReplyForm::Element.ok()
}

/// "Not kept, send it again": the element form. The message is cut to [`NOK_MESSAGE_MAX_CHARS`].
pub fn reply_nok(message: &str) -> String {
    ReplyForm::Element.nok(message)
}

/// Whether a shop's answer to a confirmation holds the token that says "kept", in any of its forms. As the
/// gateway looks for it: anywhere in the body (fact sheet checkout a.6).
pub fn says_ok(body: &[u8]) -> bool {
    const NAME: &[u8] = b"QPAY-CONFIRMATION-RESPONSE";
    let text: Vec<u8> =
        body.iter().copied().filter(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\'')).collect();
    text.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).any(|(at, _)| {
        let behind = &text[at + NAME.len()..];
        behind.starts_with(b"result=OK") || behind.starts_with(b":{result:OK")
    })
}

impl ReplyForm {
    /// What the answer says it is. Only the JSON form needs its type to be found.
    pub fn content_type(self) -> &'static str {
        match self {
            ReplyForm::Element | ReplyForm::Comment => "text/html; charset=utf-8",
            ReplyForm::Json => "application/json",
        }
    }

    /// "Kept".
    pub fn ok(self) -> String {
        let element = r#"<QPAY-CONFIRMATION-RESPONSE result="OK" />"#;
        match self {
            ReplyForm::Element => element.to_owned(),
            ReplyForm::Comment => format!("<!--{element}-->"),
            ReplyForm::Json => {
                r#"{"status":"OK","errorCodes":null,"QPAY-CONFIRMATION-RESPONSE":{"result":"OK"}}"#.to_owned()
            }
        }
    }

    /// "Not kept, send it again".
    pub fn nok(self, message: &str) -> String {
        let message: String = message.chars().filter(|c| !c.is_control()).take(NOK_MESSAGE_MAX_CHARS).collect();
        let element = || format!(r#"<QPAY-CONFIRMATION-RESPONSE result="NOK" message="{}" />"#, attribute(&message));
        match self {
            ReplyForm::Element => element(),
            // Two hyphens would end the comment.
            ReplyForm::Comment => format!("<!--{}-->", element().replace("--", "- -").replace("--", "- -")),
            ReplyForm::Json => serde_json::json!({
                "status": "NOK",
                "errorCodes": null,
                "QPAY-CONFIRMATION-RESPONSE": {"result": "NOK", "message": message},
            })
            .to_string(),
        }
    }
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_are_those_the_gateway_looks_for() {
        assert_eq!(reply_ok(), "<QPAY-CONFIRMATION-RESPONSE result=\"OK\" />");
        assert_eq!(ReplyForm::Comment.ok(), "<!--<QPAY-CONFIRMATION-RESPONSE result=\"OK\" />-->");
        let json: serde_json::Value = serde_json::from_str(&ReplyForm::Json.ok()).expect("json");
        assert_eq!(json["QPAY-CONFIRMATION-RESPONSE"]["result"], "OK");
    }

    #[test]
    fn a_shops_answer_is_searched_for_the_token_in_every_form() {
        for form in [ReplyForm::Element, ReplyForm::Comment, ReplyForm::Json] {
            assert!(says_ok(form.ok().as_bytes()), "{form:?}");
            assert!(says_ok(format!("<html>\n{}\n</html>", form.ok()).as_bytes()), "{form:?}");
            assert!(!says_ok(form.nok("OK is what it is not").as_bytes()), "{form:?}");
        }
        assert!(says_ok(b"<QPAY-CONFIRMATION-RESPONSE  result='OK'/>"));
        assert!(!says_ok(b"") && !says_ok(b"OK") && !says_ok(b"<QPAY-CONFIRMATION-RESPONSE"));
    }

    #[test]
    fn a_refusal_cannot_break_out_of_its_form() {
        let message = "a \"b\" <c> --> & \n d";
        let element =
            r#"<QPAY-CONFIRMATION-RESPONSE result="NOK" message="a &quot;b&quot; &lt;c&gt; --&gt; &amp;  d" />"#;
        assert_eq!(reply_nok(message), element);
        assert_eq!(ReplyForm::Comment.nok(message), format!("<!--{}-->", element.replace("--&gt;", "- -&gt;")));
        let json: serde_json::Value = serde_json::from_str(&ReplyForm::Json.nok(message)).expect("json");
        assert_eq!(json["QPAY-CONFIRMATION-RESPONSE"]["message"], "a \"b\" <c> --> &  d");
        assert_eq!(reply_nok(&"x".repeat(400)).matches('x').count(), NOK_MESSAGE_MAX_CHARS);
    }
}
