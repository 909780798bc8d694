// Turns WHERE into an offset: at once for places, by a search of the log for times.
//
// Owner: Shard. Thread: the shard's. Serves ListOffsets and TrimTopic. A lookup belongs to no
// client: it is short, its answer is small, and their number is bounded.
#pragma once

#include "broker/requests.h"
#include "storage/log.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace millrace {

class Partition;

class WhereLookups {
 public:
  using Done = std::function<void(Result<Offset>)>;
  static constexpr std::size_t lookups_max = 4096;
  // Each searches with memory of its own; the rest wait for these.
  static constexpr std::size_t searches_max = 8;

  WhereLookups() = default;
  WhereLookups(const WhereLookups&) = delete;
  WhereLookups& operator=(const WhereLookups&) = delete;

  // The offset, within [start, end] of the partition. `done` may be called before this returns.
  // Errors: bad_request, overloaded, the log's.
  void begin(Partition& partition, const Where& where, Done done);
  // Lookups of this partition, or all, end with `error`.
  void end_all(const Partition& partition, const Error& error);
  void end_all(const Error& error);
  void tidy() { dead_.clear(); }

 private:
  struct Lookup {
    Partition* partition = nullptr;
    WallTime time;
    Done done;
    std::unique_ptr<LogRead> read;  // null: waits for its search
  };

  void find_time(Partition& partition, WallTime time, Done done);
  void search_next();
  void end(std::uint64_t id, Result<Offset> result);

  std::map<std::uint64_t, Lookup> lookups_;
  std::uint64_t next_id_ = 1;
  std::uint64_t next_search_ = 1;  // of the lookups, the first that was not begun
  std::size_t searches_ = 0;
  std::vector<std::unique_ptr<LogRead>> dead_;
};

}  // namespace millrace
