#include "broker/wire/zmq_message.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

constexpr std::size_t slab_share = 16;

// What libzmq gives back through its hint.
struct Held {
  Buffer buffer;                      // or
  std::unique_ptr<std::byte[]> copy;  // what the message shows
  PinnedBytes pinned, also;
  std::uint64_t cost = 0;
};

void drop(void*, void* hint) {
  const std::unique_ptr<Held> held(static_cast<Held*>(hint));
  for (const PinnedBytes* pinned : {&held->pinned, &held->also})
    if (*pinned) (*pinned)->fetch_sub(held->cost, std::memory_order_relaxed);
}

zmq::message_t hold(ByteView bytes, std::unique_ptr<Held> held) {
  for (const PinnedBytes* pinned : {&held->pinned, &held->also})
    if (*pinned) (*pinned)->fetch_add(held->cost, std::memory_order_relaxed);
  // libzmq promises not to write to the memory of a message that is sent; its interface predates
  // const.
  zmq::message_t message(const_cast<std::byte*>(bytes.data()), bytes.size(), drop, held.get());
  [[maybe_unused]] const Held* of_libzmq = held.release();
  return message;
}

}  // namespace

zmq::message_t to_message(ByteView bytes) { return {bytes.data(), bytes.size()}; }

zmq::message_t to_message(Buffer buffer) { return to_message(std::move(buffer), {}, {}); }

PinnedBytes make_pinned_bytes() { return std::make_shared<std::atomic<std::uint64_t>>(0); }

zmq::message_t to_message(Buffer buffer, const PinnedBytes& pinned, const PinnedBytes& also) {
  if (buffer.size() < copy_below_bytes) return to_message(buffer.bytes());
  const ByteView bytes = buffer.bytes();
  const std::uint64_t cost = std::max(bytes.size(), buffer.slab()->capacity() / slab_share);
  return hold(bytes, std::make_unique<Held>(Held{std::move(buffer), {}, pinned, also, cost}));
}

zmq::message_t to_message(ByteView bytes, const PinnedBytes& pinned, const PinnedBytes& also) {
  if (bytes.size() < copy_below_bytes) return to_message(bytes);
  auto copy = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
  std::ranges::copy(bytes, copy.get());
  const ByteView copied{copy.get(), bytes.size()};
  return hold(copied,
              std::make_unique<Held>(Held{{}, std::move(copy), pinned, also, bytes.size()}));
}

}  // namespace millrace
