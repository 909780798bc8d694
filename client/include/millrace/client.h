// A connection to one broker and the place where producers, readers and administration come from.
//
// Thread: every public function of every object of this library may be called from any thread; one
// Producer may be shared. A client has one background thread; no callback has to be pumped.
// Lifetime: objects made from a client keep its connection alive; destroy them in any order.
#pragma once

#include "millrace/error.h"
#include "millrace/options.h"

#include <memory>
#include <string>

namespace millrace {

namespace detail {
class Connection;
}

struct BrokerInfo {
  std::string version;
  std::string cluster_id;  // 32 hex digits
  std::string live_endpoint;
  std::uint64_t uptime_ms = 0;
};

class Client {
 public:
  // Does not wait for the broker: the first request does. Fails for an endpoint that cannot be
  // parsed.
  static Outcome<Client> connect(ClientOptions options = {});

  // One round trip.
  Outcome<BrokerInfo> ping();
  const ClientOptions& options() const;

  // For the library's own objects.
  const std::shared_ptr<detail::Connection>& connection() const { return connection_; }

 private:
  explicit Client(std::shared_ptr<detail::Connection> connection)
      : connection_(std::move(connection)) {}
  std::shared_ptr<detail::Connection> connection_;
};

}  // namespace millrace
