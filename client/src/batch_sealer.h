// A draft becomes the bytes that go on the wire: columns to FlatBuffer, compression, header with
// the place in the producer's session.
//
// Thread: the loop's.
#pragma once

#include "batcher.h"
#include "compression.h"

#include <zmq.hpp>

namespace millrace::detail {

// Where a batch stands in its producer's session of one partition.
struct SessionPlace {
  std::uint64_t producer_id = 0;
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0;
};

class BatchSealer {
 public:
  explicit BatchSealer(Codec codec) : codec_(codec) {}
  zmq::message_t seal(const BatchBodyBuilder& body, const SessionPlace& place);
  // The same events at another place: a copy, since the first bytes may still be on their way.
  static zmq::message_t reseal(const zmq::message_t& batch, const SessionPlace& place);

 private:
  const Codec codec_;
  Compressor compressor_;
};

}  // namespace millrace::detail
