// millrace-cut-disk: a file system of two files, for tests that pull the plug.
//
//   disk      a block of bytes to put a file system on (mkfs, then mount -o loop). It has a
//   volatile write
//             cache (write_cache.h): the loop device passes flushes on as fsync.
//   control   write one command, read one line of JSON that says what happened so far
//
//   cut KEEP SEED                    now: of what was not flushed only KEEP is left, and all I/O
//   fails cut KEEP SEED after writes N     so, as soon as N more writes have come (or flushes)
//   fault KIND ERROR CHANCE BEGIN END COUNT      see fault_plan.h; a failed write or flush has lost
//   some
//                                    of the sectors it was about
//   lift                             no more faults
//
// usage: millrace-cut-disk IMAGE MOUNTPOINT. Stays in the foreground until it is unmounted or
// ended. One thread; the image is the durable side, so after a cut the next process on it finds
// what is left.
#include "tests/torture/fault_plan.h"
#include "tests/torture/journal.h"
#include "tests/torture/write_cache.h"

#define FUSE_USE_VERSION 31
#include <fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace millrace::torture {
namespace {

struct ArmedCut {
  enum class When { never, after_writes, before_flushes, after_flushes };
  When when = When::never;
  std::uint64_t left = 0;
  Keep keep = Keep::nothing;
};

class CutDisk {
 public:
  explicit CutDisk(const std::string& image) : cache_(image) {}

  std::uint64_t size() const { return cache_.size(); }

  int read(std::uint64_t position, std::span<char> out) {
    if (cut_) return -EIO;
    if (position >= size()) return 0;
    out = out.first(std::min<std::uint64_t>(out.size(), size() - position));
    if (const int error = faults_.decide(DiskCall::read, position, out.size(), random_))
      return -error;
    cache_.read(position, out);
    return static_cast<int>(out.size());
  }

  int write(std::uint64_t position, std::span<const char> bytes) {
    if (cut_) return -EIO;
    if (position + bytes.size() > size()) return -ENOSPC;
    if (const int error = faults_.decide(DiskCall::write, position, bytes.size(), random_)) {
      cache_.write_part(position, bytes, random_);
      return -error;
    }
    cache_.write(position, bytes);
    ++writes_;
    return is_time(ArmedCut::When::after_writes) ? -EIO : static_cast<int>(bytes.size());
  }

  int flush() {
    if (cut_) return -EIO;
    if (is_time(ArmedCut::When::before_flushes)) return -EIO;
    if (flush_us_ != 0) usleep(flush_us_);
    if (const int error = faults_.decide(DiskCall::flush, 0, 0, random_)) {
      if (failed_flush_ns_ == 0) failed_flush_ns_ = now_ns();
      return -error;
    }
    cache_.flush();
    ++flushes_;
    return is_time(ArmedCut::When::after_flushes) ? -EIO : 0;
  }

  // Throws std::invalid_argument.
  void command(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.empty()) throw std::invalid_argument("no command");
    if (words[0] == "cut" && (words.size() == 3 || words.size() == 6)) return command_cut(words);
    if (words[0] == "fault") return faults_.add(std::span(words).subspan(1));
    if (words[0] == "lift" && words.size() == 1) return faults_.lift();
    if (words[0] == "delay" && words.size() == 2) {
      flush_us_ = static_cast<useconds_t>(std::min(std::stoul(words[1]), 1'000'000ul));
      return;
    }
    throw std::invalid_argument("unknown command " + words[0]);
  }

  std::string status() const {
    std::ostringstream out;
    out << "{\"writes\":" << writes_ << ",\"flushes\":" << flushes_
        << ",\"pending_sectors\":" << cache_.pending_sectors()
        << ",\"pending_writes\":" << cache_.pending_writes() << ",\"cut\":" << (cut_ ? 1 : 0)
        << ",\"cut_pending\":" << cut_pending_ << ",\"cut_kept\":" << cut_kept_
        << ",\"faults\":" << faults_.injected() << ",\"failed_flush_ns\":" << failed_flush_ns_
        << "}\n";
    return out.str();
  }

 private:
  void command_cut(const std::vector<std::string>& words) {
    armed_.keep = parse_keep(words[1]);
    random_.seed(std::stoull(words[2]));
    if (words.size() == 3) return cut();
    const std::string when = words[3] + " " + words[4];
    if (when == "after writes")
      armed_.when = ArmedCut::When::after_writes;
    else if (when == "before flushes")
      armed_.when = ArmedCut::When::before_flushes;
    else if (when == "after flushes")
      armed_.when = ArmedCut::When::after_flushes;
    else
      throw std::invalid_argument("cut KEEP SEED after writes, before or after flushes N");
    armed_.left = std::stoull(words[5]);
  }

