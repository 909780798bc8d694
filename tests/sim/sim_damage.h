// Damage to files while the broker is down, with a map of what was done: the oracle then knows
// which promised batches are rotten, and the damage can be taken away again at the end.
//
//   rot         a few bits of a promised batch, of an index, of a checkpoint's older state, of one
//               copy of a topic's description
//   foreign     files and directories that are not ours among ours
//   unreadable  sectors that give an error until the trouble ends
//
// Only what a later commit of the same segment, or a later segment, proves to have been durable is
// damaged: the last commit of a log that crashed cannot be told from a torn one.
#pragma once

#include "tests/sim/oracle.h"
#include "tests/sim/sim_disk.h"

#include <string>
#include <vector>

namespace millrace::sim {

class SimDamage {
 public:
  SimDamage(Oracle& oracle, SimDisk& disk, Random& random)
      : oracle_(oracle), disk_(disk), random_(random) {}

  // One of each kind that is asked for; the broker is down.
  void rot();
  void add_foreign_file();
  void make_unreadable();
  // Takes the rot away wherever the bytes are still those that it left.
  void heal();
  bool has_rot() const { return !changes_.empty(); }

 private:
  struct Change {
    std::string path;
    std::uint64_t at;
    std::byte before, after;
  };
  struct Place {
    TopicIndex topic = 0;
    PartitionIndex partition = 0;
    std::string directory;
  };

  bool draw_place(Place& out);
  void flip(const std::string& path, std::uint64_t at);
  void rot_batch(const Place& place);
  void rot_index(const Place& place);
  void rot_meta(const Place& place);

  Oracle& oracle_;
  SimDisk& disk_;
  Random& random_;
  std::vector<Change> changes_;
};

}  // namespace millrace::sim
