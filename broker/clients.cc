#include "broker/clients.h"

#include "broker/meta/setting_text.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

// What a reply costs here besides its data.
constexpr std::size_t reply_overhead_bytes = 256;
// What a client that holds nothing may be given when all others hold reply_bytes_max, a whole batch
// at the least; and the part of reply_bytes_max that all of these together may take on top of it.
constexpr std::size_t first_reply_bytes = 256 * 1024;
constexpr std::uint64_t first_replies_share = 4;
// A reply without data above this size is a copy that counts, and may be refused.
constexpr std::size_t large_reply_bytes = 64 * 1024;
constexpr std::size_t retries_per_turn = 256;
constexpr std::size_t waiters_per_turn = 512;
// The port has no word for "this client drains again", so busy clients are looked at this often at
// the least.
constexpr Duration retry_interval = milliseconds(10);

std::size_t size_of(const std::vector<Buffer>& data) {
  std::size_t bytes = 0;
  for (const auto& buffer : data) bytes += buffer.size();
  return bytes;
}

std::size_t cost_of(const Reply& reply) {
  std::size_t bytes = reply_overhead_bytes;
  if (const auto* fetched = std::get_if<FetchedReply>(&reply.body)) bytes += size_of(fetched->data);
  if (const auto* pushed = std::get_if<PushedReply>(&reply.body)) bytes += size_of(pushed->data);
  if (const auto* error = std::get_if<Error>(&reply.body)) bytes += error->text.size();
  if (const auto* list = std::get_if<TopicListReply>(&reply.body)) {
    for (const auto& row : list->topics) bytes += sizeof row + row.name.size();
  }
  if (const auto* info = std::get_if<TopicInfoReply>(&reply.body)) {
    for (const auto& partition : info->partition_infos)
      bytes += sizeof partition + partition.state.size();
    for (const auto& setting : info->settings) bytes += sizeof(std::string) + setting.size();
  }
  return bytes;
}

bool carries_data(const Reply& reply) {
  return std::holds_alternative<FetchedReply>(reply.body) ||
         std::holds_alternative<PushedReply>(reply.body);
}

}  // namespace

Clients::Clients(const ShardEnvironment& environment, const BrokerLimits& limits)
    : environment_(environment), limits_(limits), retry_timer_(this, [](void*) {}) {}

Clients::Client& Clients::entry(ClientHandle client) { return clients_[client]; }

void Clients::forget_if_idle(ClientHandle client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  const Client& state = found->second;
  const bool idle = state.queue.empty() && state.held_bytes == 0 && state.line.empty() &&
                    !state.busy && !state.in_line && !state.gone;
  if (idle) clients_.erase(found);
}

void Clients::hold(Client& client, std::size_t bytes) {
  client.held_bytes += bytes;
  held_bytes_ += bytes;
}

void Clients::let_go(Client& client, std::size_t bytes) {
  CHECK(client.held_bytes >= bytes, "a client gives back what it held");
  client.held_bytes -= bytes;
  held_bytes_ -= bytes;
}

// -- replies
// ----------------------------------------------------------------------------------------------------------

void Clients::refuse(ClientHandle client, std::uint64_t request_id, Error error) {
  const auto code = static_cast<std::size_t>(error.code);
  if (code < ShardMetrics::reasons) environment_.metrics.rejected[code].add();
  send(client, request_id, std::move(error));
}

void Clients::send(ClientHandle client, std::uint64_t request_id, ReplyBody body) {
  Reply reply{request_id, std::move(body)};
  if (!carries_data(reply) && cost_of(reply) > large_reply_bytes) {
    if (auto room = check_room(client, cost_of(reply)); !room) reply.body = room.error();
  }
  const auto found = clients_.find(client);
  if (found != clients_.end()) {
    if (found->second.gone) return drop(reply);
    // Behind those that wait already: replies of one client stay in order.
    if (!found->second.queue.empty()) return keep(client, std::move(reply));
  }
  switch (environment_.clients.send(client, reply)) {
    case SendResult::sent: return;
    case SendResult::busy: return keep(client, std::move(reply));
    case SendResult::gone: drop(reply); return mark_gone(client);
  }
}

void Clients::keep(ClientHandle client, Reply&& reply) {
  Client& state = entry(client);
  if (state.gone) return drop(reply);
  const std::size_t bytes = cost_of(reply);
  // Data was let in by room(), and a large reply to a client that holds nothing by check_room(), so
  // they always have their place; what is dropped is what a client provokes without reading.
  const std::uint64_t held = state.held_bytes + environment_.clients.pinned_bytes(client);
  const bool full = (state.held_bytes > 0 && state.held_bytes + bytes > limits_.client_bytes_max) ||
                    total_bytes() + bytes > all_max(held);
  if (full && !carries_data(reply)) {
    drop(reply);
    return forget_if_idle(client);
  }
  hold(state, bytes);
  state.queue.push_back({std::move(reply), bytes});
  if (state.busy) return;
  state.busy = true;
  busy_.push_back(client);
}

void Clients::drop(const Reply&) { environment_.metrics.replies_undeliverable.add(); }

// -- room
// -------------------------------------------------------------------------------------------------------------