  // True: the plug was pulled just now, before the caller could be told that it went well.
  bool is_time(ArmedCut::When when) {
    if (armed_.when != when || armed_.left-- > 1) return false;
    cut();
    return true;
  }

  void cut() {
    armed_.when = ArmedCut::When::never;
    if (cut_) return;
    cut_ = true;
    cut_pending_ = cache_.pending_sectors();
    cut_kept_ = cache_.settle(armed_.keep, random_);
  }

  WriteCache cache_;
  FaultPlan faults_;
  ArmedCut armed_;
  std::mt19937_64 random_{1};
  bool cut_ = false;
  useconds_t flush_us_ = 0;
  std::uint64_t writes_ = 0, flushes_ = 0, cut_pending_ = 0, cut_kept_ = 0;
  std::int64_t failed_flush_ns_ = 0;
};

CutDisk& disk() { return *static_cast<CutDisk*>(fuse_get_context()->private_data); }

bool is_disk(const char* path) { return std::strcmp(path, "/disk") == 0; }
bool is_control(const char* path) { return std::strcmp(path, "/control") == 0; }

// Nothing is thrown into the library.
template <class Call>
int guarded(Call call) {
  try {
    return call();
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "millrace-cut-disk: %s\n", error.what());
    return -EINVAL;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "millrace-cut-disk: %s\n", error.what());
    return -EIO;
  }
}

int get_attributes(const char* path, struct stat* out, fuse_file_info*) {
  std::memset(out, 0, sizeof *out);
  out->st_nlink = 1;
  if (std::strcmp(path, "/") == 0) {
    out->st_mode = S_IFDIR | 0700;
    return 0;
  }
  if (!is_disk(path) && !is_control(path)) return -ENOENT;
  out->st_mode = S_IFREG | 0600;
  out->st_size = is_disk(path) ? static_cast<off_t>(disk().size()) : 0;
  out->st_blocks = out->st_size / 512;
  return 0;
}

int list_directory(const char*, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*,
                   fuse_readdir_flags) {
  for (const char* name : {".", "..", "disk", "control"})
    fill(buffer, name, nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  return 0;
}

int open_file(const char* path, fuse_file_info* info) {
  if (!is_disk(path) && !is_control(path)) return -ENOENT;
  // No page cache before the disk: the loop device's writes and flushes come as they are.
  info->direct_io = 1;
  return 0;
}

int read_file(const char* path, char* out, std::size_t bytes, off_t position, fuse_file_info*) {
  return guarded([&] {
    const auto at = static_cast<std::uint64_t>(position);
    if (is_disk(path)) return disk().read(at, {out, bytes});
    const std::string status = disk().status();
    if (at >= status.size()) return 0;
    const std::size_t count = std::min(bytes, status.size() - at);
    std::memcpy(out, status.data() + at, count);
    return static_cast<int>(count);
  });
}

int write_file(const char* path, const char* from, std::size_t bytes, off_t position,
               fuse_file_info*) {
  return guarded([&] {
    if (is_disk(path)) return disk().write(static_cast<std::uint64_t>(position), {from, bytes});
    disk().command(std::string(from, bytes));
    return static_cast<int>(bytes);
  });
}

int sync_file(const char* path, int, fuse_file_info*) {
  return guarded([&] { return is_disk(path) ? disk().flush() : 0; });
}

int truncate_file(const char* path, off_t, fuse_file_info*) {
  return is_control(path) ? 0 : -EPERM;  // the shell truncates what it writes commands to
}

int serve(const char* image, const char* mountpoint) {
  CutDisk cut_disk(image);
  fuse_operations operations{};
  operations.getattr = get_attributes;
  operations.readdir = list_directory;
  operations.open = open_file;
  operations.read = read_file;
  operations.write = write_file;
  operations.fsync = sync_file;
  operations.truncate = truncate_file;
  std::string name = "millrace-cut-disk", foreground = "-f", single = "-s";
  std::string place = mountpoint;
  char* arguments[] = {name.data(), foreground.data(), single.data(), place.data(), nullptr};
  return fuse_main(4, arguments, &operations, &cut_disk);
}

}  // namespace
}  // namespace millrace::torture

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: millrace-cut-disk IMAGE MOUNTPOINT\n");
    return 2;
  }
  try {
    return millrace::torture::serve(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "millrace-cut-disk: %s\n", error.what());
    return 1;
  }
}
