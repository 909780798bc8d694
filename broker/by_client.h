// What the clients of a shard have open, each under a number that its client chose: found by that,
// counted by client, and buried when it ends.
//
// Owner: Feeder, Fetches. Thread: the shard's. An item may end inside of a callback of its own, so
// bury() only takes it out of the table; it lives until tidy(). Item: has `key`, a ClientKey.
#pragma once

#include "broker/client_port.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace millrace {

struct ClientKey {
  ClientHandle client;
  std::uint64_t id = 0;
  friend auto operator<=>(const ClientKey&, const ClientKey&) = default;
};

template <class Item>
class ByClient {
 public:
  bool contains(const ClientKey& key) const { return items_.contains(key); }
  // Null: there is none.
  Item* find(const ClientKey& key) const {
    const auto found = items_.find(key);
    return found == items_.end() ? nullptr : found->second.get();
  }
  std::size_t count_of(ClientHandle client) const {
    const auto found = counts_.find(client);
    return found == counts_.end() ? 0 : found->second;
  }
  std::size_t size() const { return items_.size(); }

  // Its key must be free.
  Item& add(std::unique_ptr<Item> item) {
    const ClientKey key = item->key;
    ++counts_[key.client];
    return *items_.emplace(key, std::move(item)).first->second;
  }
  void bury(Item& item) {
    const auto found = items_.find(item.key);
    dead_.push_back(std::move(found->second));
    items_.erase(found);
    const auto count = counts_.find(item.key.client);
    if (--count->second == 0) counts_.erase(count);
  }
  void tidy() { dead_.clear(); }

  // `visit` may bury the item that it is given, and no other.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto at = items_.begin(); at != items_.end();) visit(*(at++)->second);
  }
  template <class Visit>
  void for_each_of(ClientHandle client, Visit visit) {
    auto at = items_.lower_bound({client, 0});
    while (at != items_.end() && at->first.client == client) visit(*(at++)->second);
  }

 private:
  std::map<ClientKey, std::unique_ptr<Item>> items_;
  std::map<ClientHandle, std::size_t> counts_;  // of clients that have any
  std::vector<std::unique_ptr<Item>> dead_;
};

}  // namespace millrace
