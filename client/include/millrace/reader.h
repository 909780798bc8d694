// Reads partitions of one topic without a group: lossless, in order per partition, from a place on.
//
// Reader is push with credit: the broker sends while credit lasts, history runs into live without a
// gap or a switch. After a reconnect it goes on at the next offset, so nothing is seen twice or
// missed. LiveReader follows the PUB feed from now on; what the feed dropped shows as a gap and is
// fetched from the log, in order.
#pragma once

#include "millrace/client.h"
#include "millrace/event.h"
#include "millrace/where.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace millrace {

namespace detail {
class ReaderCore;
class LiveReaderCore;
}  // namespace detail

struct ReadFrom {
  std::uint32_t partition = 0;
  Place begin;
  std::optional<Place> end;  // stop there; none: follow
};

// The events of one received batch, whole or from the asked offset on. Views live until the
// reader's next call.
struct EventBatch {
  std::uint32_t partition = 0;
  std::uint64_t end_offset = 0;     // behind the last of these events
  std::uint64_t partition_end = 0;  // as the broker last said
  std::span<const EventView> events;
};

class Reader {
 public:
  // All partitions of the topic, each from `begin` (to `end`, if given). Errors: unknown_topic,
  // unknown_partition, bad_config, timed_out, and offset_out_of_range for a Place::at() outside of
  // [start, end] of its partition: `range_begin` and `range_end` are those two. The other places
  // are always inside: "-10" of three events is the first of them.
  static Outcome<Reader> open(const Client& client, std::string topic, Place begin,
                              std::optional<Place> end = {}, ReaderOptions options = {});
  static Outcome<Reader> open(const Client& client, std::string topic,
                              std::vector<ReadFrom> partitions, ReaderOptions options = {});
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // The next batch of events. An empty batch: nothing within `wait`. Errors: corrupt (names the
  // range; the next call goes on behind it), offset_out_of_range (events were removed by retention
  // before they could be read; names the new start, where the next call goes on), unknown_topic
  // (deleted), timed_out (no broker for longer than the client's timeout).
  Outcome<EventBatch> next(std::chrono::milliseconds wait);
  // Every partition that had an end has reached it.
  bool finished() const;
  // The offset after the last event that was handed out, of this partition.
  std::uint64_t position(std::uint32_t partition) const;

 private:
  explicit Reader(std::unique_ptr<detail::ReaderCore> core);
  std::unique_ptr<detail::ReaderCore> core_;
};

// What the live feed dropped and how it came back.
struct LiveGap {
  std::uint32_t partition = 0;
  std::uint64_t begin = 0, end = 0;  // offsets
  bool repaired = false;             // false: removed by retention before it could be fetched
};

class LiveReader {
 public:
  // Subscribed when it returns: an event produced after that is seen.
  static Outcome<LiveReader> open(const Client& client, std::string topic,
                                  ReaderOptions options = {});
  LiveReader(LiveReader&&) noexcept;
  LiveReader& operator=(LiveReader&&) noexcept;
  ~LiveReader();

  // As Reader::next. Repaired events come in their place, so offsets rise without a hole per
  // partition.
  Outcome<EventBatch> next(std::chrono::milliseconds wait);
  // Gaps met since the last call. A topic whose setting `live` is false is not on the feed: all its
  // events come as gaps that were repaired, a few seconds late.
  std::vector<LiveGap> take_gaps();

 private:
  explicit LiveReader(std::unique_ptr<detail::LiveReaderCore> core);
  std::unique_ptr<detail::LiveReaderCore> core_;
};

}  // namespace millrace
