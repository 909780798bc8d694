#include "broker/wire/zmq_client_port.h"

#include "storage/base/check.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// Clients that one call of tend looks at.
constexpr std::size_t tend_budget = 1024;

std::string_view text(const zmq::message_t& message) {
  return {static_cast<const char*>(message.data()), message.size()};
}

}  // namespace

Result<std::unique_ptr<ZmqClientPort>> ZmqClientPort::open(void* context,
                                                           const ClientPortOptions& options,
                                                           Clock& clock, ShardMetrics& metrics) {
  auto socket = ZmqSocket::open(context, ZMQ_ROUTER);
  if (!socket) return fail(socket.error());
  socket->set(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(options.frame_bytes_max));
  socket->set(ZMQ_SNDHWM, options.queue_messages);
  socket->set(ZMQ_RCVHWM, options.queue_messages);
  socket->set(ZMQ_ROUTER_MANDATORY, 1);
  socket->drop_deaf_peers(options.stall_max);
  socket->set(ZMQ_IPV6, options.ipv6 ? 1 : 0);
  return std::unique_ptr<ZmqClientPort>(
      new ZmqClientPort(std::move(*socket), options, clock, metrics));
}

ZmqClientPort::ZmqClientPort(ZmqSocket socket, const ClientPortOptions& options, Clock& clock,
                             ShardMetrics& metrics)
    : socket_(std::move(socket)), options_(options), clock_(clock), metrics_(metrics) {}

ZmqClientPort::~ZmqClientPort() = default;

bool ZmqClientPort::receive_one() {
  if (target_ == nullptr || socket_.receive(routing_id_) != ZmqSocket::Io::done) return false;
  // The parts of a message arrive together, so none of these waits. Frames past the shape are read
  // and dropped, or the next receive would take them for a message of their own (PR-08).
  std::size_t count = 0;
  bool more = routing_id_.more();
  while (more) {
    zmq::message_t& frame = count < request_frames_max ? frames_[count] : rest_;
    if (socket_.receive(frame) != ZmqSocket::Io::done) break;
    more = frame.more();
    ++count;
  }
  Client* client = client_of(routing_id_);
  if (client == nullptr) {
    answer_unknown(routing_id_);
  } else {
    handle_message(*client, count);
  }
  for (zmq::message_t& frame : frames_) frame.rebuild();
  return true;
}

void ZmqClientPort::handle_message(Client& client, std::size_t frames_in_all) {
  ByteView views[request_frames_max];
  const std::size_t count = std::min(frames_in_all, request_frames_max);
  for (std::size_t i = 0; i < count; ++i) views[i] = bytes_of(frames_[i]);
  metrics_.requests.add();
  const ClientHandle handle = client.handle;
  auto request = decoder_.decode({views, count}, frames_in_all);
  if (request) {
    if (std::holds_alternative<SubscribeRequest>(request->body)) client.subscribes = true;
    target_->handle(handle, std::move(*request));
    return;
  }
  RefusedRequest& refused = request.error();
  if (refused.id_known) {
    target_->refuse(handle, refused.id, std::move(refused.error));
  } else {
    // Nobody could match an answer to a request.
    metrics_.rejected[static_cast<std::size_t>(refused.error.code)].add();
  }
}

ZmqClientPort::Client* ZmqClientPort::client_of(const zmq::message_t& routing_id) {
  std::string id(text(routing_id));
  if (auto known = by_routing_id_.find(id); known != by_routing_id_.end()) {
    touch(known->second);
    return &*known->second;
  }
  if (clients_.size() >= options_.clients_max) return nullptr;
  clients_.push_back(
      {.routing_id = id, .handle = ClientHandle{next_handle_++}, .last_traffic = clock_.now()});
  const auto client = std::prev(clients_.end());
  by_routing_id_.emplace(std::move(id), client);
  by_handle_.emplace(client->handle.value, client);
  return &*client;
}

void ZmqClientPort::touch(Clients::iterator client) {
  client->last_traffic = clock_.now();
  clients_.splice(clients_.end(), clients_, client);
}

