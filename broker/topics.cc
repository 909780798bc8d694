#include "broker/topics.h"

#include "broker/meta/topic_name.h"
#include "broker/meta/topic_paths.h"
#include "storage/base/diag.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr std::string_view channel = "topics";

// The one that was created later is first.
bool later(const LoadedTopic& a, const LoadedTopic& b) {
  if (a.meta.created != b.meta.created) return a.meta.created > b.meta.created;
  return a.meta.id > b.meta.id;
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

std::vector<Partition*> pointers(const Topic& topic) {
  std::vector<Partition*> out;
  for (const auto& partition : topic.partitions) out.push_back(partition.get());
  return out;
}

}  // namespace

Topics::Topics(const Core& core, SendAway send_away)
    : core_(core),
      send_away_(std::move(send_away)),
      store_(core.environment.disk, core.environment.cluster_id) {}

// -- life of all
// ------------------------------------------------------------------------------------------------------

void Topics::load(Done done) {
  store_.load([this, done = std::move(done)](Result<std::vector<LoadedTopic>> loaded) {
    if (!loaded) return done(fail(loaded.error()));
    on_loaded(std::move(*loaded), done);
  });
}

void Topics::on_loaded(std::vector<LoadedTopic> loaded, const Done& done) {
  std::sort(loaded.begin(), loaded.end(), later);
  for (auto& topic : loaded) {
    if (const Topic* winner = catalog_.find(topic.meta.name)) {
      diag::error(
          channel,
          "topic {} is there twice: {} was created later and stands; {} is kept on disk and not "
          "served",
          quoted(topic.meta.name), topic_path(winner->meta.id), topic_path(topic.meta.id));
      continue;
    }
    adopt(std::move(topic));
  }
  std::vector<Partition*> partitions;
  for (const auto& [name, topic] : catalog_.by_name()) {
    for (const auto& partition : topic->partitions) {
      if (partition->is_new()) partitions.push_back(partition.get());
    }
  }
  open_partitions(std::move(partitions), [done] { done({}); });
}

void Topics::adopt(LoadedTopic loaded) {
  auto topic = std::make_unique<Topic>();
  topic->meta = std::move(loaded.meta);
  const auto settings = settings_of(topic->meta);
  if (settings) {
    topic->settings = *settings;
  } else {
    diag::error(channel, "topic {}: {}; its settings are the defaults now", topic->meta.name,
                settings.error().to_string());
    topic->settings = default_topic_settings(core_.options);
  }
  make_partitions(*topic);
  for (const PartitionIndex missing : loaded.missing) {
    topic->partitions[missing]->set_fault(
        {Errc::storage_error,
         fmt::format("the directory {} is missing; bring it back and start again",
                     partition_path(topic_path(topic->meta.id), missing))});
  }
  topic->life = Topic::Life::open;
  catalog_.add(std::move(topic));
}

Result<TopicSettings> Topics::settings_of(const TopicMeta& meta) const {
  const auto texts = views(meta.settings);
  auto parsed = parse_topic_settings(texts, default_topic_settings(core_.options));
  if (!parsed) return fail(parsed.error());
  return parsed->settings;
}

std::unique_ptr<Partition> Topics::make_partition(const Topic& topic, PartitionIndex index) const {
  LogIdentity identity;
  identity.cluster_id = core_.environment.cluster_id;
  identity.topic_id = topic.meta.id;
  identity.partition = index;
  identity.topic_name = topic.meta.name;
  identity.directory = partition_path(topic_path(topic.meta.id), index);
  return std::make_unique<Partition>(core_, std::move(identity), topic.settings.log,
                                     topic.settings.live);
}

void Topics::make_partitions(Topic& topic) {
  for (PartitionIndex i = 0; i < topic.meta.partitions; ++i)
    topic.partitions.push_back(make_partition(topic, i));
}

void Topics::open_partitions(std::vector<Partition*> partitions, std::function<void()> done) {
  opening_.add(
      std::move(partitions),
      [](Partition& partition, Partition::Done opened) { partition.open(std::move(opened)); },
      std::move(done));
}

bool Topics::is_quiet() const {
  for (const auto& [name, topic] : catalog_.by_name()) {
    for (const auto& partition : topic->partitions) {
      if (!partition->is_quiet()) return false;
    }
  }
  return true;
}

void Topics::stop() {
  stopping_ = true;
  store_.stop();
}

bool Topics::busy() const { return under_way_ > 0; }

