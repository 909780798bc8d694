#include "broker/meta/catalog_store.h"

#include "broker/meta/topic_name.h"
#include "broker/meta/topic_paths.h"
#include "storage/base/diag.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr std::string_view channel = "catalog";
constexpr std::size_t loads_at_once = 32;

// Takes `part` out of its owner's list. Staged operations call back as their last act, so what is
// returned may die as soon as the callback's own work is done.
template <class T>
std::unique_ptr<T> extract(std::vector<std::unique_ptr<T>>& list, T& part) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const auto& p) { return p.get() == &part; });
  CHECK(found != list.end(), "an operation ends once");
  auto taken = std::move(*found);
  list.erase(found);
  return taken;
}

}  // namespace

CatalogStore::CatalogStore(Disk& disk, const ClusterId& cluster_id)
    : disk_(disk),
      cluster_id_(cluster_id),
      io_(this, Completion::to<&CatalogStore::step, CatalogStore>()) {}

CatalogStore::~CatalogStore() { CHECK(idle(), "the catalog store died at work"); }

bool CatalogStore::idle() const {
  return stage_ == Stage::idle && creations_.empty() && deletions_.empty() && removal_ == nullptr;
}

void CatalogStore::stop() {
  stopping_ = true;
  to_remove_.clear();
  to_load_.clear();
  if (removal_ != nullptr) removal_->cancel();
}

// -- load
// -------------------------------------------------------------------------------------------------------------

void CatalogStore::load(Loaded done) {
  loaded_ = std::move(done);
  stage_ = Stage::make;
  disk_.make_directory(io_, topics_directory);
}

void CatalogStore::step(IoResult io) {
  const bool is_there = stage_ == Stage::make && !io && io.error().code == Errc::already_exists;
  // Without deleted/ all is well until a full disk has no room for a name.
  const bool goes_without = stage_ == Stage::make_deleted || stage_ == Stage::list_deleted;
  if (!io && goes_without) tell_of_deleted(io.error());
  if (!io && !is_there && !goes_without) {
    stage_ = Stage::idle;
    return std::exchange(loaded_, nullptr)(fail(io.error()));
  }
  switch (stage_) {
    case Stage::make:
      stage_ = Stage::make_deleted;
      return disk_.make_directory(io_, deleted_directory);
    case Stage::make_deleted: stage_ = Stage::sync_root; return disk_.sync_directory(io_, ".");
    case Stage::sync_root:
      // A killed process may have left names that a loss of power would take back, after events
      // were acked in one of them or its files were removed.
      stage_ = Stage::sync_topics;
      return disk_.sync_directory(io_, topics_directory);
    case Stage::sync_topics:
      stage_ = Stage::list_deleted;
      return disk_.list(io_, deleted_directory, entries_);
    case Stage::list_deleted:
      on_deleted_listed();
      stage_ = Stage::list;
      return disk_.list(io_, topics_directory, entries_);
    case Stage::list: return on_listed();
    case Stage::load:
    case Stage::idle: break;
  }
  UNREACHABLE("the catalog store completed an I/O it never started");
}

void CatalogStore::tell_of_deleted(const Error& error) const {
  if (stage_ == Stage::make_deleted && error.code != Errc::already_exists)
    diag::warn(channel,
               "{}/ cannot be made: {}; a deletion on a full disk may be refused until a start can "
               "make it",
               deleted_directory, error.text);
  // Not there: then nothing lies there.
  if (stage_ == Stage::list_deleted && error.code != Errc::not_found)
    diag::warn(
        channel,
        "{}/ cannot be listed: {}; deleted topics that are left there keep their space until "
        "a start can list it",
        deleted_directory, error.text);
}

// Only noted: while a start can still fail, nothing else may be in flight.
void CatalogStore::on_deleted_listed() {
  for (const auto& entry : std::exchange(entries_, {})) {
    const auto parsed = parse_topic_directory(entry.name);
    const bool is_ours = parsed && parsed->kind == TopicDirectory::topic &&
                         entry.kind == DirectoryEntry::Kind::directory;
    const std::string path = join_path(deleted_directory, entry.name);
    if (is_ours) {
      diag::info(channel, "finishing the removal of {}", path);
      to_remove_.push_back(path);
    } else {
      diag::warn(channel, "{}/{} is not a deleted topic; it is left alone", deleted_directory,
                 quoted(entry.name));
    }
  }
}

void CatalogStore::on_listed() {
  stage_ = Stage::load;
  for (const auto& entry : entries_) {
    const auto parsed = parse_topic_directory(entry.name);
    if (!parsed || entry.kind != DirectoryEntry::Kind::directory) {
      diag::warn(channel, "{}/{} is not a topic's directory; it is left alone", topics_directory,
                 quoted(entry.name));
    } else if (parsed->kind == TopicDirectory::topic) {
      to_load_.push_back(parsed->id);
    } else {
      diag::info(channel, "finishing the removal of {}/{}", topics_directory, entry.name);
      remove_tree(join_path(topics_directory, entry.name));
    }
  }
  entries_.clear();
  next_removal();
  load_more();
}