// There is no room to remember this client, so it is refused with what its message says alone.
void ZmqClientPort::answer_unknown(const zmq::message_t& routing_id) {
  const ByteView head = bytes_of(frames_[0]);
  const auto request = decoder_.decode({&head, 1}, 1);
  metrics_.rejected[static_cast<std::size_t>(Errc::overloaded)].add();
  const bool id_known = request || request.error().id_known;
  if (!id_known) return;
  Reply reply{
      request ? request->id : request.error().id,
      Error{Errc::overloaded, "the broker serves as many clients as it may; retry after a pause"}};
  if (send_to(text(routing_id), reply, {}) != SendResult::sent)
    metrics_.replies_undeliverable.add();
}

SendResult ZmqClientPort::send(ClientHandle handle, Reply& reply) {
  const auto found = by_handle_.find(handle.value);
  if (found == by_handle_.end()) return SendResult::gone;
  const auto client = found->second;
  const SendResult result = send_to(client->routing_id, reply, client->pinned);
  if (result == SendResult::sent) touch(client);
  // The caller hears of it by this answer and forgets the client by itself.
  if (result == SendResult::gone) forget(client);
  return result;
}

std::uint64_t ZmqClientPort::pinned_bytes(ClientHandle handle) const {
  const auto found = by_handle_.find(handle.value);
  if (found == by_handle_.end()) return 0;
  return found->second->pinned->load(std::memory_order_relaxed);
}

SendResult ZmqClientPort::send_to(std::string_view routing_id, Reply& reply,
                                  const PinnedBytes& pinned) {
  zmq::message_t address(routing_id.data(), routing_id.size());
  switch (socket_.send(address, ZMQ_SNDMORE)) {
    case ZmqSocket::Io::done: break;
    case ZmqSocket::Io::again: return SendResult::busy;
    case ZmqSocket::Io::unreachable: return SendResult::gone;
  }
  // From here on the message goes out whole: libzmq looked for room when it took the address, and
  // drops the rest by itself if the peer disappears meanwhile.
  std::vector<Buffer>* data = reply_data(reply);
  const bool has_data = data != nullptr && !data->empty();
  zmq::message_t head = to_message(encoder_.encode_head(reply), pinned, pinned_);
  CHECK(socket_.send(head, has_data ? ZMQ_SNDMORE : 0) == ZmqSocket::Io::done,
        "the rest of a reply finds room");
  if (!has_data) return SendResult::sent;
  for (std::size_t i = 0; i < data->size(); ++i) {
    zmq::message_t frame = to_message(std::move((*data)[i]), pinned, pinned_);
    const int flags = i + 1 < data->size() ? ZMQ_SNDMORE : 0;
    CHECK(socket_.send(frame, flags) == ZmqSocket::Io::done, "the rest of a reply finds room");
  }
  data->clear();
  return SendResult::sent;
}

void ZmqClientPort::forget(Clients::iterator client) {
  by_routing_id_.erase(client->routing_id);
  by_handle_.erase(client->handle.value);
  clients_.erase(client);
}

void ZmqClientPort::probe(Clients::iterator client) {
  Reply empty{request_id_reserved, DoneReply{}};
  const SendResult result = send_to(client->routing_id, empty, {});
  if (result != SendResult::gone) return touch(client);
  const ClientHandle handle = client->handle;
  forget(client);
  if (target_ != nullptr) target_->client_gone(handle);
}

void ZmqClientPort::tend(Instant now) {
  // The list is in the order of the last traffic, so the first that is fresh ends the walk; an idle
  // client that is not due yet is passed over.
  auto client = clients_.begin();
  for (std::size_t looked = 0; looked < tend_budget && client != clients_.end(); ++looked) {
    const auto next = std::next(client);
    const Duration silent = now - client->last_traffic;
    if (silent < options_.probe_interval) return;
    if (client->subscribes) {
      probe(client);
    } else if (silent >= options_.idle_expiry) {
      const ClientHandle handle = client->handle;
      forget(client);
      if (target_ != nullptr) target_->client_gone(handle);
    }
    client = next;
  }
}

}  // namespace millrace
