// What a disk over real files is made of: paths below a root, open flags, the table of open files,
// and the arithmetic of continuing a write that the system cut short.
//
//   DiskRoot   the root directory, held open; resolves names so that nothing leaves it
//   FileTable  FileId -> descriptor, name and mode
//
// Thread: DiskRoot's functions are any thread's (it never changes after open); FileTable is the
// shard's.
#pragma once

#include "storage/base/result.h"
#include "storage/io/disk.h"

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct open_how;

namespace millrace {

// What a disk was asked to do; the names stand in error texts.
enum class DiskCall {
  open,
  close,
  read,
  write,
  sync_data,
  set_length,
  preallocate,
  file_size,
  make_directory,
  remove_directory,
  remove,
  rename,
  sync_directory,
  list,
};
std::string_view disk_call_name(DiskCall call);

// A descriptor that closes itself.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int descriptor) : descriptor_(descriptor) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : descriptor_(other.release()) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept;
  ~OwnedDescriptor() { reset(); }

  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  int release() { return std::exchange(descriptor_, -1); }
  void reset();

 private:
  int descriptor_ = -1;
};

// Refuses absolute paths, "..", empty components, NUL bytes and what is longer than the system
// takes.
Result<void> check_relative_path(std::string_view path);

// The flags of open(2). O_NONBLOCK is among them so that a FIFO in a file's place cannot block the
// open; settle_opened takes it away again.
int open_flags(OpenMode mode, Disk::Access access);
// The flags for the second try where a file system refused O_DIRECT (EINVAL). The kernel creates
// the file before it notices, so the second try must not insist on creating it.
int without_direct(int flags);
// The one line about it.
void warn_no_direct(const std::string& root);

// Checks that what was opened is a regular file and makes the descriptor ready for use. 0 or an
// errno; EINVAL: it is no regular file.
int settle_opened(int descriptor);

class DiskRoot {
 public:
  // `path` must be an existing directory.
  static Result<DiskRoot> open(const std::string& path);

  int descriptor() const { return directory_.get(); }
  const std::string& path() const { return path_; }

  // How files are opened below the root; symbolic links anywhere in the path are refused.
  open_how how(int flags) const;
  // openat2 with how(), or openat with O_NOFOLLOW where the kernel or a sandbox refuses openat2. -1
  // and errno.
  int open_below(const char* path, int flags) const;

  // The directory that holds the last component of `path`, open, and that component: names are then
  // changed relative to a directory that is known to lie below the root.
  struct Parent {
    OwnedDescriptor directory;
    std::string name;
  };
  Result<Parent> open_parent(std::string_view path) const;

  // Blocking; as Disk::list.
  Result<void> list(const std::string& path, std::vector<DirectoryEntry>& out) const;
  Result<Disk::Space> space() const;

 private:
  OwnedDescriptor directory_;
  std::string path_;
  bool has_openat2_ = true;
};

struct OpenFile {
  int descriptor = -1;
  bool is_direct = false;
  std::uint32_t in_flight = 0;
  std::string path;
};

class FileTable {
 public:
  FileTable() = default;
  FileTable(const FileTable&) = delete;
  FileTable& operator=(const FileTable&) = delete;
  // Closes what is still open.
  ~FileTable();

  FileId add(int descriptor, std::string path, bool is_direct);
  // The id must be open; a closed or invented one is a broken invariant.
  OpenFile& at(FileId file);
  // What is open under this name, or below it, has the new one from now on: error texts tell where
  // to look.
  void rename(std::string_view from, std::string_view to);
  // The id is dead from now on; the caller closes the descriptor.
  OpenFile remove(FileId file);

 private:
  std::vector<OpenFile> files_;
  std::vector<std::int32_t> free_;
};

// What `path` is called after `from` became `to`; nothing: it has another name.
std::optional<std::string> renamed_path(std::string_view path, std::string_view from,
                                        std::string_view to);

// The slices of one write, and how far it has got.
class WriteProgress {
 public:
  void start(Position at, std::span<const ByteView> slices, bool is_direct);

  // What to hand to the next writev: at most as many slices as one call takes.
  std::span<const iovec> remaining() const;
  std::uint64_t position() const { return at_.value + written_; }
  std::size_t total() const { return total_; }
  bool is_complete() const { return written_ == total_; }
  // Whether more than one call was needed.
  bool was_continued() const { return was_continued_; }

  // One call wrote `bytes` of remaining(). A direct write that ended inside a block goes back to
  // the block's start, because it can only be continued there; the same bytes are written again.
  // Answers whether there was any progress.
  bool advance(std::size_t bytes);

 private:
  void rebuild();
  Position at_;
  std::size_t total_ = 0;
  std::size_t written_ = 0;
  bool is_direct_ = false;
  bool was_continued_ = false;
  std::vector<iovec> all_;        // as given, empty slices left out
  std::vector<iovec> remaining_;  // all_ without the first written_ bytes
};

}  // namespace millrace