void CatalogStore::load_more() {
  while (!to_load_.empty() && loads_.size() < loads_at_once) {
    const TopicId id = to_load_.back();
    to_load_.pop_back();
    loads_.push_back(std::make_unique<TopicLoad>(
        disk_, cluster_id_, id,
        [this](TopicLoad& load, Result<LoadedTopic> topic) { on_loaded(load, std::move(topic)); }));
    loads_.back()->start();
  }
  if (!loads_.empty()) return;
  stage_ = Stage::idle;
  std::exchange(loaded_, nullptr)(std::move(topics_));
}

void CatalogStore::on_loaded(TopicLoad& load, Result<LoadedTopic> topic) {
  const auto dead = extract(loads_, load);
  if (topic) {
    topics_.push_back(std::move(*topic));
  } else {
    diag::error(channel, "a topic cannot be opened: {}: {}", topic_path(load.id()),
                topic.error().to_string());
  }
  load_more();
}

// -- create and delete
// ------------------------------------------------------------------------------------------------

void CatalogStore::create(const TopicMeta& meta, Done done) {
  creations_.push_back(std::make_unique<TopicCreate>(
      disk_, meta, [this, done = std::move(done)](TopicCreate& creation, Result<void> result) {
        on_created(creation, std::move(result), done);
      }));
  creations_.back()->start();
}

void CatalogStore::on_created(TopicCreate& creation, Result<void> result, const Done& done) {
  const auto dead = extract(creations_, creation);
  if (!result) {
    // The last step may have failed with the new name in place: then it is a deletion.
    remove(creation.id(), [](const Result<void>&) {});
    remove_tree(topic_path(creation.id(), TopicDirectory::creating));
  }
  done(std::move(result));
}

CatalogStore::Deletion::Deletion(CatalogStore& s, const TopicId& i, Done d)
    : store(s),
      id(i),
      done(std::move(d)),
      to(topic_path(i, TopicDirectory::deleted)),
      io(this, Completion::to<&Deletion::step, Deletion>()) {}

void CatalogStore::Deletion::rename() { store.disk_.rename(io, topic_path(id), to); }

void CatalogStore::Deletion::step(IoResult result) {
  // The topic has its new name, whatever the reason: it is not to be taken for one that stands.
  if (renamed && !result)
    return store.on_deleted(*this, fail(Errc::storage_error, result.error().text));
  if (renamed) return store.on_deleted(*this, {});
  const bool no_room = !result && result.error().code == Errc::storage_full;
  const bool not_found = !result && result.error().code == Errc::not_found;
  const bool is_fallback = to == deleted_topic_path(id);
  if (no_room && !is_fallback) {
    to = deleted_topic_path(id);
    return rename();
  }
  // The topic was there when topics/ had no room: what is not found is deleted/.
  if (is_fallback && (not_found || no_room))
    return store.on_deleted(
        *this, fail(Errc::storage_full, fmt::format("neither {}/ nor {}/ has room for another name",
                                                    topics_directory, deleted_directory)));
  // Gone already: an earlier deletion may have failed between the new name and its sync, and the
  // name is durable only behind one.
  was_gone = not_found;
  if (!result && !was_gone) return store.on_deleted(*this, fail(result.error()));
  renamed = true;
  // Where the name went is no matter: what counts is that it is not in topics/ any more.
  store.disk_.sync_directory(io, topics_directory);
}

void CatalogStore::remove(const TopicId& id, Done done) {
  deletions_.push_back(std::make_unique<Deletion>(*this, id, std::move(done)));
  deletions_.back()->rename();
}

void CatalogStore::on_deleted(Deletion& deletion, Result<void> result) {
  const auto dead = extract(deletions_, deletion);
  // Without a durable name the files stay: after a crash the topic might stand again.
  if (result) remove_tree(deletion.to);
  // Where an earlier deletion has put them nobody has kept.
  if (result && deletion.was_gone) remove_tree(deleted_topic_path(deletion.id));
  deletion.done(std::move(result));
}

// -- background removal
// -----------------------------------------------------------------------------------------------

void CatalogStore::remove_tree(std::string path) {
  if (stopping_) return;
  to_remove_.push_back(std::move(path));
  next_removal();
}

void CatalogStore::next_removal() {
  if (stopping_ || removal_ != nullptr || to_remove_.empty()) return;
  removal_ = std::make_unique<TreeRemoval>(
      disk_, std::move(to_remove_.front()),
      [this](TreeRemoval&, Result<void> result) { on_removed(std::move(result)); });
  to_remove_.pop_front();
  removal_->start();
}

void CatalogStore::on_removed(Result<void> result) {
  const auto dead = std::move(removal_);
  if (!result && result.error().code != Errc::cancelled) {
    diag::warn(channel, "{} is left for the next start: {}", dead->path(),
               result.error().to_string());
  }
  next_removal();
}

}  // namespace millrace