void Topics::close_all(const Error& error, std::function<void()> done) {
  CHECK(!busy(), "topics settle before they are closed");
  std::vector<Partition*> partitions;
  for (const auto& [name, topic] : catalog_.by_name()) {
    for (Partition* partition : pointers(*topic)) {
      send_away_(*partition, error);
      partitions.push_back(partition);
    }
  }
  closing_.add(
      std::move(partitions),
      [error](Partition& partition, Partition::Done closed) {
        partition.close(error, std::move(closed));
      },
      std::move(done));
}

// -- create
// -----------------------------------------------------------------------------------------------------------

TopicId Topics::fresh_id() {
  TopicId id;
  do {
    for (std::size_t i = 0; i < id.bytes.size(); i += 8) {
      store_le(reinterpret_cast<std::byte*>(id.bytes.data() + i), core_.environment.random.next());
    }
  } while (id.is_none());
  return id;
}

void Topics::create(NewTopic request, Created done) {
  const BrokerLimits& limits = core_.options.limits;
  if (stopping_)
    return done(fail(Errc::shutting_down, "the broker is stopping; retry when it is back"));
  if (auto named = check_topic_name(request.name); !named) return done(fail(named.error()));
  if (request.partitions == 0 || request.partitions > limits.partitions_per_topic_max) {
    return done(
        fail(Errc::bad_request, fmt::format("a topic has 1 to {} partitions, not {}",
                                            limits.partitions_per_topic_max, request.partitions)));
  }
  const auto texts = views(request.settings);
  auto parsed = parse_topic_settings(texts, default_topic_settings(core_.options));
  if (!parsed) return done(fail(parsed.error()));
  if (Topic* standing = catalog_.find(request.name)) {
    const bool settles =
        standing->life == Topic::Life::creating || standing->life == Topic::Life::deleting;
    if (!settles)
      return done(fail(Errc::topic_exists,
                       "topic " + quoted(request.name) +
                           " exists already; use it as it is, delete it first, or choose another "
                           "name"));
    if (waiting_ >= waiting_creations_max) {
      return done(
          fail(Errc::overloaded,
               fmt::format("{} creations wait for others of the same name, the limit; retry "
                           "after a pause",
                           waiting_creations_max)));
    }
    ++waiting_;
    standing->when_settled.push_back([this, request = std::move(request), done = std::move(done)] {
      --waiting_;
      create(request, done);
    });
    return;
  }
  if (auto fits = check_together(*parsed); !fits) return done(fail(fits.error()));
  if (catalog_.size() >= limits.topics_max) {
    return done(
        fail(Errc::overloaded, fmt::format("the broker has as many topics as limits.topics_max "
                                           "allows, {}; delete some, or raise it",
                                           limits.topics_max)));
  }
  if (under_way_ >= creations_at_once) {
    return done(
        fail(Errc::overloaded,
             fmt::format("{} topics are being created or deleted, the limit; retry after a pause",
                         creations_at_once)));
  }
  auto topic = std::make_unique<Topic>();
  topic->meta.id = fresh_id();
  topic->meta.name = std::move(request.name);
  topic->meta.partitions = request.partitions;
  topic->meta.created = core_.environment.clock.wall();
  topic->meta.settings = std::move(parsed->given);
  topic->settings = parsed->settings;
  Topic& added = catalog_.add(std::move(topic));
  ++under_way_;
  store_.create(added.meta, [this, &added, done = std::move(done)](Result<void> result) {
    on_stored(added, std::move(result), done);
  });
}

void Topics::on_stored(Topic& topic, Result<void> result, const Created& done) {
  if (!result) {
    --under_way_;
    const auto dead = catalog_.take(topic.meta.name);
    done(fail(result.error()));
    return settle(std::move(dead->when_settled));
  }
  make_partitions(topic);
  open_partitions(pointers(topic), [this, &topic, done] {
    --under_way_;
    topic.life = Topic::Life::open;
    auto waiting = std::exchange(topic.when_settled, {});
    done(&topic);
    settle(std::move(waiting));
  });
}

void Topics::settle(std::vector<std::function<void()>> waiting) {
  for (auto& call : waiting) call();
}

// -- delete
// -----------------------------------------------------------------------------------------------------------

