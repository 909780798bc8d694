// Topics come and go here: start, create, delete, stop. What stands is in the catalog; what is
// durable is in its store.
//
// Owner: Shard. Thread: the shard's. Every `done` may be called before the call returns when it is
// a refusal, else it comes from a later turn.
//
// A topic that is being created or deleted keeps its name: requests for it are refused until it
// stands (overloaded, to be retried) or at once (unknown_topic), and a creation under the same name
// waits for the end.
#pragma once

#include "broker/core.h"
#include "broker/meta/catalog.h"
#include "broker/meta/catalog_store.h"
#include "broker/partition_queue.h"

#include <functional>
#include <string>
#include <vector>

namespace millrace {

class Topics {
 public:
  using Done = std::function<void(Result<void>)>;
  using Created = std::function<void(Result<Topic*>)>;
  // Sends away everybody who reads a partition, with this error.
  using SendAway = std::function<void(const Partition&, const Error&)>;

  static constexpr std::size_t creations_at_once = 64;
  static constexpr std::size_t waiting_creations_max = 1024;

  Topics(const Core& core, SendAway send_away);
  Topics(const Topics&) = delete;
  Topics& operator=(const Topics&) = delete;

  // -- life of all
  // Opens every topic. Fails only when the store cannot list them.
  void load(Done done);
  bool is_quiet() const;  // no partition waits for the disk
  // From now on nothing is created; background work ends after the step in flight.
  void stop();
  // Closes every log. Nothing else may be under way: see busy().
  void close_all(const Error& error, std::function<void()> done);
  // Whether a creation or deletion is under way.
  bool busy() const;
  bool store_idle() const { return store_.idle(); }

  // -- life of one
  struct NewTopic {
    std::string name;
    std::uint32_t partitions = 1;
    std::vector<std::string> settings;
  };
  // Errors: bad_topic_name, bad_setting, bad_request, topic_exists, overloaded, the disk's.
  void create(NewTopic request, Created done);
  // Errors: unknown_topic, the disk's. After storage_full the topic is served as before; after any
  // other error of the disk it stays closed until it is deleted again or the broker is restarted.
  void remove(const TopicRef& topic, Done done);

  // -- look-up
  // Errors: unknown_topic, overloaded while it is being created.
  Result<Topic*> find(const TopicRef& ref) const;
  // Errors: those of find; unknown_partition; those of a partition that is not open.
  Result<Partition*> find_partition(const TopicRef& ref, PartitionIndex partition) const;
  const Catalog& catalog() const { return catalog_; }

 private:
  void on_loaded(std::vector<LoadedTopic> loaded, const Done& done);
  void adopt(LoadedTopic loaded);
  std::unique_ptr<Partition> make_partition(const Topic& topic, PartitionIndex index) const;
  void make_partitions(Topic& topic);
  void open_partitions(std::vector<Partition*> partitions, std::function<void()> done);
  Result<TopicSettings> settings_of(const TopicMeta& meta) const;
  void on_stored(Topic& topic, Result<void> result, const Created& done);
  void on_closed(Topic& topic, const Done& done);
  void serve_again(Topic& topic, const Error& refusal, const Done& done);
  void on_removed(Topic& topic, Result<void> result, const Done& done);
  void settle(std::vector<std::function<void()>> waiting);
  TopicId fresh_id();

  const Core& core_;
  SendAway send_away_;
  Catalog catalog_;
  CatalogStore store_;
  PartitionQueue opening_, closing_;
  bool stopping_ = false;
  std::size_t under_way_ = 0;  // creations and deletions
  std::size_t waiting_ = 0;    // creations behind them
};

}  // namespace millrace
