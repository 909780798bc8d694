#include "broker/meta/catalog.h"

#include "broker/meta/topic_name.h"
#include "storage/base/check.h"

namespace millrace {

Topic* Catalog::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second.get();
}

Result<Topic*> Catalog::find(const TopicRef& ref) const {
  Topic* topic = find(ref.name);
  if (topic == nullptr) {
    return fail(Errc::unknown_topic, "there is no topic " + quoted(ref.name) +
                                         "; create it first (millrace topic create), or look at "
                                         "the names that are there (millrace topic list)");
  }
  if (!ref.id.is_none() && ref.id != topic->meta.id) {
    return fail(Errc::unknown_topic, "topic " + quoted(ref.name) +
                                         " was deleted and created again since; look it up again");
  }
  return topic;
}

Topic& Catalog::add(std::unique_ptr<Topic> topic) {
  const auto [place, added] = by_name_.emplace(topic->meta.name, std::move(topic));
  CHECK(added, "a topic's name is free when it is added");
  return *place->second;
}

std::unique_ptr<Topic> Catalog::take(std::string_view name) {
  const auto found = by_name_.find(name);
  CHECK(found != by_name_.end(), "only topics that are there are taken");
  auto topic = std::move(found->second);
  by_name_.erase(found);
  return topic;
}

}  // namespace millrace
