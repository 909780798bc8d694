// Staged operation: removes a directory and everything below it, one name at a time. May be cut
// short at any step and begun again.
//
// Owner: CatalogStore. Thread: the shard's. `done` is called once, from a later turn.
#pragma once

#include "storage/base/result.h"
#include "storage/io/disk.h"

#include <functional>
#include <string>
#include <vector>

namespace millrace {

class TreeRemoval {
 public:
  using Done = std::function<void(TreeRemoval& self, Result<void>)>;

  TreeRemoval(Disk& disk, std::string path, Done done);
  void start();
  // Ends after the step in flight; `done` then hears Errc::cancelled.
  void cancel() { cancelled_ = true; }
  const std::string& path() const { return path_; }

 private:
  enum class Stage { idle, list, remove_file, remove_directory };

  void step(IoResult io);
  void list_top();
  void next_file();
  void on_listed();
  void finish(Result<void> result);

  Disk& disk_;
  const std::string path_;
  Done done_;
  Stage stage_ = Stage::idle;
  bool cancelled_ = false;
  std::vector<std::string> directories_;  // a stack; the last is being emptied
  std::vector<std::string> files_;        // of the last directory
  std::vector<DirectoryEntry> entries_;
  Completion io_;
};

}  // namespace millrace
