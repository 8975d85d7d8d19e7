use super::*;

fn of(text: &str) -> Result<Option<RequestHead>, Refused> {
    request(text.as_bytes())
}

#[test]
fn a_head_is_read_and_its_host_is_found_where_it_stands() {
    let text = "POST /engine/rest/payments/?x=1 HTTP/1.1\r\nhOST:   shop.example \r\nX-Odd:\t y\r\n\
                content-TYPE: application/xml;charset=ISO-8859-1\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\nabc";
    let head = of(text).expect("a request").expect("whole");
    assert_eq!(&text[head.host.clone().expect("a host")], "shop.example");
    let expected = RequestHead {
        bytes: text.len() - 3,
        method: "POST".into(),
        target: "/engine/rest/payments/?x=1".into(),
        content_type: Some("application/xml;charset=ISO-8859-1".into()),
        framing: Framing::Length(3),
        host: head.host.clone(),
        expects_continue: true,
        persists: true,
    };
    assert_eq!(head, expected);
    for end in 0..head.bytes {
        assert_eq!(of(&text[..end]), Ok(None), "cut at {end}");
    }
}

#[test]
fn connections_persist_as_both_versions_have_it() {
    for (line, persists) in [
        ("HTTP/1.1\r\nHost: a", true),
        ("HTTP/1.1\r\nHost: a\r\nConnection: Close", false),
        ("HTTP/1.1\r\nHost: a\r\nConnection: x, close", false),
        ("HTTP/1.0", false),
        ("HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive", true),
    ] {
        let head = of(&format!("GET / {line}\r\n\r\n")).expect("a request").expect("whole");
        assert_eq!(head.persists, persists, "{line:?}");
    }
}

#[test]
fn what_two_servers_could_read_in_two_ways_is_refused() {
    use Refused::*;
    let post = |headers: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
    for (text, why) in [
        (post("Content-Length: 3\r\nTransfer-Encoding: chunked"), TwoFramings),
        (post("Transfer-Encoding: chunked\r\ncontent-length: 0"), TwoFramings),
        (post("Content-Length: 3\r\nContent-Length: 3"), Length),
        (post("Content-Length: 3, 3"), Length),
        (post("Content-Length: +3"), Length),
        (post("Content-Length: 0x3"), Length),
        (post("Content-Length: 99999999999999999999"), Length),
        (post("Content-Length:"), Length),
        (post("Transfer-Encoding: gzip, chunked"), TransferEncoding),
        (post("Transfer-Encoding: xchunked"), TransferEncoding),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), TransferEncoding),
        (post("Transfer-Encoding: identity"), TransferEncoding),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), TransferEncoding),
        (post("X: a\r\n b"), Folded),
        (post("Content-Length: 3\r\n\t3"), Folded),
        (post("X: a\nContent-Length: 3"), BareLineEnd),
        (post("X: a\rContent-Length: 3"), BareLineEnd),
        ("POST / HTTP/1.1\nHost: a\n\n".into(), BareLineEnd),
        ("\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n".into(), BareLineEnd),
        (post("Content-Length : 3"), NotHttp),
        (post("X\0: 3"), NotHttp),
        (post("Host: b"), Host),
        ("POST / HTTP/1.1\r\nX: a\r\n\r\n".into(), Host),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), NotAPath),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".into(), NotAPath),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), NotAPath),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), NotHttp),
        ("GET /\r\n\r\n".into(), NotHttp),
        ("\u{16}\u{3}\u{1}\r\n\r\n".into(), NotHttp),
        (post(&"X: y\r\n".repeat(HEADERS_MAX)), TooLong),
        (post(&format!("X: {}", "y".repeat(HEAD_MAX_BYTES))), TooLong),
        ("x".repeat(HEAD_MAX_BYTES), TooLong),
    ] {
        let shown: String = text.chars().take(90).collect();
        assert_eq!(of(&text), Err(why), "{shown:?}");
    }
}

