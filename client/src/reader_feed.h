// The loop's side of a Reader: one subscription per partition, opened again after every break at
// the next offset.
//
//   subscribe -> Subscribed -> Pushed ... -> inbox          credit comes back from the user's side
//   by grant()
//                           -> corrupt    -> inbox; subscribe again behind the damage
//                           -> error      -> inbox; subscribe again where that can help
//                           -> break      -> subscribe again at the next offset
//
// Owner: the reader's core and requests on their way; it does not own the connection. Thread: the
// loop's, except where it says otherwise.
#pragma once

#include "connection.h"
#include "inbox.h"
#include "topic.h"

#include <memory>
#include <vector>

namespace millrace::detail {

struct FeedStart {
  std::uint32_t partition = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = UINT64_MAX;
};

class ReaderFeed : public std::enable_shared_from_this<ReaderFeed> {
 public:
  ReaderFeed(Connection& connection, Topic topic, const std::vector<FeedStart>& starts,
             std::uint32_t credit_bytes);

  void start();
  void stop();
  // Bytes of this partition's messages that the user is done with.
  void grant(std::uint32_t slot, std::size_t bytes);

  // The user's thread.
  Inbox& inbox() { return inbox_; }

 private:
  struct Slot {
    std::uint32_t partition = 0;
    std::uint64_t next_offset = 0;  // of what will come
    std::uint64_t end = 0;
    std::uint64_t subscription = 0;  // 0: none
    std::uint64_t request_id = 0;
    std::size_t untaken_bytes = 0;  // came, and were not granted again yet
  };
  void subscribe(std::uint32_t slot);
  void unsubscribe(Slot& slot);
  void on_answer(std::uint32_t slot, Answer answer);
  void on_pushed(std::uint32_t slot, const wire::Pushed& pushed,
                 std::vector<zmq::message_t>&& frames);
  void on_error(std::uint32_t slot, ClientError error, bool broken);
  void subscribe_later(std::uint32_t slot);
  void report(std::uint32_t slot, ClientError error);

  Connection& connection_;
  const Topic topic_;
  const std::uint32_t credit_bytes_;
  std::vector<Slot> slots_;
  bool stopped_ = false;
  Inbox inbox_;
};

}  // namespace millrace::detail
