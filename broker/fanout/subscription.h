// One reader that is pushed to: a cursor and a byte credit.
//
// Owner: Feeder. Thread: the shard's. At any time a subscription is in exactly one place: waiting
// for data (in its partition's list), ready (in the feeder's), in its client's line for room,
// reading from disk, or out of credit.
//
// Numbers: `cursor` is the next offset to send; `credit` may go below 0, because at least one whole
// batch is sent while it is above 0.
#pragma once

#include "broker/by_client.h"
#include "broker/clients.h"
#include "storage/base/ids.h"
#include "storage/log.h"

#include <cstdint>
#include <memory>

namespace millrace {

class Feeder;
class Partition;

class Subscription final : public RoomWaiter {
 public:
  Subscription(Feeder& feeder, const ClientKey& k, std::uint64_t request, Partition& p, Offset from,
               std::uint32_t credit_bytes)
      : key(k),
        request_id(request),
        partition(p),
        cursor(from),
        credit(credit_bytes),
        feeder_(feeder) {}

  void on_room() override;

  // Adds to the credit, which stays within what a reply can say.
  void grant(std::uint32_t bytes);
  std::uint32_t credit_left() const { return credit > 0 ? static_cast<std::uint32_t>(credit) : 0; }

  const ClientKey key;
  const std::uint64_t request_id;  // of the Subscribe: every push carries it
  Partition& partition;
  Offset cursor;
  std::int64_t credit;
  std::size_t reserved = 0;  // bytes of the client's room, while reading
  std::unique_ptr<LogRead> read;

 private:
  Feeder& feeder_;
};

}  // namespace millrace
