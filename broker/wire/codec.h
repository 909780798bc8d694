// Frames <-> broker/requests.h. With meta/catalog_codec the only place of the broker that reads or
// writes FlatBuffers.
//
// Trip: called by zmq_client_port with the frames of one message; hands a Request to the shard, or
// says how to refuse it. Pure: bytes in, structs out. Thread: one thread per object (each keeps
// scratch memory).
//
// A request message is exactly [Request], or [Request][batch] for produce; anything else is
// refused. What reaches the shard has been verified: lengths first, then the head's FlatBuffer
// under tight limits, then ranges of numbers; of a batch both checksums and, when it is not
// compressed, its columns. A compressed body is never undone here; the header's declared sizes and
// ratio are all that is looked at.
//
// Views in a decoded Request point into the frames or, for frames that do not begin on an 8-byte
// boundary, into this object's scratch memory: they live until the next call of decode, and no
// longer than the frames.
#pragma once

#include "broker/requests.h"
#include "storage/base/bytes.h"

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <vector>

namespace millrace {

// The protocol versions this broker speaks.
inline constexpr std::uint16_t protocol_version_min = 1;
inline constexpr std::uint16_t protocol_version_max = 1;

// Of a request's or reply's head frame.
inline constexpr std::size_t head_bytes_min = 16;
inline constexpr std::size_t head_bytes_max = 64 * KiB;
// A request has at most this many frames.
inline constexpr std::size_t request_frames_max = 2;
// A topic is created with at most this many settings.
inline constexpr std::size_t settings_max = 64;

// An id that no client may use: replies that bear it answer nothing (see zmq_client_port, "probe").
inline constexpr std::uint64_t request_id_reserved = UINT64_MAX;

// A message that is no request. Answered if the id could be read, else counted and dropped.
struct RefusedRequest {
  bool id_known = false;
  std::uint64_t id = 0;
  Error error;
};

class RequestDecoder {
 public:
  RequestDecoder();
  RequestDecoder(const RequestDecoder&) = delete;
  RequestDecoder& operator=(const RequestDecoder&) = delete;
  ~RequestDecoder();

  // `frames` are those behind the return address; `frames_in_all` may be larger when the rest was
  // drained unseen. Errors: bad_request, unsupported (a newer version, an unknown kind; the text
  // names what is supported), bad_batch.
  std::expected<Request, RefusedRequest> decode(std::span<const ByteView> frames,
                                                std::size_t frames_in_all);

 private:
  ByteView aligned(ByteView frame, std::vector<std::uint64_t>& scratch);
  std::vector<std::uint64_t> head_scratch_, batch_scratch_;
};

class ReplyEncoder {
 public:
  ReplyEncoder();
  ReplyEncoder(const ReplyEncoder&) = delete;
  ReplyEncoder& operator=(const ReplyEncoder&) = delete;
  ~ReplyEncoder();

  // The head frame; valid until the next call. Data frames are reply_data(reply), sent as they are.
  ByteView encode_head(const Reply& reply);

 private:
  // FlatBuffers' builder, which is a class in some versions and another name for one in others.
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

// The data frames that follow the head: whole batches. Null for replies that have none.
std::vector<Buffer>* reply_data(Reply& reply);

}  // namespace millrace
