// One client's way to its broker: a DEALER on the loop's thread, requests and their answers.
//
//   any thread        call(), or post() a task that goes on below
//   loop's thread     submit -> unsent queue -> DEALER -> broker -> on_readable -> the request's
//   handler
//
// Connecting: libzmq dials and dials again, with growing, jittered pauses. Once a connection that
// worked breaks (seen by the socket's monitor: peer gone, or silent through its heartbeats), the
// DEALER is closed with all that lay in it and a fresh one is dialled: so nothing of an old
// connection can mix with a new one, and what was in flight is decided in one place: requests that
// may be repeated are sent again in their old order, others fail as unknown, streams are told and
// open themselves again. inproc has no monitor: there a DEALER that lost its only peer cannot be
// written to, and a look at that every second stands in.
//
// Owner: shared by the Client and all objects made from it, never by anything that runs on the loop
// (its last owner joins the loop's thread). Handlers run on the loop's thread, never inside
// submit(). Fails: each request is answered once, at the latest at its deadline: Errc::disconnected
// if it was never sent, Errc::timed_out (result unknown) if it was.
#pragma once

#include "codec.h"
#include "loop.h"
#include "millrace/error.h"
#include "millrace/options.h"
#include "socket.h"
#include "storage/base/random.h"

#include <zmq.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::detail {

// What became of a request.
struct Answer {
  Outcome<ReplyMessage> reply;  // an error that the broker answered is in the unexpected side, too
  // How often the request went out; more than once after reconnects. The broker may have seen each
  // of them.
  std::uint32_t sends = 0;
  // The connection broke under the request.
  bool broken = false;
};

struct OutgoingRequest {
  using Handler = std::move_only_function<void(Answer)>;

  std::uint64_t id = 0;  // of Connection::fresh_id
  zmq::message_t control;
  zmq::message_t data;
  bool has_data = false;
  enum class Kind {
    repeatable,  // sent again after a reconnect
    once,        // may be sent once only: fails when the connection breaks under it
    stream,   // has many answers, of which no one ends it: the handler forgets it. No deadline once
              // it was answered
    one_way,  // has no answer: done when sent. A handler, if there is one, hears of that with an
              // empty reply
  };
  Kind kind = Kind::repeatable;
  TimePoint deadline;
  Handler handler;
};

class Connection {
 public:
  // Errors: bad_config for an endpoint or a duration that cannot be.
  static Outcome<std::shared_ptr<Connection>> open(ClientOptions options);
  explicit Connection(ClientOptions options);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Any thread.
  const ClientOptions& options() const { return options_; }
  std::uint64_t fresh_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void post(Loop::Task task) { loop_.post(std::move(task)); }
  // Sends what `encode` makes and waits for the answer; overloaded and shutting_down are tried
  // again until the client's timeout unless `kind` is once.
  Outcome<ReplyMessage> call(const std::function<zmq::message_t(std::uint64_t id)>& encode,
                             OutgoingRequest::Kind kind = OutgoingRequest::Kind::repeatable);
  // Replies that did not verify or that nobody waited for.
  std::uint64_t replies_dropped() const { return replies_dropped_.load(std::memory_order_relaxed); }

  // The loop's thread.
  Loop& loop() { return loop_; }
  const Context& context() const { return context_; }
  Random& random() { return random_; }
  void submit(OutgoingRequest request);
  // The handler is destroyed without a call.
  void forget(std::uint64_t id);
  // Between `pause` and twice that, so that many clients do not come back together.
  std::chrono::milliseconds jittered(std::chrono::milliseconds pause);

 private:
  struct Request : OutgoingRequest {
    std::uint32_t sends = 0;
    bool in_flight = false;  // sent over the present connection
    bool has_timer = false;
    Loop::TimerId timer;
  };
  enum class SendState { sent, busy, broken };

  void dial();
  void hang_up();
  void on_ready(short ready);
  void on_monitor();
  void watch_outage();
  void on_connected();
  void on_disconnected();
  void look_after_inproc();
  void receive_all();
  void deliver(std::vector<zmq::message_t>&& frames);
  void pump_sends();
  SendState send(Request& request);
  void on_deadline(std::uint64_t id);
  void answer(std::uint64_t id, Outcome<ReplyMessage> reply, bool broken = false);
  void answer_stream(Request& request, Outcome<ReplyMessage> reply);
  void on_one_way_sent(std::uint64_t id);
  bool is_inproc() const { return options_.endpoint.starts_with("inproc://"); }

  const ClientOptions options_;
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::uint64_t> replies_dropped_{0};
  Context context_;

  // The loop's thread only.
  Socket dealer_;
  Monitor monitor_;
  bool connected_ = false;
  bool met_stranger_ = false;  // what listens there broke off before it was a broker
  std::uint64_t outage_ = 0;   // counts the times without a connection
  std::uint32_t broken_in_a_row_ = 0;
  TimePoint last_received_;
  std::map<std::uint64_t, Request> requests_;
  std::deque<std::uint64_t> unsent_;
  Random random_;

  Loop loop_;  // last: the thread ends before what it uses
};

}  // namespace millrace::detail
