#include "disk_probe.h"

#include "interrupt.h"
#include "latency_sample.h"
#include "progress.h"
#include "text_table.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t block_bytes = 4096;
constexpr std::size_t bulk_bytes = 1 << 20;

std::string existing_parent(const std::string& directory) {
  std::error_code error;
  fs::path path = fs::absolute(directory, error);
  while (!fs::is_directory(path, error) && path.has_relative_path()) path = path.parent_path();
  const fs::path real = fs::canonical(path, error);
  return (error ? path : real).string();
}

// -- file system

Check probe_access(const std::string& asked, const std::string& parent) {
  Check check{"data directory", Verdict::ok, asked, ""};
  if (parent != fs::weakly_canonical(asked).string())
    check.found += fmt::format(" (not there yet; looked at {})", parent);
  if (::access(parent.c_str(), R_OK | W_OK | X_OK) != 0) {
    check.verdict = Verdict::fail;
    check.found += fmt::format(": {}", std::strerror(errno));
    check.advice = "make it writable for the user of the broker";
  }
  return check;
}

std::string read_all(const char* path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const char* trouble_of(const std::string& type) {
  static constexpr std::array<std::array<const char*, 2>, 9> known = {
      {{"tmpfs", "everything is lost when the machine stops; use a disk"},
       {"ramfs", "everything is lost when the machine stops; use a disk"},
       {"overlay", "a container's own layer is slow and goes with it; mount a volume"},
       {"nfs", "locks and syncs depend on the server; use a local disk"},
       {"nfs4", "locks and syncs depend on the server; use a local disk"},
       {"cifs", "syncs depend on the server; use a local disk"},
       {"smb3", "syncs depend on the server; use a local disk"},
       {"9p", "whether a sync reaches a disk depends on the host; use a local disk"},
       {"fuse",
        "whether a sync reaches a disk depends on the program behind it; use a local disk"}}};
  for (const auto& [name, trouble] : known) {
    if (type == name || (type.starts_with("fuse.") && std::strcmp(name, "fuse") == 0))
      return trouble;
  }
  return nullptr;
}

// Views of the kernel: what looks like files there keeps nothing.
bool keeps_no_files(const std::string& type) {
  static constexpr std::array<const char*, 18> known = {
      "proc",     "sysfs",   "cgroup",     "cgroup2", "devpts",    "devtmpfs",
      "debugfs",  "tracefs", "securityfs", "pstore",  "bpf",       "configfs",
      "efivarfs", "fusectl", "mqueue",     "nsfs",    "hugetlbfs", "binfmt_misc"};
  return std::find(known.begin(), known.end(), type) != known.end();
}

constexpr const char* choose_a_disk = "it keeps no log; name a directory on a disk";

Check probe_file_system(const Mount& mount) {
  Check check{"file system", Verdict::ok,
              fmt::format("{} on {} ({})", mount.type, mount.source, mount.options), ""};
  if (const char* trouble = trouble_of(mount.type)) {
    check.verdict = Verdict::warn;
    check.advice = trouble;
  }
  if (keeps_no_files(mount.type)) {
    check.verdict = Verdict::fail;
    check.advice = choose_a_disk;
    return check;
  }
  const std::string all = "," + mount.options + "," + mount.super_options + ",";
  if (all.find(",ro,") != std::string::npos) {
    check.verdict = Verdict::fail;
    check.advice = "it is mounted read-only; mount it for writing";
  } else if (all.find(",nobarrier,") != std::string::npos ||
             all.find(",barrier=0,") != std::string::npos) {
    check.verdict = Verdict::warn;
    check.advice = "barriers are off: a power cut loses acked events; mount without nobarrier";
  }
  return check;
}

Check probe_space(const std::string& parent) {
  struct statvfs status = {};
  if (::statvfs(parent.c_str(), &status) != 0)
    return {"space", Verdict::warn, std::strerror(errno), "look at the disk"};
  const std::uint64_t unit = status.f_frsize, total = unit * status.f_blocks,
                      free = unit * status.f_bavail;
  const double used =
      total == 0 ? 0 : 100.0 - 100.0 * static_cast<double>(free) / static_cast<double>(total);
  Check check{"space", Verdict::ok,
              total == 0 ? "no space at all"
                         : fmt::format("{} free of {} ({:.0f} % used)", human_bytes(free),
                                       human_bytes(total), used),
              ""};
  if (total == 0) {
    check.verdict = Verdict::fail;
    check.advice = choose_a_disk;
  } else if (used >= 95) {
    check.verdict = Verdict::fail;
    check.advice = "at 95 % a broker refuses events; free some space";
  } else if (used >= 85) {
    check.verdict = Verdict::warn;
    check.advice = "at 85 % a broker warns, at 95 % it refuses events; free some space";
  }
  return check;
}

// -- device

// The queue directory of the whole device, also for a partition of it; empty: none.
std::string queue_of(const std::string& device) {
  std::error_code error;
  const fs::path sys = fs::canonical("/sys/dev/block/" + device, error);
  if (error) return {};
  for (const fs::path& place : {sys / "queue", sys.parent_path() / "queue"}) {
    if (fs::is_directory(place, error)) return place.string();
  }
  return {};
}

Check probe_device(const std::string& device) {
  const std::string queue = queue_of(device);
  if (queue.empty())
    return {"device", Verdict::ok, fmt::format("{}: no block device of its own", device), ""};
  const std::string cache = first_line(queue + "/write_cache");
  const bool has_fua = first_line(queue + "/fua") == "1";
  Check check{"device", Verdict::ok,
              fmt::format("write cache {}{}, sectors {} logical {} physical", cache,
                          has_fua ? " with FUA" : "", first_line(queue + "/logical_block_size"),
                          first_line(queue + "/physical_block_size")),
              ""};
  if (cache == "write back" && !has_fua) {
    check.advice =
        "each commit costs a flush; a device with power-loss protection or FUA acks faster";
  }
  if (std::atoi(first_line(queue + "/physical_block_size").c_str()) >
      static_cast<int>(block_bytes)) {
    check.verdict = Verdict::warn;
    check.advice =
        "sectors above 4,096 bytes: a power cut can tear a commit together with its neighbour";
  }
  return check;
}

// -- direct I/O

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& directory)
      : path_(directory + "/millrace-doctor-XXXXXX") {
    descriptor_ = ::mkostemp(path_.data(), O_CLOEXEC);
    error_ = errno;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(path_.c_str());
  }
  int descriptor() const { return descriptor_; }
  int error() const { return error_; }
  bool set_direct() const { return ::fcntl(descriptor_, F_SETFL, O_DIRECT) == 0; }

 private:
  std::string path_;
  int descriptor_;
  int error_;
};

