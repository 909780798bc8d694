#include "broker/wire/zmq_message.h"

#include <utility>

namespace millrace {
namespace {

// What libzmq gives back through its hint.
struct Held {
  Buffer buffer;
  PinnedBytes pinned, also;
  std::uint64_t bytes = 0;
};

void drop(void*, void* hint) {
  const std::unique_ptr<Held> held(static_cast<Held*>(hint));
  for (const PinnedBytes* pinned : {&held->pinned, &held->also})
    if (*pinned) (*pinned)->fetch_sub(held->bytes, std::memory_order_relaxed);
}

zmq::message_t hold(Buffer buffer, PinnedBytes first, PinnedBytes second) {
  const ByteView bytes = buffer.bytes();
  for (const PinnedBytes* pinned : {&first, &second})
    if (*pinned) (*pinned)->fetch_add(bytes.size(), std::memory_order_relaxed);
  auto held = std::make_unique<Held>(
      Held{std::move(buffer), std::move(first), std::move(second), bytes.size()});
  // libzmq promises not to write to the memory of a message that is sent; its interface predates
  // const.
  zmq::message_t message(const_cast<std::byte*>(bytes.data()), bytes.size(), drop, held.get());
  static_cast<void>(held.release());
  return message;
}

}  // namespace

zmq::message_t to_message(ByteView bytes) { return {bytes.data(), bytes.size()}; }

zmq::message_t to_message(Buffer buffer) {
  if (buffer.size() < copy_below_bytes) return to_message(buffer.bytes());
  return hold(std::move(buffer), nullptr, nullptr);
}

PinnedBytes make_pinned_bytes() { return std::make_shared<std::atomic<std::uint64_t>>(0); }

zmq::message_t to_message(Buffer buffer, const PinnedBytes& pinned, const PinnedBytes& also) {
  if (buffer.size() < copy_below_bytes) return to_message(buffer.bytes());
  return hold(std::move(buffer), pinned, also);
}

}  // namespace millrace
