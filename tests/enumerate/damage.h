// Damage to a small data directory while the broker is down: every bit of every file turned over,
// every file cut at every byte, every 512 bytes zeroed, every pair of files swapped. Then the
// broker starts, everything is read, one event is produced, and all of it once more after a
// restart.
//
//   files      topics/<id>/topic.meta.{0,1}, and of one partition a sealed segment, its index, the
//              active segment and the checkpoint; identity apart (real files, because the broker
//              reads it before it has a disk)
//   directory  closed: an orderly stop; killed: the power went after the last ack, which is behind
//              the last checkpoint
//
// The slots of a checkpoint lie far apart; of the hole between them one bit and one cut for each
// 512 bytes are taken.
#pragma once

#include "tests/enumerate/shard_machine.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

enum class DamageOutcome {
  served_right,  // every acked event, and the file still verifies: the bytes did not matter
  rebuilt,       // every acked event, although the file does not verify any more
  corrupt,       // what is not served is named with its offsets, all else is right
  refused,       // the topic or the partition answers with an error, or it refuses appends and says
                 // why; its files are kept
  cut_as_torn,   // docs/decisions/0006: damage inside what came after the last checkpoint of a
                 // broker that was killed, taken for a commit that was never acked
  wrong_bytes,   // never
  forgotten,     // never: an acked event is not served and nobody says so
};
inline constexpr std::size_t damage_outcomes = 7;
std::string_view outcome_name(DamageOutcome outcome);

enum class FileKind { segment, active_segment, index, checkpoint, topic_meta, identity };
inline constexpr std::size_t file_kinds = 6;
std::string_view file_kind_name(FileKind kind);

struct Mutation {
  enum class Kind : std::uint8_t { flip, cut, zero, swap };
  Kind kind{};
  std::uint8_t bit = 0;
  std::uint16_t file = 0, other = 0;  // numbers of files; `other` for swaps
  std::uint32_t at = 0;
};

struct DamageResult {
  DamageOutcome outcome{};
  std::string told;  // why, for the two that must not be
};

class DamagedDirectory {
 public:
  enum class Stop { closed, killed };
  explicit DamagedDirectory(Stop stop);

  const std::vector<Mutation>& mutations() const { return mutations_; }
  FileKind kind_of(const Mutation& mutation) const;
  std::string to_string(const Mutation& mutation) const;
  DamageResult run(const Mutation& mutation) const;

 private:
  struct File {
    std::string path;
    FileKind kind{};
    std::vector<std::byte> bytes;
  };
  void list_mutations();
  void damage(sim::SimDisk& disk, const Mutation& mutation) const;
  bool verifies(const File& file, const sim::SimDisk& disk) const;
  DamageResult judge(ShardMachine& machine, const Mutation& mutation) const;
  bool is_torn_window(const Mutation& mutation, std::uint64_t first_missing) const;

  Stop stop_;
  std::unique_ptr<ShardMachine> machine_;  // holds what was promised; its power is off
  sim::SimImage medium_;
  std::vector<File> files_;
  std::vector<Mutation> mutations_;
  std::uint64_t checkpoint_end_ = 0;        // durable_end of the newest checkpoint
  std::uint64_t last_commit_position_ = 0;  // in the active segment
};

// The same for the identity, in a directory of real files below `root`. Numbers as above.
class DamagedIdentity {
 public:
  explicit DamagedIdentity(const std::string& root);
  std::size_t mutations() const;
  DamageResult run(std::size_t mutation) const;
  std::string to_string(std::size_t mutation) const;

 private:
  std::string root_;
  std::vector<std::byte> bytes_;
  std::vector<std::size_t> zeroed_at_;  // blocks that hold anything
};

}  // namespace millrace::test
