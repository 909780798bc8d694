// The directory that holds everything a broker keeps: whose it is, that nobody else uses it, and
// that it is really ours.
//
//   identity   4,096 bytes: whose data this is and in which format; written once, by temp file,
//              sync and rename
//   lock       flock'ed by the broker that runs; its text names that process
//   topics/    kept by the broker core
//   pool/      kept by SegmentPool
//
//   identity:  0       8         12  16           32        40          4092
//              | magic | version | 0 | cluster id | created | zeros ... | crc32c of [0, 4092) |
//
// A directory that is missing or empty becomes a new one; a first start that was cut short starts
// again. The absence of the identity beside other files is never taken for a new broker, nor an
// identity for that of segments which all name one other. Blocking
// calls, made once at start, before a shard has its disk. Owner: whoever runs the broker; the lock
// is held until unlock (and, through Ring::register_lock, until the last I/O of a killed process
// has ended). Fails: Errc::data_dir_in_use, or Errc::data_dir_refused for all else, in one line:
// what, where, what to do.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/random.h"
#include "storage/base/result.h"
#include "storage/base/units.h"
#include "storage/io/clock.h"
#include "storage/io/disk_files.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace millrace {

namespace identity_layout {
inline constexpr std::uint64_t magic = 0x31524944'5652494Dull;  // the bytes "MIRVDIR1"
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t block_bytes = 4096;
inline constexpr std::size_t magic_at = 0;        // u64
inline constexpr std::size_t version_at = 8;      // u32
inline constexpr std::size_t cluster_id_at = 16;  // 16 bytes
inline constexpr std::size_t created_at = 32;     // i64 ns
inline constexpr std::size_t crc_at = 4092;       // u32 over [0, 4092)
static_assert(crc_at + sizeof(std::uint32_t) == block_bytes);
}  // namespace identity_layout

struct DataDirectoryIdentity {
  ClusterId cluster_id;
  WallTime created;
  friend bool operator==(const DataDirectoryIdentity&, const DataDirectoryIdentity&) = default;
};

// Fills `block` (exactly block_bytes).
void encode_identity(const DataDirectoryIdentity& identity, MutableBytes block);
// Errors: Errc::corrupt, or Errc::unsupported for a newer format.
Result<DataDirectoryIdentity> decode_identity(ByteView block);

// For tools that look at a directory without owning it. Errors: as DataDirectory::open.
Result<DataDirectoryIdentity> read_identity(const std::string& path);

struct DataDirectoryOptions {
  // How long the lock of a process that has died may still be held by its last I/O. A holder that
  // is alive is refused after holder_wait, which only covers its last moments.
  Duration lock_wait = seconds(5);
  Duration holder_wait = milliseconds(250);
  // Whether file systems that do not keep data as a broker needs it (network, memory) are warned
  // about.
  bool warn_of_file_system = true;
};

class DataDirectory {
 public:
  // The cluster id of a new directory comes from `random`.
  static Result<std::unique_ptr<DataDirectory>> open(const std::string& path, Clock& clock,
                                                     Random& random,
                                                     const DataDirectoryOptions& options = {});
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  // All I/O has ended: others get the lock at once, though the kernel may keep its descriptor for
  // as long as it takes a ring apart.
  void unlock();

  const std::string& path() const { return path_; }
  ClusterId cluster_id() const { return identity_.cluster_id; }
  int lock_descriptor() const { return lock_.get(); }

 private:
  DataDirectory(std::string path, Clock& clock, const DataDirectoryOptions& options)
      : path_(std::move(path)), clock_(clock), options_(options) {}

  Result<void> open_or_create();
  Result<void> refuse_foreign() const;
  Result<void> take_lock();
  Result<void> load_or_write_identity(Random& random);
  Result<void> refuse_other_owner() const;
  Result<void> write_identity();
  Result<void> make_places();

  std::string path_;
  Clock& clock_;
  DataDirectoryOptions options_;
  OwnedDescriptor directory_;
  OwnedDescriptor lock_;
  DataDirectoryIdentity identity_;
};

}  // namespace millrace
