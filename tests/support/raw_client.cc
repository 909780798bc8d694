#include "tests/support/raw_client.h"

#include <cstring>
#include <stdexcept>

namespace millrace::test {
namespace {

constexpr int subscriber_queue_messages = 100'000;

void* open_socket(void* context, int type, const std::string& endpoint, int queue_messages) {
  void* socket = zmq_socket(context, type);
  if (socket == nullptr) throw std::runtime_error("no socket");
  const int linger = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  zmq_setsockopt(socket, ZMQ_SNDHWM, &queue_messages, sizeof queue_messages);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &queue_messages, sizeof queue_messages);
  if (zmq_connect(socket, endpoint.c_str()) != 0)
    throw std::runtime_error("cannot connect to " + endpoint + ": " + zmq_strerror(zmq_errno()));
  return socket;
}

std::vector<Bytes> receive_frames(void* socket, std::chrono::milliseconds wait) {
  zmq_pollitem_t item{socket, 0, ZMQ_POLLIN, 0};
  if (zmq_poll(&item, 1, wait.count()) <= 0) return {};
  std::vector<Bytes> frames;
  bool more = true;
  while (more) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, 0) < 0) throw std::runtime_error(zmq_strerror(zmq_errno()));
    const auto* data = static_cast<const std::byte*>(zmq_msg_data(&message));
    frames.emplace_back(data, data + zmq_msg_size(&message));
    more = zmq_msg_more(&message) != 0;
    zmq_msg_close(&message);
  }
  return frames;
}

}  // namespace

RawClient::RawClient(const std::string& endpoint, void* context, int queue_messages)
    : context_(context == nullptr ? zmq_ctx_new() : context),
      socket_(open_socket(context_, ZMQ_DEALER, endpoint, queue_messages)),
      own_context_(context == nullptr) {}

RawClient::~RawClient() {
  zmq_close(socket_);
  if (own_context_) zmq_ctx_term(context_);
}

bool RawClient::send(const std::vector<Bytes>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const int more = i + 1 < frames.size() ? ZMQ_SNDMORE : 0;
    if (zmq_send(socket_, frames[i].data(), frames[i].size(), more | ZMQ_DONTWAIT) < 0)
      return false;
  }
  return true;
}

std::optional<RawReply> RawClient::receive(std::chrono::milliseconds wait) {
  std::vector<Bytes> frames = receive_frames(socket_, wait);
  if (frames.empty()) return std::nullopt;
  RawReply reply{std::move(frames[0]), {}};
  frames.erase(frames.begin());
  reply.data = std::move(frames);
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(reply.head.data()),
                                 reply.head.size());
  if (!wire::VerifyReplyBuffer(verifier))
    throw std::runtime_error("the broker sent what is no reply");
  return reply;
}

RawReply RawClient::call(const std::vector<Bytes>& frames, std::chrono::milliseconds wait) {
  const std::uint64_t id = wire::GetRequest(frames.at(0).data())->id();
  if (!send(frames)) throw std::runtime_error("the request could not be sent");
  const auto last = std::chrono::steady_clock::now() + wait;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        last - std::chrono::steady_clock::now());
    auto reply = receive(std::max(left, std::chrono::milliseconds{0}));
    if (!reply) throw std::runtime_error("no reply in time");
    if (reply->id() == id) return std::move(*reply);
  }
}

RawSubscriber::RawSubscriber(const std::string& endpoint, const std::string& prefix, void* context)
    : context_(context == nullptr ? zmq_ctx_new() : context),
      socket_(open_socket(context_, ZMQ_SUB, endpoint, subscriber_queue_messages)),
      own_context_(context == nullptr) {
  zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, prefix.data(), prefix.size());
}

RawSubscriber::~RawSubscriber() {
  zmq_close(socket_);
  if (own_context_) zmq_ctx_term(context_);
}

std::vector<Bytes> RawSubscriber::receive(std::chrono::milliseconds wait) {
  return receive_frames(socket_, wait);
}

}  // namespace millrace::test
