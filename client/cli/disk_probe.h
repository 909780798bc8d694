// What the place for the data gives: file system, device, direct I/O, and how fast a synced write
// is.
#pragma once

#include "context.h"
#include "machine_probe.h"

#include <string>
#include <vector>

namespace millrace::cli {

// Looks at `directory`, or at its nearest parent that is there; makes nothing but a temporary file
// for the self-test, which takes at most ten seconds.
std::vector<Check> probe_disk(const Context& context, const std::string& directory, bool self_test);

// The fields of the line of /proc/self/mountinfo for a device; all empty when there is none.
struct Mount {
  std::string point, options, type, source, super_options;
};
// `device` as "major:minor"; of several mounts, the one whose point is the longest front of `path`.
Mount find_mount(const std::string& mountinfo, const std::string& device, const std::string& path);

}  // namespace millrace::cli
