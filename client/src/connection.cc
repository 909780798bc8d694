#include "connection.h"

#include "endpoint.h"
#include "storage/base/diag.h"
#include "storage/base/units.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>

namespace millrace::detail {
namespace {

using std::chrono::milliseconds;

// The largest body, its header and the padding behind it, with room to spare.
constexpr std::int64_t frame_bytes_max = 80 * static_cast<std::int64_t>(MiB);
constexpr std::size_t frames_max = 65'536;
// Byte credits and windows bound what is on its way; the sockets' own queues only smooth.
constexpr int high_water_mark = 128;
constexpr milliseconds heartbeat_interval{5'000};
constexpr milliseconds heartbeat_timeout{15'000};
constexpr milliseconds handshake_timeout{5'000};
constexpr milliseconds inproc_look_interval{1'000};
constexpr milliseconds retry_pause_min{10};
constexpr milliseconds retry_pause_max{1'000};
constexpr int handshake_failed = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

constexpr const char* nobody_there = "check that a broker listens there, or allow a longer timeout";
// Another port of the broker is the likeliest: they lie side by side.
constexpr const char* not_a_broker =
    "something listens there, but not as a broker does for requests: name its request endpoint "
    "(\"listen\" of its ready line, port 7711 unless set), not the live feed's or that of HTTP";

int count_of(milliseconds duration) { return static_cast<int>(duration.count()); }

std::uint64_t entropy() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

std::optional<std::string> fault_of(const ClientOptions& options) {
  const std::string& endpoint = options.endpoint;
  if (auto fault = endpoint_fault(endpoint)) return fault;
  if (endpoint.starts_with("inproc://") && options.zmq_context == nullptr)
    return fmt::format(
        "endpoint '{}' needs the broker's zmq_context; take EmbeddedBroker::client_options",
        endpoint);
  if (options.timeout <= milliseconds{0} || options.timeout > std::chrono::hours{24})
    return fmt::format("timeout is {} ms; allowed is 1 ms to 24 h", options.timeout.count());
  if (options.unreachable_after < milliseconds{0} ||
      options.unreachable_after > std::chrono::hours{24})
    return fmt::format("unreachable_after is {} ms; allowed is 0 to 24 h",
                       options.unreachable_after.count());
  if (options.reconnect_min <= milliseconds{0} || options.reconnect_max < options.reconnect_min ||
      options.reconnect_max > std::chrono::hours{1})
    return fmt::format("reconnect pauses are {} to {} ms; allowed is 1 ms <= min <= max <= 1 h",
                       options.reconnect_min.count(), options.reconnect_max.count());
  return std::nullopt;
}

}  // namespace

Outcome<std::shared_ptr<Connection>> Connection::open(ClientOptions options) {
  if (const auto fault = fault_of(options)) return refuse(Errc::bad_config, *fault);
  // zmq_connect parses the endpoint; a socket that lives for this call alone finds out whether it
  // can. (inproc parses nothing, and a pending connection to it would be met by the broker as a
  // client.)
  if (!options.endpoint.starts_with("inproc://")) {
    Context context(options.zmq_context);
    Socket probe(context, ZMQ_DEALER);
    if (!probe.is_open())
      return refuse(Errc::overloaded, fmt::format("cannot make a socket: {}; close some files or "
                                                  "raise the limits of this process (ulimit -n)",
                                                  zmq_strerror(zmq_errno())));
    probe.set(ZMQ_RECONNECT_IVL, -1);
    probe.set(ZMQ_IPV6, is_ipv6_endpoint(options.endpoint) ? 1 : 0);
    if (!probe.connect(options.endpoint))
      return refuse(Errc::bad_config,
                    fmt::format("'{}' is not the endpoint of a broker: {}; write tcp://HOST:PORT "
                                "or ipc://PATH",
                                options.endpoint, zmq_strerror(zmq_errno())));
  }
  return std::make_shared<Connection>(std::move(options));
}

Connection::Connection(ClientOptions options)
    : options_(std::move(options)),
      context_(options_.zmq_context),
      last_received_(SteadyClock::now()),
      random_(entropy()),
      loop_([this] { hang_up(); }) {
  loop_.post([this] {
    dial();
    if (is_inproc()) look_after_inproc();
    watch_outage();
  });
}

Outcome<ReplyMessage> Connection::call(const std::function<zmq::message_t(std::uint64_t)>& encode,
                                       OutgoingRequest::Kind kind) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Outcome<ReplyMessage>> reply;
  };
  const TimePoint deadline = SteadyClock::now() + options_.timeout;
  for (milliseconds pause = retry_pause_min;; pause = std::min(2 * pause, retry_pause_max)) {
    auto wait = std::make_shared<Wait>();
    OutgoingRequest request;
    request.id = fresh_id();
    request.control = encode(request.id);
    request.kind = kind;
    request.deadline = deadline;
    request.handler = [wait](Answer answer) {
      std::lock_guard lock(wait->mutex);
      wait->reply = std::move(answer.reply);
      wait->changed.notify_one();
    };
    post([this, request = std::move(request)]() mutable { submit(std::move(request)); });
    std::unique_lock lock(wait->mutex);
    wait->changed.wait(lock, [&] { return wait->reply.has_value(); });
    Outcome<ReplyMessage>& reply = *wait->reply;
    if (reply.has_value() || kind != OutgoingRequest::Kind::repeatable) return std::move(reply);
    const Errc code = code_of(reply.error());
    const bool again = reply.error().origin == Origin::broker &&
                       (code == Errc::overloaded || code == Errc::shutting_down);
    if (!again || SteadyClock::now() + pause >= deadline) return std::move(reply);
    wait->changed.wait_for(lock, pause, [] { return false; });
  }
}

void Connection::submit(OutgoingRequest outgoing) {
  const std::uint64_t id = outgoing.id;
  Request& request = requests_[id];
  static_cast<OutgoingRequest&>(request) = std::move(outgoing);
  if (request.handler) {
    request.timer = loop_.at(request.deadline, [this, id] { on_deadline(id); });
    request.has_timer = true;
  }
  unsent_.push_back(id);
  pump_sends();
}

void Connection::forget(std::uint64_t id) {
  const auto at = requests_.find(id);
  if (at == requests_.end()) return;
  if (at->second.has_timer) loop_.cancel(at->second.timer);
  requests_.erase(at);
}

milliseconds Connection::jittered(milliseconds pause) {
  return pause + milliseconds{random_.below(static_cast<std::uint64_t>(pause.count()) + 1)};
}

void Connection::dial() {
  dealer_ = Socket(context_, ZMQ_DEALER);
  if (!dealer_.is_open()) {
    diag::warn("client", "no socket for {}: {}; trying again", options_.endpoint,
               zmq_strerror(zmq_errno()));
    loop_.at(SteadyClock::now() + jittered(options_.reconnect_max), [this] { dial(); });
    return;
  }
  dealer_.set(ZMQ_SNDHWM, high_water_mark);
  dealer_.set(ZMQ_RCVHWM, high_water_mark);
  dealer_.set(ZMQ_MAXMSGSIZE, frame_bytes_max);
  dealer_.set(ZMQ_RECONNECT_IVL, count_of(options_.reconnect_min));
  dealer_.set(ZMQ_RECONNECT_IVL_MAX, count_of(options_.reconnect_max));
  dealer_.set(ZMQ_HEARTBEAT_IVL, count_of(heartbeat_interval));
  dealer_.set(ZMQ_HEARTBEAT_TIMEOUT, count_of(heartbeat_timeout));
  dealer_.set(ZMQ_HANDSHAKE_IVL, count_of(handshake_timeout));
  dealer_.set(ZMQ_TCP_KEEPALIVE, 1);
  dealer_.set(ZMQ_IPV6, is_ipv6_endpoint(options_.endpoint) ? 1 : 0);
  if (!is_inproc()) {
    const std::string name = fmt::format("inproc://millrace-client-{}-{}",
                                         static_cast<const void*>(this), random_.next());
    monitor_ = Monitor(context_, dealer_, name,
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | handshake_failed);
    loop_.watch(monitor_.handle(), ZMQ_POLLIN, [this](short) { on_monitor(); });
  }
  loop_.watch(dealer_.handle(), ZMQ_POLLIN, [this](short ready) { on_ready(ready); });
  // The endpoint was parsed when the client was made; what can fail now is a name that does not
  // resolve yet, and for that the socket would not try again by itself.
  if (!dealer_.connect(options_.endpoint)) {
    hang_up();
    loop_.at(SteadyClock::now() + jittered(options_.reconnect_max), [this] { dial(); });
    return;
  }
  if (is_inproc()) on_connected();
}

void Connection::hang_up() {
  connected_ = false;
  if (!dealer_.is_open()) return;
  if (monitor_.handle() != nullptr) loop_.unwatch(monitor_.handle());
  loop_.unwatch(dealer_.handle());
  monitor_.stop();
  dealer_.close();
}

void Connection::on_ready(short ready) {
  if ((ready & ZMQ_POLLIN) != 0) receive_all();
  pump_sends();
}

void Connection::on_monitor() {
  while (const int event = monitor_.next()) {
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      on_connected();
    } else {
      // Also after a handshake that failed: libzmq would go on by itself, but at its shortest pause
      // for ever.
      met_stranger_ = !connected_;
      return on_disconnected();
    }
  }
}

// The user is told of each time without a connection that lasts.
void Connection::watch_outage() {
  if (!options_.on_unreachable) return;
  loop_.at(SteadyClock::now() + options_.unreachable_after, [this, outage = outage_] {
    if (!connected_ && outage == outage_) options_.on_unreachable();
  });
}

void Connection::on_connected() {
  connected_ = true;
  met_stranger_ = false;
  last_received_ = SteadyClock::now();
  pump_sends();
}

void Connection::on_disconnected() {
  if (!dealer_.is_open()) return;  // known already
  receive_all();                   // answers that came before the break still count
  if (connected_) {
    ++outage_;
    watch_outage();
  }
  hang_up();
  std::vector<std::uint64_t> lost;
  unsent_.clear();
  for (auto at = requests_.begin(); at != requests_.end();) {
    Request& request = at->second;
    const bool sent = std::exchange(request.in_flight, false);
    if (!request.handler) {  // credit and the like: it was for a subscription that is gone now
      at = requests_.erase(at);
      continue;
    }
    if (request.kind == OutgoingRequest::Kind::one_way && sent) {
      // Done; its handler is about to hear of it.
    } else if (!sent || request.kind == OutgoingRequest::Kind::repeatable) {
      unsent_.push_back(at->first);
    } else {
      lost.push_back(at->first);
    }
    ++at;
  }
  milliseconds pause = options_.reconnect_min * (1u << std::min(broken_in_a_row_++, 10u));
  pause = std::min(pause, options_.reconnect_max);
  loop_.at(SteadyClock::now() + jittered(pause), [this] { dial(); });
  for (const std::uint64_t id : lost) {
    if (!requests_.contains(id)) continue;  // an earlier handler forgot it
    answer(
        id,
        refuse(Errc::timed_out,
               fmt::format("the connection to {} broke after the request was sent; its result is "
                           "unknown: look whether it was done before you repeat it",
                           options_.endpoint)),
        /*broken=*/true);
  }
}

void Connection::look_after_inproc() {
  loop_.at(SteadyClock::now() + inproc_look_interval, [this] { look_after_inproc(); });
  const bool silent = SteadyClock::now() - last_received_ >= inproc_look_interval;
  if (dealer_.is_open() && silent && !dealer_.can_send()) on_disconnected();
}

void Connection::receive_all() {
  while (dealer_.is_open()) {
    std::vector<zmq::message_t> frames = dealer_.receive(frames_max);
    if (frames.empty()) return;
    last_received_ = SteadyClock::now();
    deliver(std::move(frames));
  }
}

void Connection::deliver(std::vector<zmq::message_t>&& frames) {
  auto message = decode_reply(std::move(frames));
  if (!message || !requests_.contains(message->reply().id())) {
    replies_dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  broken_in_a_row_ = 0;
  const std::uint64_t id = message->reply().id();
  Outcome<ReplyMessage> reply = std::move(*message);
  if (auto error = reply->error()) reply = refuse(std::move(*error));
  Request& request = requests_.find(id)->second;
  if (request.kind == OutgoingRequest::Kind::stream)
    return answer_stream(request, std::move(reply));
  answer(id, std::move(reply));
}

void Connection::answer_stream(Request& request, Outcome<ReplyMessage> reply) {
  const std::uint64_t id = request.id;
  if (std::exchange(request.has_timer, false)) loop_.cancel(request.timer);
  // The handler may forget its own request, so it is out of the table while it runs.
  auto handler = std::move(request.handler);
  handler({std::move(reply), request.sends, false});
  if (const auto at = requests_.find(id); at != requests_.end())
    at->second.handler = std::move(handler);
}

void Connection::pump_sends() {
  while (connected_ && !unsent_.empty()) {
    const std::uint64_t id = unsent_.front();
    const auto at = requests_.find(id);
    if (at != requests_.end()) {
      const SendState state = send(at->second);
      if (state == SendState::busy) break;
      if (state == SendState::broken) {
        // Told in the next turn: no handler runs inside submit().
        connected_ = false;
        loop_.at(SteadyClock::now(), [this] { on_disconnected(); });
        return;
      }
      if (at->second.kind == OutgoingRequest::Kind::one_way) on_one_way_sent(id);
    }
    unsent_.pop_front();
  }
  if (dealer_.is_open())
    loop_.set_events(
        dealer_.handle(),
        static_cast<short>(connected_ && !unsent_.empty() ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN));
}

void Connection::on_one_way_sent(std::uint64_t id) {
  const auto at = requests_.find(id);
  if (!at->second.handler) {
    requests_.erase(at);
    return;
  }
  loop_.at(SteadyClock::now(), [this, id] { answer(id, ReplyMessage()); });
}

// The frames are copied by reference: a repetition sends the same bytes.
Connection::SendState Connection::send(Request& request) {
  zmq::message_t control;
  control.copy(request.control);
  const auto first = dealer_.send(control, request.has_data);
  if (first == Socket::Sent::busy) return SendState::busy;
  if (first == Socket::Sent::broken) return SendState::broken;
  ++request.sends;
  request.in_flight = true;
  if (!request.has_data) return SendState::sent;
  zmq::message_t data;
  data.copy(request.data);
  // Once the first part is taken the second is refused only because the connection went away
  // between the two.
  return dealer_.send(data, false) == Socket::Sent::yes ? SendState::sent : SendState::broken;
}

void Connection::on_deadline(std::uint64_t id) {
  const auto at = requests_.find(id);
  if (at == requests_.end()) return;
  at->second.has_timer = false;
  const bool sent = at->second.sends > 0;
  const auto waited = options_.timeout.count();
  answer(id,
         sent ? refuse(Errc::timed_out,
                       fmt::format("no answer from {} within {} ms; the result is unknown: "
                                   "look whether it was done, or allow a longer timeout",
                                   options_.endpoint, waited))
              : refuse(Errc::disconnected,
                       fmt::format("no connection to {} within {} ms; the request was not sent: {}",
                                   options_.endpoint, waited,
                                   met_stranger_ ? not_a_broker : nobody_there)));
}

void Connection::answer(std::uint64_t id, Outcome<ReplyMessage> reply, bool broken) {
  auto request = requests_.extract(id);
  if (request.empty()) return;
  if (request.mapped().has_timer) loop_.cancel(request.mapped().timer);
  request.mapped().handler({std::move(reply), request.mapped().sends, broken});
}

}  // namespace millrace::detail
