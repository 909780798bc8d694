// The loop's side of a LiveReader: the PUB feed of one topic, made whole from the log.
//
// A partition is `level` while what comes is what is next: it goes straight to the inbox. A message
// further on shows a gap: it is held (up to a bound), the gap is fetched, and what was held follows
// in order. A feed that is silent is checked against the broker's ends, so a dropped last message
// is found, too. A user who does not take what came makes the feed drop, and that is the same gap.
//
//   frames: "topic/partition/" · head · batch
//   head:   0              8           12     16               24              32
//           | base_offset  | events    | 0    | append_time    | end_offset    |
//
// Owner: the live reader's core, requests on their way, and the loop's watch until stop(). Thread:
// the loop's, except where it says otherwise.
#pragma once

#include "connection.h"
#include "inbox.h"
#include "millrace/reader.h"
#include "topic.h"

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace millrace::detail {

class LiveFeed : public std::enable_shared_from_this<LiveFeed> {
 public:
  LiveFeed(Connection& connection, Topic topic, std::string endpoint,
           std::size_t untaken_bytes_max);

  // Dials and subscribes; `subscribed` runs when the connection stands (at once where that cannot
  // be seen).
  void start(Loop::Task subscribed);
  // From here on: everything at and behind these offsets, one per partition, is delivered.
  void begin(const std::vector<std::uint64_t>& offsets);
  void stop();
  // Bytes of messages that the user is done with.
  void grant(std::size_t bytes);

  // The user's thread.
  Inbox& inbox() { return inbox_; }
  std::vector<LiveGap> take_gaps();

 private:
  struct Arrival {
    std::uint64_t base_offset = 0;
    std::uint64_t end_offset = 0;
    zmq::message_t batch;
  };
  struct Slot {
    std::uint64_t next_offset = 0;  // to deliver
    std::uint64_t known_end = 0;    // delivered or not, this is there
    std::deque<Arrival> held;
    std::uint64_t gap_begin = 0, gap_end = 0;  // the gap in repair; equal: none
    bool fetching = false;
    std::uint64_t seen_in_check = 0;  // end_offset of the last tail check
  };

  void on_monitor();
  void receive();
  void on_message(std::vector<zmq::message_t>&& frames);
  void on_arrival(std::uint32_t slot, Arrival arrival);
  void deliver_held(std::uint32_t slot);
  void deliver(std::uint32_t slot, std::uint64_t end, std::vector<zmq::message_t>&& frames);
  void open_gap(Slot& slot, std::uint64_t end);
  void close_gap(std::uint32_t slot, std::uint64_t repaired_end);
  void note_gap(std::uint32_t slot, std::uint64_t begin, std::uint64_t end, bool repaired);
  void repair(std::uint32_t slot);
  void repair_later(std::uint32_t slot);
  void on_fetched(std::uint32_t slot, Answer answer);
  void on_fetch_failed(std::uint32_t slot, ClientError error);
  void report(std::uint32_t slot, ClientError error);
  void schedule_check();
  void check_tails();
  void on_tails(Answer answer);
  void compare_tails(Answer answer);

  Connection& connection_;
  const Topic topic_;
  const std::string endpoint_;
  const std::size_t untaken_bytes_max_;
  Socket subscriber_;
  Monitor monitor_;
  Loop::Task subscribed_;
  std::vector<Slot> slots_;
  std::size_t untaken_bytes_ = 0;
  std::size_t held_bytes_ = 0;
  TimePoint last_arrival_;
  std::chrono::milliseconds check_pause_;
  bool begun_ = false;
  bool stopped_ = false;
  Inbox inbox_;
  std::mutex gaps_mutex_;
  std::vector<LiveGap> gaps_;  // guarded
};

}  // namespace millrace::detail
