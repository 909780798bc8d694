// Which topics there are, by name and by id. In memory, deterministic, and only that: what a topic
// is made of stands in broker/topic.h.
//
// Owner: Topics. Thread: the shard's. Iteration is in the order of names.
#pragma once

#include "broker/requests.h"
#include "broker/topic.h"
#include "storage/base/result.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace millrace {

class Catalog {
 public:
  using ByName = std::map<std::string, std::unique_ptr<Topic>, std::less<>>;

  // Null when there is none of that name.
  Topic* find(std::string_view name) const;
  // Errors: unknown_topic, also when the name stands for another incarnation now.
  Result<Topic*> find(const TopicRef& ref) const;
  // The name must be free.
  Topic& add(std::unique_ptr<Topic> topic);
  std::unique_ptr<Topic> take(std::string_view name);

  std::size_t size() const { return by_name_.size(); }
  const ByName& by_name() const { return by_name_; }

 private:
  ByName by_name_;
};

}  // namespace millrace
