// Walks the batches of received messages and shows their events: verified, decompressed, without
// what was seen before or lies outside the asked range.
//
// Owner: InboxReader. Thread: the user's, one at a time. Event views point into
// the message (or the decompressed body) and live until the next call. Fails: bytes that do not
// verify give Errc::corrupt with their offsets, once; the next call goes on behind them. So do
// offsets that are missing although nobody said why.
#pragma once

#include "compression.h"
#include "inbox.h"
#include "millrace/reader.h"
#include "schemas/batch_body.h"

#include <zmq.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::detail {

struct ReadCursor {
  std::uint32_t partition = 0;
  std::uint64_t position = 0;      // the next offset to show
  std::uint64_t end = UINT64_MAX;  // stop there
  bool finished() const { return position >= end; }
};

class BatchReader {
 public:
  BatchReader(std::string topic, std::uint32_t batch_bytes_max)
      : topic_(std::move(topic)), batch_bytes_max_(batch_bytes_max) {}

  // Takes a message whose batches are for `cursor`'s partition. The one before must be used up.
  void start(Delivered delivered);
  // Nothing when the message is used up.
  std::optional<Outcome<EventBatch>> next(ReadCursor& cursor);

 private:
  // Where the next batch begins in the present frame, at an aligned address; empty when the frame
  // is used up.
  ByteView rest();
  bool next_frame();
  std::optional<Outcome<EventBatch>> show(const BatchView& batch, ReadCursor& cursor);
  Outcome<EventBatch> corrupt(ReadCursor& cursor, std::uint64_t end, std::string text,
                              Errc code = Errc::corrupt);
  std::uint64_t offset_behind_frame() const;
  void fill(const BatchHeader& header, const BatchBodyView& body, const ReadCursor& cursor);

  const std::string topic_;
  const std::uint32_t batch_bytes_max_;
  Decompressor decompressor_;
  Delivered message_;
  std::size_t frame_ = 0;               // the present one is frame_ - 1
  ByteView frame_bytes_;                // what is left of it
  std::vector<std::uint64_t> aligned_;  // a copy, when libzmq's memory is not aligned
  std::vector<EventView> events_;
};

}  // namespace millrace::detail
