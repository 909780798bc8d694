#include "millrace/client.h"

#include "connection.h"

namespace millrace {

using detail::refuse;

Outcome<Client> Client::connect(ClientOptions options) {
  auto connection = detail::Connection::open(std::move(options));
  if (!connection) return refuse(connection.error());
  return Client(std::move(*connection));
}

Outcome<BrokerInfo> Client::ping() {
  auto reply = connection_->call(detail::encode_ping);
  if (!reply) return refuse(reply.error());
  const wire::Pong* pong = reply->reply().body_as_Pong();
  if (pong == nullptr) return detail::unexpected_reply("ping");
  BrokerInfo info;
  if (pong->broker_version() != nullptr) info.version = pong->broker_version()->str();
  if (pong->live() != nullptr) info.live_endpoint = pong->live()->str();
  info.cluster_id = detail::hex_of(pong->cluster_id());
  info.uptime_ms = pong->uptime_ms();
  return info;
}

const ClientOptions& Client::options() const { return connection_->options(); }

}  // namespace millrace