Check probe_direct(const TemporaryFile& file) {
  struct statx status = {};
  Check check{"direct I/O", Verdict::ok, "", ""};
#ifdef STATX_DIOALIGN
  if (::statx(file.descriptor(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) != 0 && status.stx_dio_offset_align != 0) {
    check.found = fmt::format("memory aligned to {}, offsets to {}", status.stx_dio_mem_align,
                              status.stx_dio_offset_align);
    if (status.stx_dio_offset_align > block_bytes) {
      check.verdict = Verdict::warn;
      check.advice = "more than 4,096 bytes are asked for: the broker falls back to cached writes";
    }
    if (file.set_direct()) return check;
  }
#else
  (void)status;
#endif
  if (file.set_direct()) {
    check.found += check.found.empty() ? "available, alignment not told" : "";
    return check;
  }
  return {"direct I/O", Verdict::warn, fmt::format("refused: {}", std::strerror(errno)),
          "the broker writes through the page cache and syncs, which is slower"};
}

// -- self-test

struct FreeAligned {
  void operator()(void* memory) const { std::free(memory); }
};

// Writes pieces one after the other, each synced by itself, until the time is up; wraps at the end
// of the file.
struct WriteRun {
  LatencySample latency;
  std::uint64_t bytes = 0;
  double seconds = 0;
  int error = 0;
};

WriteRun write_for(const TemporaryFile& file, std::size_t piece_bytes, std::uint64_t file_bytes,
                   double seconds) {
  WriteRun run;
  const std::unique_ptr<void, FreeAligned> memory(std::aligned_alloc(block_bytes, piece_bytes));
  std::memset(memory.get(), 0x5A, piece_bytes);
  const iovec piece{memory.get(), piece_bytes};
  const double begin = monotonic_seconds();
  double now = begin;
  for (std::uint64_t at = 0; now - begin < seconds && !interrupted();
       at = (at + piece_bytes) % file_bytes) {
    const auto count = ::pwritev2(file.descriptor(), &piece, 1, static_cast<off_t>(at), RWF_DSYNC);
    if (count != static_cast<ssize_t>(piece_bytes)) {
      run.error = count < 0 ? errno : EIO;
      break;
    }
    const double after = monotonic_seconds();
    run.latency.add(after - now);
    run.bytes += piece_bytes;
    now = after;
  }
  run.seconds = now - begin;
  return run;
}

Check failed_test(const char* name, int error) {
  return {name, Verdict::fail, fmt::format("a synced write failed: {}", std::strerror(error)),
          "a broker cannot ack events here; look at the kernel's messages"};
}

std::vector<Check> run_self_test(const Context& context, const TemporaryFile& file) {
  constexpr std::uint64_t file_bytes = 64 * bulk_bytes;
  ProgressLine progress(context);
  if (progress.due()) progress.draw("self-test: writing for ten seconds");
  // The first pass writes the blocks, so that the second one meets what a broker's recycled
  // segments are.
  WriteRun bulk = write_for(file, bulk_bytes, file_bytes, 4.5);
  if (bulk.error != 0) return {failed_test("sequential write", bulk.error)};
  // Only what was written before is written again.
  const std::uint64_t written =
      std::max<std::uint64_t>(block_bytes, std::min(bulk.bytes, file_bytes));
  WriteRun small = write_for(file, block_bytes, written, 4.5);
  if (small.error != 0) return {failed_test("synced 4 KiB write", small.error)};
  Check bulk_check{
      "sequential write", Verdict::ok,
      fmt::format("{} in synced pieces of 1 MiB", human_rate(bulk.bytes, bulk.seconds)), ""};
  if (static_cast<double>(bulk.bytes) < 50e6 * bulk.seconds) {
    bulk_check.verdict = Verdict::warn;
    bulk_check.advice = "under 50 MB/s; the disk will be the limit of the broker";
  }
  Check small_check{"synced 4 KiB write", Verdict::ok, small.latency.to_text(), ""};
  if (small.latency.quantile(0.5) > 10e-3) {
    small_check.verdict = Verdict::warn;
    small_check.advice = "over 10 ms; single durable events will be slow, batches hide it";
  } else if (small.latency.quantile(0.5) < 5e-6) {
    small_check.verdict = Verdict::warn;
    small_check.advice = "faster than a disk can be: syncs may not reach one";
  }
  return {bulk_check, small_check};
}

}  // namespace