#[test]
fn the_end_of_an_answer_is_told_by_status_method_and_headers() {
    use Framing::*;
    for (method, text, framing, persists) in [
        ("POST", "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n", Length(5), true),
        (
            "POST",
            "HTTP/1.1 201\r\ncontent-length:5\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            Length(5),
            false,
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", None, true),
        ("POST", "HTTP/1.1 100 Continue\r\n\r\n", None, true),
        ("POST", "HTTP/1.1 204 No Content\r\n\r\n", None, true),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", None, true),
        ("POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n", Chunked, true),
        ("POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", Chunked, false),
        ("POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", UntilClose, false),
        ("POST", "HTTP/1.0 200 OK\r\n\r\n", UntilClose, false),
        ("POST", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", UntilClose, false),
        ("POST", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", Length(5), true),
    ] {
        let head = answer(text.as_bytes(), method).expect("an answer").expect("whole");
        assert_eq!((head.framing, head.persists, head.bytes), (framing, persists, text.len()), "{method} {text:?}");
        assert_eq!(answer(&text.as_bytes()[..text.len() - 2], method), Ok(Option::None), "{text:?}");
    }
}

#[test]
fn an_answer_whose_end_nobody_can_tell_is_not_passed_on() {
    for (text, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n".to_owned(), Unreadable::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n".to_owned(), Unreadable::Length),
        ("SSH-2.0-x\r\n".to_owned(), Unreadable::NotHttp),
        (format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(HEAD_MAX_BYTES)), Unreadable::TooLong),
    ] {
        assert_eq!(answer(text.as_bytes(), "POST"), Err(why), "{:?}", &text[..text.len().min(60)]);
    }
}

#[test]
fn the_coding_of_an_answer_is_named() {
    for (line, encoding) in [
        ("X: y", Encoding::Plain),
        ("Content-Encoding: identity", Encoding::Plain),
        ("content-encoding: GZIP", Encoding::Gzip),
        ("Content-Encoding: deflate", Encoding::Deflate),
        ("Content-Encoding: br", Encoding::Other),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n{line}\r\n\r\n");
        let head = answer(text.as_bytes(), "POST").expect("an answer").expect("whole");
        assert_eq!(head.encoding, encoding, "{line}");
    }
}

/// The framing headers as the most careless reader finds them: lines end at any line feed, names end at any colon
/// and may have blanks around them, folded lines are lines.
fn carelessly(head: &[u8]) -> Vec<(String, String)> {
    let lines = head.split(|b| *b == b'\n' || *b == b'\r').skip(1);
    let pairs = lines.filter_map(|line| {
        let text = String::from_utf8_lossy(line).to_ascii_lowercase();
        let (name, value) = text.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.filter(|(name, _)| name == "content-length" || name == "transfer-encoding").collect()
}

proptest::proptest! {
    #[test]
    fn a_head_that_is_accepted_has_one_framing_for_every_reader(
        lines in proptest::collection::vec(
            proptest::sample::select(vec![
                "Content-Length: 3", "content-length:3", "Content-Length : 3", "Content-Length: 4", "Content-Length: 3,3",
                "Transfer-Encoding: chunked", "transfer-encoding:\tchunked", "Transfer-Encoding: identity", "X: y", " folded",
                "\tContent-Length: 9", "Host: a", "Host: b", "", "X", ": z", "Transfer-Encoding\0: chunked",
            ]),
            0..7,
        ),
        ends in proptest::collection::vec(proptest::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"]), 7),
        cut in 0usize..200,
    ) {
        let mut text = String::from("POST / HTTP/1.1\r\n");
        for (line, end) in lines.iter().zip(&ends) {
            text.push_str(line);
            text.push_str(end);
        }
        text.push_str("\r\n\r\n");
        let bytes = text.as_bytes();
        let read = request(bytes);
        if let Ok(Some(head)) = &read {
            let found = carelessly(&bytes[..head.bytes]);
            let expected = match head.framing {
                Framing::None => vec![],
                Framing::Length(n) => vec![("content-length".to_owned(), n.to_string())],
                Framing::Chunked => vec![("transfer-encoding".to_owned(), "chunked".to_owned())],
                Framing::UntilClose => unreachable!("a request never ends with its connection"),
            };
            proptest::prop_assert_eq!(found, expected, "{:?}", text);
            proptest::prop_assert!(bytes[..head.bytes].ends_with(b"\r\n\r\n"));
        }
        // What a piece of it says, the whole does not take back.
        if let Ok(Some(early)) = request(&bytes[..cut.min(bytes.len())]) {
            proptest::prop_assert_eq!(Ok(Some(early)), read);
        }
    }
}
