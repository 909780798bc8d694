// What a simulated disk holds: a tree of files and directories, each with what programs see now
// (live), what is surely on the medium (durable), and in between the items that a loss of power may
// keep or forget, one by one:
//
//   sector   512 bytes of a file, as they were after some write
//   length   of a file
//   entry    a name that came or went; a rename is one item with two parts as long as neither
//   directory was synced
//
//        live  =  durable  +  all pending items in order
//   after crash  =  durable  +  those that CrashPolicy picks, in order
//
// Thread: the test's.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/random.h"
#include "storage/base/result.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::sim {

inline constexpr std::size_t sector_bytes = 512;

struct CrashPolicy {
  enum class Keep {
    none,    // nothing that was not synced
    all,     // everything, I/O in flight included
    prefix,  // the first `count` items, in the order in which they were started
    random,  // each item or not
    kill,    // the program dies, the machine does not: all is still there, and no more durable than
             // it was
    torn,  // as random; a sector may also be half old, half new, and where nothing was before, hold
           // anything
    subset,  // the items whose bits are set in `count`; the first 64 can be named
    tear,    // everything, but sector number `count` of those not synced is half old, half new
  };
  Keep keep = Keep::none;
  std::uint64_t count = 0;

  static CrashPolicy none() { return {Keep::none, 0}; }
  static CrashPolicy all() { return {Keep::all, 0}; }
  static CrashPolicy prefix(std::uint64_t count) { return {Keep::prefix, count}; }
  static CrashPolicy random() { return {Keep::random, 0}; }
  static CrashPolicy torn() { return {Keep::torn, 0}; }
  static CrashPolicy kill() { return {Keep::kill, 0}; }
  static CrashPolicy subset(std::uint64_t bits) { return {Keep::subset, bits}; }
  static CrashPolicy tear(std::uint64_t sector) { return {Keep::tear, sector}; }
  std::string to_string() const;
};

// Which blocks of a file the file system has given it. A hole has none, and the disk is full when
// all are given.
class SimBlocks {
 public:
  static constexpr std::uint64_t block_bytes = 4096;

  // The blocks that [begin, end) touches.
  void add(std::uint64_t begin, std::uint64_t end);
  void add(const SimBlocks& others);
  // Without what lies wholly behind `bytes`.
  void cut(std::uint64_t bytes);
  std::uint64_t missing(std::uint64_t begin, std::uint64_t end) const;
  std::uint64_t bytes() const { return count_ * block_bytes; }

 private:
  std::vector<bool> given_;
  std::uint64_t count_ = 0;
};

struct SimNode;
using SimNodePtr = std::shared_ptr<SimNode>;

struct SimNode {
  enum class Kind { file, directory, other };
  explicit SimNode(Kind k) : kind(k) {}

  struct Sector {
    std::uint64_t order;
    std::uint64_t index;
    std::array<std::byte, sector_bytes> bytes;
  };
  struct Length {
    std::uint64_t order;
    std::uint64_t bytes;
  };

  Kind kind;
  // Files.
  std::vector<std::byte> live, durable;
  std::vector<Sector> sectors;
  std::vector<Length> lengths;
  SimBlocks blocks, durable_blocks;
  // Directories.
  std::map<std::string, SimNodePtr> names, durable_names;
  // Handles that are open now, by access.
  int direct_opens = 0, buffered_opens = 0;
};

class SimImage {
 public:
  SimImage() : root_(std::make_shared<SimNode>(SimNode::Kind::directory)) {}

  // -- what programs do. Errors: not_found, already_exists, storage_error.
  SimNodePtr find(std::string_view path) const;  // null when it is not there
  Result<SimNodePtr> create(std::string_view path, SimNode::Kind kind);
  Result<void> remove(std::string_view path, SimNode::Kind kind);
  Result<void> rename(std::string_view from, std::string_view to);
  // Visible at once, loseable until a sync.
  void write(SimNode& file, std::uint64_t at, ByteView bytes);
  void set_length(SimNode& file, std::uint64_t bytes);
  // Blocks without bytes, also behind the end.
  static void reserve(SimNode& file, std::uint64_t begin, std::uint64_t end) {
    file.blocks.add(begin, end);
  }
  // The same, durable, with the file's length; other pending sectors stay pending.
  void write_through(SimNode& file, std::uint64_t at, ByteView bytes);
  void sync(SimNode& file);
  void sync_directory(const SimNodePtr& directory);
  // A sync failed: what it should have written is there or not, and the system has forgotten that
  // it is not.
  void forget_pending(SimNode& file, Random& random);

  // -- power
  std::uint64_t pending_items() const;
  std::uint64_t pending_names() const { return entries_.size(); }
  std::uint64_t pending_sectors() const;
  void crash(const CrashPolicy& policy, Random& random);
  // The same again, sharing nothing: several losses of power can be tried from one moment.
  SimImage clone() const;

  // Blocks of all files that have a name, and one for each directory, in bytes.
  std::uint64_t used_bytes() const;
  const SimNodePtr& root() const { return root_; }
  // What is there now is durable, names included: tests that edit files start from here.
  void settle();

 private:
  struct EntryPart {
    SimNodePtr directory;
    std::string name;
    SimNodePtr node;  // null: the name goes
  };
  struct Entry {
    std::uint64_t order;
    std::vector<EntryPart> parts;
  };
  struct Place {
    SimNodePtr directory;
    std::string name;
  };

  Place place_of(std::string_view path) const;
  void note_entry(std::vector<EntryPart> parts);
  void apply_lengths(SimNode& file);
  std::vector<SimNodePtr> all_nodes() const;
  std::vector<std::uint64_t> pending_orders(const std::vector<SimNodePtr>& nodes) const;
  // What a policy says of the items that are pending now.
  struct Choice;
  Choice choose(const CrashPolicy& policy, const std::vector<SimNodePtr>& nodes) const;
  static bool keeps(const Choice& choice, std::uint64_t order, Random& random);
  void crash_file(SimNode& file, const Choice& choice, Random& random);

  SimNodePtr root_;
  std::vector<Entry> entries_;
  std::uint64_t next_order_ = 1;
};

}  // namespace millrace::sim