Mount find_mount(const std::string& mountinfo, const std::string& device, const std::string& path) {
  Mount best;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    // 36 35 98:0 /root /point options optional... - type source super-options
    std::istringstream fields(line);
    std::string id, parent, number, root, optional;
    Mount mount;
    fields >> id >> parent >> number >> root >> mount.point >> mount.options;
    while (fields >> optional && optional != "-") {
    }
    fields >> mount.type >> mount.source >> mount.super_options;
    const bool holds =
        mount.point == "/" || path == mount.point || path.starts_with(mount.point + "/");
    if (number == device && holds && mount.point.size() >= best.point.size()) best = mount;
  }
  return best;
}

std::vector<Check> probe_disk(const Context& context, const std::string& directory,
                              bool self_test) {
  const std::string parent = existing_parent(directory);
  std::vector<Check> checks{probe_access(directory, parent)};
  struct stat status = {};
  if (::stat(parent.c_str(), &status) == 0) {
    const std::string device = fmt::format("{}:{}", ::major(status.st_dev), ::minor(status.st_dev));
    const Mount mount = find_mount(read_all("/proc/self/mountinfo"), device, parent);
    checks.push_back(probe_file_system(mount));
    checks.push_back(probe_device(device));
  }
  checks.push_back(probe_space(parent));
  const bool keeps_none = std::any_of(checks.begin(), checks.end(), [](const Check& check) {
    return check.advice == choose_a_disk;
  });
  if (checks.front().verdict == Verdict::fail || keeps_none) return checks;
  const TemporaryFile file(parent);
  if (file.descriptor() < 0) {
    checks.push_back({"temporary file", Verdict::fail, std::strerror(file.error()),
                      "make the directory writable for the user of the broker"});
    return checks;
  }
  checks.push_back(probe_direct(file));
  if (!self_test) return checks;
  for (Check& check : run_self_test(context, file)) checks.push_back(std::move(check));
  return checks;
}

}  // namespace millrace::cli
