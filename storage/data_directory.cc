#include "storage/data_directory.h"

#include "storage/base/crc32c.h"
#include "storage/base/diag.h"
#include "storage/format/segment_layout.h"
#include "storage/io/errno_map.h"
#include "storage/log_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <vector>

namespace millrace {
namespace {

constexpr const char* identity_name = "identity";
constexpr const char* identity_temporary_name = "identity.tmp";
constexpr const char* lock_name = "lock";
constexpr std::array<const char*, 2> places{"topics", "pool"};
constexpr int lock_retry_ms = 10;

using IdentityBlock = std::array<std::byte, identity_layout::block_bytes>;

std::unexpected<Error> refuse(std::string text) {
  return fail(Errc::data_dir_refused, std::move(text));
}

// The operator's next step, for errors whose own text does not say it.
std::string_view advice_for(int error, std::string_view call) {
  switch (error) {
    case EACCES:
    case EPERM:
      return call == "mkdir" ? "let the user of the broker write into the directory above it, or "
                               "choose another data directory with --data-dir"
                             : "run the broker as the user who owns the data directory, or change "
                               "its owner";
    case ENOTDIR: return "name a directory with --data-dir";
    case ENOSPC:
    case EDQUOT: return "free some space on this file system";
    case EROFS: return "mount it writable, or choose another data directory with --data-dir";
    case EIO: return "look at the disk and at the kernel's messages";
    case EMFILE:
    case ENFILE: return {};  // said with the error
    default: return "choose another data directory with --data-dir";
  }
}

std::unexpected<Error> refuse_errno(int error, std::string_view call, std::string_view what) {
  std::string text = error_from_errno(error, call, what).text;
  if (const auto advice = advice_for(error, call); !advice.empty())
    text.append("; ").append(advice);
  return refuse(std::move(text));
}

// What a file system's magic number says about keeping data; null: nothing to say.
const char* trouble_of(long type) {
  switch (type) {
    case 0x6969:
      return "NFS: locks and syncs depend on the server; a broker should have a local disk";
    case 0xFF534D42:
    case 0xFE534D42:
    case 0x517B:
      return "an SMB share: syncs depend on the server; a broker should have a local disk";
    case 0x01021994:
    case 0x858458F6: return "memory (tmpfs): everything is lost when the machine stops";
    case 0x794C7630:
      return "an overlay (a container's own layer): it is slow and goes with the container; mount "
             "a volume";
    case 0x65735546: return "FUSE: whether a sync reaches a disk depends on the program behind it";
    case 0x01021997: return "9p: whether a sync reaches a disk depends on the host";
    default: return nullptr;
  }
}

// -- the process that holds a lock

struct Holder {
  long pid = 0;
  unsigned long long started =
      0;  // clock ticks since boot: tells a reused pid from the same process
};

// When the living process `pid` was started; empty if there is none, or only its remains.
std::optional<unsigned long long> start_time_of(long pid) {
  std::FILE* file = std::fopen(fmt::format("/proc/{}/stat", pid).c_str(), "re");
  if (file == nullptr) return std::nullopt;
  std::array<char, 1024> text{};
  const std::size_t size = std::fread(text.data(), 1, text.size() - 1, file);
  std::fclose(file);
  // "pid (name) state ..."; the name may hold anything, so the fields are counted from its last
  // ')'.
  const std::string_view line(text.data(), size);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  char state = 0;
  unsigned long long started = 0;
  const int fields = std::sscanf(
      text.data() + name_end + 1,
      " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &state,
      &started);
  if (fields != 2 || state == 'Z' || state == 'X') return std::nullopt;
  return started;
}

Holder read_holder(int lock) {
  std::array<char, 128> text{};
  Holder holder;
  if (pread(lock, text.data(), text.size() - 1, 0) <= 0) return {};
  if (std::sscanf(text.data(), "pid %ld started %llu", &holder.pid, &holder.started) != 2)
    return {};
  return holder;
}

bool is_alive(const Holder& holder) {
  return holder.pid > 0 && start_time_of(holder.pid) == holder.started;
}

void write_holder(int lock) {
  const long pid = getpid();
  const std::string text = fmt::format("pid {} started {}\n", pid, start_time_of(pid).value_or(0));
  // Only a hint for people and for is_alive; the flock is what counts.
  if (ftruncate(lock, 0) != 0 || pwrite(lock, text.data(), text.size(), 0) < 0) {
    diag::debug("data", "cannot write the process id into the lock file");
  }
}

// -- small blocking file calls

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> sync_directory_at(const std::string& path) {
  const OwnedDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open()) return refuse_errno(errno, "open", path);
  if (retry_transient([&] { return fsync(directory.get()); }) != 0) {
    return refuse_errno(errno, "fsync of directory", path);
  }
  return {};
}

// Makes `path` and what is missing above it.
Result<void> make_directories(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return sync_directory_at(parent_of(path));
  if (errno == EEXIST) return {};
  if (errno != ENOENT || parent_of(path) == path) return refuse_errno(errno, "mkdir", path);
  if (auto made = make_directories(parent_of(path)); !made) return made;
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return refuse_errno(errno, "mkdir", path);
  return sync_directory_at(parent_of(path));
}

// Names in `parent`/`name`, without "." and "..".
Result<std::vector<std::string>> names_in(int parent, const char* name, const std::string& shown) {
  const int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return refuse_errno(errno, "open", shown);
  DIR* directory = fdopendir(descriptor);
  if (directory == nullptr) {
    const int error = errno;
    ::close(descriptor);
    return refuse_errno(error, "list", shown);
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view found(entry->d_name);
    if (found != "." && found != "..") names.emplace_back(found);
  }
  closedir(directory);
  return names;
}

Result<DataDirectoryIdentity> read_identity_at(int directory, const std::string& path) {
  const std::string shown = path + "/" + identity_name;
  const OwnedDescriptor file(
      openat(directory, identity_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return refuse_errno(errno, "open", shown);
  IdentityBlock block{};
  const ssize_t size =
      retry_transient([&] { return pread(file.get(), block.data(), block.size(), 0); });
  if (size < 0) return refuse_errno(errno, "read", shown);
  auto identity = decode_identity(ByteView(block).first(static_cast<std::size_t>(size)));
  if (identity) return identity;
  if (identity.error().code == Errc::unsupported) {
    return refuse(fmt::format("{}: {}; use the newer broker", shown, identity.error().text));
  }
  return refuse(
      fmt::format("{}: {}; restore this file from a backup (the data itself is untouched)", shown,
                  identity.error().text));
}

// -- whose segments lie here

struct OwnedSegment {
  std::string path;  // below the data directory
  ClusterId owner;
};

std::optional<OwnedSegment> read_owner(int directory, std::string path) {
  const OwnedDescriptor file(
      openat(directory, path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return std::nullopt;
  std::array<std::byte, segment_layout::header_bytes> block{};
  const ssize_t size =
      retry_transient([&] { return pread(file.get(), block.data(), block.size(), 0); });
  if (size < 0) return std::nullopt;
  const auto header = decode_segment_header(ByteView(block).first(static_cast<std::size_t>(size)));
  if (!header) return std::nullopt;
  return OwnedSegment{std::move(path), header->cluster_id};
}

// One of the segments, if all of them name the same owner and it is not `ours`. Ends at the first
// one that is, which is one block read in a whole directory. What cannot be read does not count:
// recovery looks at it again.
std::optional<OwnedSegment> find_other_owner(int directory, const ClusterId& ours) {
  bool is_sure = true;
  const auto names = [&](const std::string& path) {
    auto listed = names_in(directory, path.c_str(), path);
    if (listed) return std::move(*listed);
    struct stat status{};
    if (fstatat(directory, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(status.st_mode))
      is_sure = false;
    return std::vector<std::string>{};
  };
  std::optional<OwnedSegment> found;
  for (const std::string& topic : names("topics")) {
    const std::string topic_path = join_path("topics", topic);
    for (const std::string& partition : names(topic_path)) {
      const std::string partition_path = join_path(topic_path, partition);
      for (const std::string& name : names(partition_path)) {
        if (!parse_segment_file_name(name)) continue;
        auto segment = read_owner(directory, join_path(partition_path, name));
        if (!segment) continue;
        if (segment->owner == ours || (found && found->owner != segment->owner))
          return std::nullopt;
        found = std::move(segment);
      }
    }
  }
  // Where a directory cannot be listed, one of ours may be.
  return is_sure ? found : std::nullopt;
}

}  // namespace

// -- the identity block

void encode_identity(const DataDirectoryIdentity& identity, MutableBytes block) {
  namespace at = identity_layout;
  std::fill(block.begin(), block.end(), std::byte{0});
  store_le(block.data() + at::magic_at, at::magic);
  store_le(block.data() + at::version_at, at::format_version);
  store_le(block.data() + at::cluster_id_at, identity.cluster_id.bytes);
  store_le(block.data() + at::created_at, identity.created.ns);
  store_le(block.data() + at::crc_at, crc32c(block.first(at::crc_at)));
}

Result<DataDirectoryIdentity> decode_identity(ByteView block) {
  namespace at = identity_layout;
  if (block.size() < at::block_bytes) {
    return fail(Errc::corrupt,
                fmt::format("the identity has {} of {} bytes", block.size(), at::block_bytes));
  }
  if (load_le<std::uint64_t>(block.data() + at::magic_at) != at::magic) {
    return fail(Errc::corrupt, "this is no Millrace identity");
  }
  if (load_le<std::uint32_t>(block.data() + at::crc_at) != crc32c(block.first(at::crc_at))) {
    return fail(Errc::corrupt, "the identity's checksum does not match");
  }
  // Every version keeps the block's size, magic and checksum, so that an older broker can say this
  // much.
  const auto version = load_le<std::uint32_t>(block.data() + at::version_at);
  if (version > at::format_version || version == 0) {
    return fail(Errc::unsupported,
                fmt::format("the data has format version {}, this broker reads up to {}", version,
                            at::format_version));
  }
  DataDirectoryIdentity identity;
  identity.cluster_id.bytes =
      load_le<std::array<std::uint8_t, 16>>(block.data() + at::cluster_id_at);
  identity.created = WallTime{load_le<std::int64_t>(block.data() + at::created_at)};
  return identity;
}

Result<DataDirectoryIdentity> read_identity(const std::string& path) {
  const OwnedDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open()) return refuse_errno(errno, "open", path);
  return read_identity_at(directory.get(), path);
}

// -- opening, in order

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(const std::string& path, Clock& clock,
                                                           Random& random,
                                                           const DataDirectoryOptions& options) {
  std::unique_ptr<DataDirectory> directory(new DataDirectory(path, clock, options));
  if (auto done = directory->open_or_create(); !done) return fail(done.error());
  // Before the lock, so that nothing at all is made in a directory that is not ours; and again when
  // nobody else can change it any more, inside load_or_write_identity.
  if (auto done = directory->refuse_foreign(); !done) return fail(done.error());
  if (auto done = directory->take_lock(); !done) return fail(done.error());
  if (auto done = directory->load_or_write_identity(random); !done) return fail(done.error());
  if (auto done = directory->make_places(); !done) return fail(done.error());
  return directory;
}

void DataDirectory::unlock() { flock(lock_.get(), LOCK_UN); }

Result<void> DataDirectory::open_or_create() {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  if (path_.empty())
    return refuse("the path of the data directory is empty; set one with --data-dir");
  if (auto made = make_directories(path_); !made) return made;
  directory_ = OwnedDescriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_.is_open()) return refuse_errno(errno, "open", path_);
  struct statfs status{};
  if (options_.warn_of_file_system && fstatfs(directory_.get(), &status) == 0) {
    if (const char* trouble = trouble_of(static_cast<long>(status.f_type))) {
      diag::warn("data", "the data directory {} lies on {}", path_, trouble);
    }
  }
  return {};
}

// Without an identity, only the remains of a first start may be here.
Result<void> DataDirectory::refuse_foreign() const {
  auto names = names_in(directory_.get(), ".", path_);
  if (!names) return fail(names.error());
  if (std::find(names->begin(), names->end(), identity_name) != names->end()) return {};
  for (const std::string& name : *names) {
    if (name == identity_temporary_name || name == lock_name || name == "lost+found") continue;
    const bool is_place =
        name == "deleted" || std::find(places.begin(), places.end(), name) != places.end();
    auto inside = is_place ? names_in(directory_.get(), name.c_str(), path_ + "/" + name)
                           : Result<std::vector<std::string>>(std::vector<std::string>{name});
    if (!inside) return fail(inside.error());
    if (inside->empty()) continue;
    return refuse(
        fmt::format("{} holds '{}' but no identity file, so it is not a whole Millrace data "
                    "directory; choose an empty directory, "
                    "or restore its identity file from a backup",
                    path_, name));
  }
  return {};
}

Result<void> DataDirectory::take_lock() {
  const std::string shown = path_ + "/" + lock_name;
  lock_ = OwnedDescriptor(
      openat(directory_.get(), lock_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_.is_open()) return refuse_errno(errno, "open", shown);
  const Instant began = clock_.now();
  for (;;) {
    if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) break;
    if (errno != EWOULDBLOCK && errno != EINTR) return refuse_errno(errno, "flock", shown);
    const Holder holder = read_holder(lock_.get());
    const bool alive = is_alive(holder);
    const Duration wait =
        alive ? std::min(options_.holder_wait, options_.lock_wait) : options_.lock_wait;
    if (clock_.now() - began >= wait) {
      return fail(
          Errc::data_dir_in_use,
          fmt::format(
              "{} is in use by another broker (process {}{}); stop that one or choose another data "
              "directory",
              path_, holder.pid, alive ? "" : ", which is gone, but its disk writes are not"));
    }
    // Only at start, before there is a reactor to sleep in.
    poll(nullptr, 0, lock_retry_ms);
  }
  write_holder(lock_.get());
  return {};
}

Result<void> DataDirectory::load_or_write_identity(Random& random) {
  if (auto ours = refuse_foreign(); !ours) return ours;
  if (faccessat(directory_.get(), identity_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    auto identity = read_identity_at(directory_.get(), path_);
    if (!identity) return fail(identity.error());
    identity_ = *identity;
    return refuse_other_owner();
  }
  store_le(reinterpret_cast<std::byte*>(identity_.cluster_id.bytes.data()),
           random.next() | 1);  // never "none"
  store_le(reinterpret_cast<std::byte*>(identity_.cluster_id.bytes.data() + 8), random.next());
  identity_.created = clock_.wall();
  return write_identity();
}

// A log would take its own segments for somebody else's, and set all of them aside.
Result<void> DataDirectory::refuse_other_owner() const {
  const auto segment = find_other_owner(directory_.get(), identity_.cluster_id);
  if (!segment) return {};
  return refuse(fmt::format(
      "{}/{} is of data directory {}, but every segment here is of {} (one is {}); put the "
      "identity file of {} back, or, if these segments were copied here by mistake, move them "
      "away",
      path_, identity_name, identity_.cluster_id.to_hex(), segment->owner.to_hex(), segment->path,
      segment->owner.to_hex()));
}

// The name appears only when the bytes are durable (ST-31).
Result<void> DataDirectory::write_identity() {
  const std::string shown = path_ + "/" + identity_temporary_name;
  IdentityBlock block{};
  encode_identity(identity_, block);
  const int directory = directory_.get();
  if (unlinkat(directory, identity_temporary_name, 0) != 0 && errno != ENOENT) {
    return refuse_errno(errno, "unlink", shown);
  }
  const OwnedDescriptor file(
      openat(directory, identity_temporary_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return refuse_errno(errno, "open", shown);
  WriteProgress progress;
  const ByteView bytes(block);
  for (progress.start(Position{0}, {&bytes, 1}, false); !progress.is_complete();) {
    const iovec rest = progress.remaining().front();
    const ssize_t written = retry_transient([&] {
      return pwrite(file.get(), rest.iov_base, rest.iov_len,
                    static_cast<off_t>(progress.position()));
    });
    if (written < 0) return refuse_errno(errno, "write", shown);
    if (!progress.advance(static_cast<std::size_t>(written)))
      return refuse_errno(ENOSPC, "write", shown);
  }
  if (retry_transient([&] { return fsync(file.get()); }) != 0)
    return refuse_errno(errno, "fsync", shown);
  if (renameat(directory, identity_temporary_name, directory, identity_name) != 0) {
    return refuse_errno(errno, "rename", shown);
  }
  return sync_directory_at(path_);
}

Result<void> DataDirectory::make_places() {
  bool made_one = false;
  for (const char* place : places) {
    if (mkdirat(directory_.get(), place, 0700) == 0) {
      made_one = true;
    } else if (errno != EEXIST) {
      return refuse_errno(errno, "mkdir", path_ + "/" + place);
    }
  }
  return made_one ? sync_directory_at(path_) : Result<void>{};
}

}  // namespace millrace
