use axum::extract::State;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const BODY_MAX: usize = 1000;
/// Longer than any limit here: only a connection that hangs for ever meets it.
const HANG: Duration = Duration::from_secs(30);

struct Server {
    at: std::net::SocketAddr,
    turned: Arc<Turned>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

async fn echo(State(room): State<Room>, body: Body) -> Response<Body> {
    let status = match room.read(body, Duration::from_millis(200)).await {
        Ok(held) => return Response::new(Body::from(held.bytes)),
        Err(NoBody::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Err(NoBody::Incomplete) => StatusCode::BAD_REQUEST,
        Err(NoBody::NoRoom) => return unavailable("no room"),
    };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

async fn server(connections_max: usize) -> Server {
    let turned = Arc::<Turned>::default();
    let room = Room::new(BODY_MAX, 2 * BODY_MAX, turned.clone());
    let slow = post(|| async {
        tokio::time::sleep(HANG).await;
        "late"
    });
    let app = Router::new().route("/", post(echo)).route("/slow", slow).with_state(room);
    let limits = Limits {
        head_deadline: Duration::from_millis(300),
        request_deadline: Duration::from_millis(500),
        linger: HANG,
        ..Limits::new(connections_max, 1)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    tracker.spawn(serve(Listener::Tcp(listener), app, limits, turned.clone(), tracker.clone(), stop.clone()));
    Server { at, turned, stop, tracker }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("a connection")
    }

    /// Sends, and reads until the server closes.
    async fn tell(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.expect("sent");
        until_closed(&mut stream).await
    }

    fn turned_away(&self) -> (u64, u64, u64) {
        let Turned { connections, bodies, requests } = &*self.turned;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(connections), read(bodies), read(requests))
    }
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset closes too.
    let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut text)).await.expect("the server hangs up");
    String::from_utf8_lossy(&text).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

fn request(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn what_fits_is_answered() {
    let server = server(8).await;
    let answer = server.tell(&request("hello")).await;
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(server.turned_away(), (0, 0, 0));
}

#[tokio::test]
async fn half_a_head_and_an_idle_connection_are_closed() {
    let server = server(8).await;
    assert_eq!(status(&server.tell("POST / HTTP/1.1\r\nHost: x\r\nX-").await), "closed");
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab").await.expect("sent");
    let answer = until_closed(&mut stream).await;
    assert_eq!(status(&answer), "200", "kept alive, then closed when nothing follows");
}

#[tokio::test]
async fn half_a_body_is_incomplete() {
    let server = server(8).await;
    let answer = server.tell("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(status(&answer), "400");
    assert_eq!(server.turned_away(), (0, 1, 0));
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_by_its_length_and_by_its_bytes() {
    let server = server(8).await;
    let claimed = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n";
    assert_eq!(status(&server.tell(claimed).await), "413");
    let chunk = format!("{:x}\r\n{}\r\n", BODY_MAX + 1, "x".repeat(BODY_MAX + 1));
    let chunked = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    assert_eq!(status(&server.tell(&chunked).await), "413");
    assert_eq!(server.turned_away(), (0, 2, 0));
}

#[tokio::test]
async fn a_sender_is_heard_out_by_whom_it_was_refused() {
    let server = server(8).await;
    let body = vec![b'x'; 4 << 20];
    for way in ["/nowhere", "/"] {
        let mut stream = server.connect().await;
        let head = format!("POST {way} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("sent");
        let answer = until_closed(&mut stream).await;
        assert!(["404", "413"].contains(&status(&answer)), "{answer}");
        stream.write_all(&body).await.expect("a reset would take the answer away");
    }
}

#[tokio::test]
async fn a_sender_that_never_ends_is_heard_for_a_while_only() {
    let (mut sender, ours) = tokio::io::duplex(64);
    let mut lingering = Lingering::new(ours, Duration::from_millis(50));
    lingering.asked().store(true, Ordering::Relaxed);
    let ended = tokio::spawn(async move { lingering.shutdown().await });
    tokio::time::timeout(HANG, ended).await.expect("it ends").expect("no panic").expect("shut down");
    sender.write_all(b"more").await.expect_err("nobody hears any more");
}

#[tokio::test]
async fn a_long_header_passes_and_an_endless_one_does_not() {
    let server = server(8).await;
    let head = |length| {
        let long = "a".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: {long}\r\nContent-Length: 0\r\n\r\n")
    };
    assert_eq!(status(&server.tell(&head(10_000)).await), "200");
    assert!(["431", "closed"].contains(&status(&server.tell(&head(100_000)).await)));
}

#[tokio::test]
async fn a_connection_over_the_cap_is_closed_and_counted_and_the_next_is_served() {
    let server = server(2).await;
    let (first, second) = (server.connect().await, server.connect().await);
    // Accepted in order, so by the time the third is closed the first two have their places.
    assert_eq!(status(&server.tell(&request("x")).await), "closed");
    assert_eq!(server.turned_away().0, 1);
    drop((first, second));
    let mut answer = String::new();
    for _ in 0..100 {
        answer = server.tell(&request("x")).await;
        if status(&answer) == "200" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn nothing_follows_a_body_whose_length_is_told_twice() {
    let server = server(8).await;
    for heads in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3",
    ] {
        let smuggled = "POST /slow HTTP/1.1\r\nHost: y\r\nContent-Length: 0\r\n\r\n";
        let text = format!("POST / HTTP/1.1\r\nHost: x\r\n{heads}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = server.tell(&text).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{heads}: {answer}");
    }
}

#[tokio::test]
async fn bodies_under_way_share_one_room() {
    let turned = Arc::<Turned>::default();
    let room = Room::new(BODY_MAX, BODY_MAX + 10, turned);
    let full = |n: usize| Body::from("x".repeat(n));
    let held = room.read(full(BODY_MAX), HANG).await.expect("there is room");
    assert_eq!(room.read(full(11), HANG).await.map(|h| h.bytes.len()), Err(NoBody::NoRoom));
    drop(held);
    assert_eq!(room.read(full(11), HANG).await.map(|h| h.bytes.len()), Ok(11));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_503_and_a_stop_does_not_wait_for_clients() {
    let server = server(8).await;
    let answer = server.tell("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(&answer), "503");
    assert!(answer.to_lowercase().contains("retry-after: 30"), "{answer}");
    assert_eq!(server.turned_away(), (0, 0, 1));

    let _idle = server.connect().await;
    server.stop.cancel();
    server.tracker.close();
    tokio::time::timeout(HANG, server.tracker.wait()).await.expect("every connection ends");
}

#[test]
fn one_address_has_so_many_connections_and_loopback_any_number() {
    let peers = Arc::new(Peers::default());
    let ip: IpAddr = "192.0.2.1".parse().expect("an address");
    let first = peers.clone().sit(Some(ip), 1);
    assert!(first.is_some() && peers.clone().sit(Some(ip), 1).is_none());
    drop(first);
    assert!(peers.clone().sit(Some(ip), 1).is_some());
    let own: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
    let seats: Vec<_> = (0..5).map(|_| peers.clone().sit(Some(own), 1)).collect();
    assert!(seats.iter().all(Option::is_some));
}