std::size_t Clients::room(ClientHandle client) const {
  const auto found = clients_.find(client);
  if (found != clients_.end() && !found->second.queue.empty()) return 0;
  const std::uint64_t held = (found == clients_.end() ? 0 : found->second.held_bytes) +
                             environment_.clients.pinned_bytes(client);
  if (held >= limits_.client_bytes_max) return 0;
  const std::uint64_t left_of_client = limits_.client_bytes_max - held;
  const std::uint64_t held_by_all = total_bytes();
  if (held_by_all < limits_.reply_bytes_max)
    return std::min(left_of_client, limits_.reply_bytes_max - held_by_all);
  // Who holds nothing gets a little.
  if (held_by_all >= all_max(held)) return 0;
  return std::min({left_of_client, std::uint64_t{first_reply_bytes}, all_max(held) - held_by_all});
}

// Of all, for a client that holds so much: those who do not read must not stop those who do.
std::uint64_t Clients::all_max(std::uint64_t held) const {
  if (held > 0) return limits_.reply_bytes_max;
  return limits_.reply_bytes_max + limits_.reply_bytes_max / first_replies_share;
}

// For a reply that room() was not asked for: a list of many topics or partitions.
Result<void> Clients::check_room(ClientHandle client, std::size_t bytes) const {
  const std::uint64_t held = held_bytes(client) + environment_.clients.pinned_bytes(client);
  if (held > 0 && held + bytes > limits_.client_bytes_max)
    return fail(Errc::overloaded,
                fmt::format("{} bytes of replies that this client has not read yet leave no room "
                            "for this one of {} below limits.client_bytes_max = {}; read them, "
                            "then ask again",
                            held, bytes, size_text(limits_.client_bytes_max)));
  if (bytes > all_max(0))
    return fail(Errc::overloaded,
                fmt::format("this reply of {} bytes is larger than all replies together may be; "
                            "raise limits.reply_bytes_max = {}",
                            bytes, size_text(limits_.reply_bytes_max)));
  if (total_bytes() + bytes > all_max(held))
    return fail(Errc::overloaded,
                fmt::format("{} bytes of replies that clients have not read yet leave no room for "
                            "this one of {} below limits.reply_bytes_max = {}; retry after a pause",
                            total_bytes(), bytes, size_text(limits_.reply_bytes_max)));
  return {};
}

std::uint64_t Clients::held_bytes(ClientHandle client) const {
  const auto found = clients_.find(client);
  return found == clients_.end() ? 0 : found->second.held_bytes;
}

void Clients::wait_for_room(ClientHandle client, RoomWaiter& waiter) {
  Client& state = entry(client);
  state.line.push_back(waiter);
  note_line(client, state);
}

void Clients::note_line(ClientHandle client, Client& state) {
  if (state.in_line || state.line.empty()) return;
  state.in_line = true;
  lines_.push_back(client);
}

void Clients::reserve(ClientHandle client, std::size_t bytes) { hold(entry(client), bytes); }

void Clients::release(ClientHandle client, std::size_t bytes) {
  const auto found = clients_.find(client);
  // The entry of a client that is gone took its reservations with it.
  if (found == clients_.end()) return;
  let_go(found->second, bytes);
  forget_if_idle(client);
}

// -- life
// -------------------------------------------------------------------------------------------------------------

void Clients::mark_gone(ClientHandle client) {
  Client& state = entry(client);
  if (state.gone) return;
  state.gone = true;
  gone_.push_back(client);
}

std::vector<ClientHandle> Clients::take_gone() {
  std::vector<ClientHandle> gone = std::move(gone_);
  gone_.clear();
  for (const ClientHandle client : gone) {
    const auto found = clients_.find(client);
    CHECK(found != clients_.end(), "an entry stays until the client's going was told");
    held_bytes_ -= found->second.held_bytes;
    std::erase(busy_, client);
    std::erase(lines_, client);
    clients_.erase(found);
  }
  return gone;
}

// -- the turn
// ---------------------------------------------------------------------------------------------------------

void Clients::retry(ClientHandle client) {
  Client& state = entry(client);
  while (!state.queue.empty() && !state.gone) {
    Queued& first = state.queue.front();
    const SendResult result = environment_.clients.send(client, first.reply);
    if (result == SendResult::busy) break;
    if (result == SendResult::gone) {
      drop(first.reply);
      mark_gone(client);
    }
    let_go(state, first.bytes);
    state.queue.pop_front();
  }
  state.busy = !state.queue.empty() && !state.gone;
  if (state.busy) busy_.push_back(client);
  forget_if_idle(client);
}

// Lets the clients' lines go on in turn, one waiter each. A line that has no room stays, and needs
// an event to move.
bool Clients::serve_lines() {
  std::size_t budget = waiters_per_turn;
  std::size_t without_room = 0;
  while (without_room < lines_.size() && budget > 0) {
    const ClientHandle client = lines_.front();
    lines_.pop_front();
    Client& state = entry(client);
    if (state.line.empty() || state.gone) {
      state.in_line = false;
      forget_if_idle(client);
      continue;
    }
    lines_.push_back(client);
    if (room(client) == 0) {
      ++without_room;
      continue;
    }
    without_room = 0;
    --budget;
    state.line.pop_front().on_room();
  }
  return budget == 0;
}

bool Clients::turn() {
  const std::size_t retries = std::min(busy_.size(), retries_per_turn);
  for (std::size_t i = 0; i < retries; ++i) {
    const ClientHandle client = busy_.front();
    busy_.pop_front();
    retry(client);
  }
  const bool more = serve_lines();
  // What a line waits for may be bytes that the network takes, of which nobody tells.
  if (busy_.empty() && lines_.empty()) {
    retry_timer_.cancel();
  } else if (!retry_timer_.armed()) {
    environment_.timers.arm(retry_timer_, environment_.clock.now() + retry_interval);
  }
  return more;
}

}  // namespace millrace
