// The catalog on disk: the set of topic directories (topic_paths.h). There is no central file that
// could be lost.
//
// Owner: Topics. Thread: the shard's. Every `done` is called from a later turn.
// Several creations and deletions may be in flight, of different topics. Directories that are no
// topics (any more) are removed in the background, one at a time; what is left at the end is
// finished by the next start.
#pragma once

#include "broker/meta/topic_create.h"
#include "broker/meta/topic_load.h"
#include "broker/meta/tree_removal.h"
#include "storage/base/result.h"
#include "storage/io/disk.h"

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class CatalogStore {
 public:
  using Done = std::function<void(Result<void>)>;
  using Loaded = std::function<void(Result<std::vector<LoadedTopic>>)>;

  CatalogStore(Disk& disk, const ClusterId& cluster_id);
  CatalogStore(const CatalogStore&) = delete;
  CatalogStore& operator=(const CatalogStore&) = delete;
  // Must be idle.
  ~CatalogStore();

  // Every topic that says what it is, in no order; names what it had to leave out in diag. Starts
  // the removal of what creations and deletions left behind. Fails only when topics/ itself cannot
  // be made, listed or synced; then nothing is in flight.
  void load(Loaded done);
  // The topic stands durably, or an error and no topic.
  void create(const TopicMeta& meta, Done done);
  // The topic is gone durably; its files go in the background. They must be closed. storage_full:
  // there was no room for another name, and the topic stands as it was.
  void remove(const TopicId& id, Done done);

  // Ends background work after the step in flight.
  void stop();
  bool idle() const;
  std::size_t creating() const { return creations_.size(); }

 private:
  // One rename and one sync; then the topic is gone.
  struct Deletion {
    Deletion(CatalogStore& s, const TopicId& i, Done d);
    void rename();
    void step(IoResult io);
    CatalogStore& store;
    const TopicId id;
    Done done;
    std::string to;  // what it is called until it is removed
    bool renamed = false;
    bool was_gone = false;  // from topics/<id>, before this deletion
    Completion io;
  };

  void step(IoResult io);
  void tell_of_deleted(const Error& error) const;
  void on_deleted_listed();
  void on_listed();
  void load_more();
  void on_loaded(TopicLoad& load, Result<LoadedTopic> topic);
  void on_created(TopicCreate& creation, Result<void> result, const Done& done);
  void on_deleted(Deletion& deletion, Result<void> result);
  void remove_tree(std::string path);
  void next_removal();
  void on_removed(Result<void> result);

  enum class Stage { idle, make, make_deleted, sync_root, sync_topics, list_deleted, list, load };

  Disk& disk_;
  const ClusterId cluster_id_;
  Stage stage_ = Stage::idle;
  Loaded loaded_;
  std::vector<DirectoryEntry> entries_;
  std::vector<TopicId> to_load_;
  std::vector<LoadedTopic> topics_;
  std::vector<std::unique_ptr<TopicLoad>> loads_;
  std::vector<std::unique_ptr<TopicCreate>> creations_;
  std::vector<std::unique_ptr<Deletion>> deletions_;
  std::deque<std::string> to_remove_;
  std::unique_ptr<TreeRemoval> removal_;
  bool stopping_ = false;
  Completion io_;
};

}  // namespace millrace