void Topics::remove(const TopicRef& ref, Done done) {
  auto found = catalog_.find(ref);
  if (!found) return done(fail(found.error()));
  Topic& topic = **found;
  if (topic.life == Topic::Life::deleting) {
    return done(
        fail(Errc::unknown_topic,
             "topic " + quoted(ref.name) + " is being deleted; create it again if it is wanted"));
  }
  if (topic.life == Topic::Life::creating) {
    return done(fail(Errc::overloaded,
                     "topic " + quoted(ref.name) + " is being created; retry after a pause"));
  }
  ++under_way_;
  topic.life = Topic::Life::deleting;
  const Error deleted{Errc::unknown_topic, "topic " + quoted(ref.name) +
                                               " was deleted; create it again if it is wanted"};
  for (Partition* partition : pointers(topic)) send_away_(*partition, deleted);
  closing_.add(
      pointers(topic),
      [deleted](Partition& partition, Partition::Done closed) {
        partition.close(deleted, std::move(closed));
      },
      [this, &topic, done = std::move(done)] { on_closed(topic, done); });
}

// Only now: a log's files may not go while it has I/O in flight.
void Topics::on_closed(Topic& topic, const Done& done) {
  store_.remove(topic.meta.id, [this, &topic, done](Result<void> result) {
    on_removed(topic, std::move(result), done);
  });
}

void Topics::on_removed(Topic& topic, Result<void> result, const Done& done) {
  // Gone already: the name was taken away under us, or an earlier deletion got further than it
  // knew.
  const bool is_gone = result || result.error().code == Errc::not_found;
  if (!is_gone && result.error().code == Errc::storage_full)
    return serve_again(topic, result.error(), done);
  --under_way_;
  auto waiting = std::exchange(topic.when_settled, {});
  if (is_gone) {
    const auto dead = catalog_.take(topic.meta.name);
    done({});
  } else {
    topic.life = Topic::Life::failed;
    topic.fault = {result.error().code,
                   fmt::format("topic {} is closed: its deletion failed: {}; delete it again, or "
                               "restart the broker",
                               quoted(topic.meta.name), result.error().text)};
    diag::error(channel, "{}", topic.fault.text);
    done(fail(topic.fault));
  }
  settle(std::move(waiting));
}

// The deletion found no room for a name: nothing of the topic has changed on the disk. What was
// closed is opened as by a start; a log that was never opened is as it was.
void Topics::serve_again(Topic& topic, const Error& refusal, const Done& done) {
  std::vector<Partition*> closed;
  for (PartitionIndex i = 0; i < topic.meta.partitions; ++i) {
    auto& partition = topic.partitions[i];
    if (!partition->is_closed()) continue;
    partition = make_partition(topic, i);
    closed.push_back(partition.get());
  }
  open_partitions(std::move(closed), [this, &topic, refusal, done] {
    --under_way_;
    topic.life = Topic::Life::open;
    // One that does not open has said why, and says so to whoever asks for it.
    const auto opened =
        std::count_if(topic.partitions.begin(), topic.partitions.end(),
                      [](const auto& partition) { return partition->check_open().has_value(); });
    const Error error{
        refusal.code,
        fmt::format("topic {} is not deleted, and {} of its {} partitions are served "
                    "again: {}; free space and delete it again",
                    quoted(topic.meta.name), opened, topic.meta.partitions, refusal.text)};
    diag::warn(channel, "{}", error.text);
    auto waiting = std::exchange(topic.when_settled, {});
    done(fail(error));
    settle(std::move(waiting));
  });
}

// -- look-up
// ----------------------------------------------------------------------------------------------------------

Result<Topic*> Topics::find(const TopicRef& ref) const {
  auto found = catalog_.find(ref);
  if (!found) return found;
  switch ((*found)->life) {
    case Topic::Life::open: return found;
    case Topic::Life::creating:
      return fail(Errc::overloaded,
                  "topic " + quoted(ref.name) + " is being created; retry after a pause");
    case Topic::Life::deleting:
      return fail(Errc::unknown_topic, "topic " + quoted(ref.name) +
                                           " is being deleted; create it again if it is wanted");
    case Topic::Life::failed: return fail((*found)->fault);
  }
  return fail(Errc::unknown_topic);
}

Result<Partition*> Topics::find_partition(const TopicRef& ref, PartitionIndex partition) const {
  const auto topic = find(ref);
  if (!topic) return fail(topic.error());
  const auto& partitions = (*topic)->partitions;
  if (partition >= partitions.size()) {
    return fail(Errc::unknown_partition,
                fmt::format("topic {} has partitions 0 to {}, not {}", quoted(ref.name),
                            partitions.size() - 1, partition));
  }
  Partition* found = partitions[partition].get();
  if (auto is_open = found->check_open(); !is_open) return fail(is_open.error());
  return found;
}

}  // namespace millrace
