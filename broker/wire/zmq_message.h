// A Buffer as a ZeroMQ message, without a copy.
//
// Thread: messages are made on the shard; libzmq frees them on any thread, at any time, even after
// the socket is closed (Z-16). The free function therefore only drops the Buffer, and a Buffer may
// be dropped anywhere. Small buffers are copied: the bookkeeping costs more than the bytes, and a
// waiting 100-byte message would keep a whole slab.
#pragma once

#include "storage/slab.h"

#include <zmq.hpp>

#include <atomic>
#include <memory>

namespace millrace {

inline constexpr std::size_t copy_below_bytes = 8 * 1024;

zmq::message_t to_message(ByteView bytes);
zmq::message_t to_message(Buffer buffer);

// Bytes that messages keep alive until libzmq has freed them. Shared with messages that may outlive
// whoever counts.
using PinnedBytes = std::shared_ptr<std::atomic<std::uint64_t>>;
PinnedBytes make_pinned_bytes();
// The same; what is not small counts in `pinned` (and in `also`, if there is one) until the last
// peer has taken the message. A slice counts for a sixteenth of its slab at the least, which it
// keeps alive as a whole.
zmq::message_t to_message(Buffer buffer, const PinnedBytes& pinned, const PinnedBytes& also = {});
zmq::message_t to_message(ByteView bytes, const PinnedBytes& pinned, const PinnedBytes& also = {});

inline ByteView bytes_of(const zmq::message_t& message) {
  return {static_cast<const std::byte*>(message.data()), message.size()};
}

}  // namespace millrace
