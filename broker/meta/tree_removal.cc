#include "broker/meta/tree_removal.h"

#include "storage/log_files.h"

namespace millrace {

TreeRemoval::TreeRemoval(Disk& disk, std::string path, Done done)
    : disk_(disk),
      path_(std::move(path)),
      done_(std::move(done)),
      io_(this, Completion::to<&TreeRemoval::step, TreeRemoval>()) {}

void TreeRemoval::start() {
  directories_.push_back(path_);
  list_top();
}

void TreeRemoval::list_top() {
  stage_ = Stage::list;
  disk_.list(io_, directories_.back(), entries_);
}

void TreeRemoval::step(IoResult io) {
  // A name that is gone already is what we want: an earlier removal was cut short.
  if (!io && io.error().code != Errc::not_found) return finish(fail(io.error()));
  if (cancelled_)
    return finish(fail(Errc::cancelled, "the removal of " + path_ + " goes on later"));
  switch (stage_) {
    case Stage::list:
      if (!io) entries_.clear();
      return on_listed();
    case Stage::remove_file: return next_file();
    case Stage::remove_directory:
      directories_.pop_back();
      return directories_.empty() ? finish({}) : list_top();
    case Stage::idle: break;
  }
  UNREACHABLE("a removal completed an I/O it never started");
}

void TreeRemoval::on_listed() {
  if (entries_.empty()) {
    stage_ = Stage::remove_directory;
    return disk_.remove_directory(io_, directories_.back());
  }
  const std::string top = directories_.back();
  files_.clear();
  for (const auto& entry : entries_) {
    auto& list = entry.kind == DirectoryEntry::Kind::directory ? directories_ : files_;
    list.push_back(join_path(top, entry.name));
  }
  next_file();
}

void TreeRemoval::next_file() {
  // Behind the files come the directories; this one is listed again when they are gone.
  if (files_.empty()) return list_top();
  const std::string path = std::move(files_.back());
  files_.pop_back();
  stage_ = Stage::remove_file;
  disk_.remove(io_, path);
}

void TreeRemoval::finish(Result<void> result) {
  stage_ = Stage::idle;
  done_(*this, std::move(result));
}

}  // namespace millrace
