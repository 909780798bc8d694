// Seam: files and directory entries.
//
// Every call takes a Completion owned by the caller, returns at once, and calls back later, from
// the shard's reap, with a count or an Error. Arguments of bytes (spans) must stay valid until
// then; paths are copied. Paths are relative to the disk's root; no call follows a symbolic link in
// the last component or leaves the root.
//
// Directory entries are as loseable as bytes: a created, renamed or removed name is durable only
// after sync_directory of its directory; a created file's bytes only after sync_data or a synced
// write.
//
// Errors: Errc::not_found, already_exists, storage_full (ENOSPC, EDQUOT, EFBIG), overloaded (no
// free descriptor), storage_error for all else, with the call, path or file and the system's text.
// EINTR and EAGAIN are retried inside. A short write is continued inside until all is written or an
// error comes; the sync of a synced write covers the full length, or the write fails. A short read
// is a result: it ends at the end of the file.
//
// Three implementations: ring_disk (io_uring), thread_disk (plain calls), the simulated one in
// tests/sim.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/io/completion.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct FileId {
  std::int32_t value = -1;
  bool is_open() const { return value >= 0; }
  friend bool operator==(const FileId&, const FileId&) = default;
};

struct DirectoryEntry {
  enum class Kind { file, directory, other };
  std::string name;
  Kind kind = Kind::other;
};

enum class OpenMode {
  read,    // existing file, read only
  write,   // existing file, read and write
  create,  // new file, read and write; Errc::already_exists if the name is taken
};

enum class WriteSync { no, yes };

class Disk {
 public:
  virtual ~Disk() = default;

  // -- files. Reads and writes of files opened with direct = yes need `direct_alignment` of memory,
  // position and length.
  enum class Access { buffered, direct };
  static constexpr std::size_t direct_alignment = 4096;

  // Result: the FileId's value. Only regular files are opened.
  virtual void open(Completion& done, std::string_view path, OpenMode mode, Access access) = 0;
  // The id is dead after this call, whatever the result.
  virtual void close(Completion& done, FileId file) = 0;
  // Result: bytes read, short only at the end of the file.
  virtual void read(Completion& done, FileId file, Position at, MutableBytes into) = 0;
  // Writes the slices one after the other from `at`. The array of slices is copied, the bytes are
  // not. Result: all bytes. With WriteSync::yes the bytes (and the metadata to find them) are
  // durable on success.
  virtual void write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
                     WriteSync sync) = 0;
  virtual void sync_data(Completion& done, FileId file) = 0;
  // Cuts or extends (with a hole).
  virtual void set_length(Completion& done, FileId file, std::uint64_t length) = 0;
  // Reserves blocks for [at, at + length) and extends the file to its end; existing bytes stay.
  // Where the file system cannot, the file is extended with a hole and that counts as success.
  virtual void preallocate(Completion& done, FileId file, Position at, std::uint64_t length) = 0;
  virtual void file_size(Completion& done, FileId file) = 0;

  // -- names
  virtual void make_directory(Completion& done, std::string_view path) = 0;
  // Removes an empty directory.
  virtual void remove_directory(Completion& done, std::string_view path) = 0;
  // Removes a file's name.
  virtual void remove(Completion& done, std::string_view path) = 0;
  // Replaces `to` if it is a file. Works on directories too.
  virtual void rename(Completion& done, std::string_view from, std::string_view to) = 0;
  virtual void sync_directory(Completion& done, std::string_view path) = 0;
  // Fills `out` (cleared first, owned by the caller, valid until completion), in no order, without
  // "." and "..".
  virtual void list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) = 0;

  // -- the turn
  // Calls back everything that has completed; answers how many.
  virtual std::size_t reap() = 0;
  // I/O that was started and has not called back.
  virtual std::size_t in_flight() const = 0;
  // Bytes of the file system: free to us, and in all. Cheap; may block for a few microseconds.
  struct Space {
    std::uint64_t free_bytes = 0;
    std::uint64_t total_bytes = 0;
  };
  virtual Result<Space> space() = 0;
};

}  // namespace millrace
