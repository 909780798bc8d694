#include "tests/torture/write_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace millrace::torture {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Keep parse_keep(std::string_view text) {
  if (text == "nothing") return Keep::nothing;
  if (text == "everything") return Keep::everything;
  if (text == "prefix") return Keep::prefix;
  if (text == "torn") return Keep::torn;
  if (text == "writes") return Keep::writes;
  if (text == "sectors") return Keep::sectors;
  throw std::invalid_argument("keep nothing, everything, prefix, torn, writes or sectors");
}

WriteCache::WriteCache(const std::string& durable_path) {
  descriptor_ = open(durable_path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat found{};
  if (descriptor_ < 0 || fstat(descriptor_, &found) != 0) fail(durable_path.c_str());
  size_ = static_cast<std::uint64_t>(found.st_size) / sector_bytes * sector_bytes;
}

WriteCache::~WriteCache() { close(descriptor_); }

void WriteCache::read(std::uint64_t position, std::span<char> out) const {
  const ssize_t count = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(position));
  if (count != static_cast<ssize_t>(out.size())) fail("read");
  if (pending_.empty() || out.empty()) return;
  const std::uint64_t end = position + out.size();
  for (std::uint64_t sector = position / sector_bytes; sector * sector_bytes < end; ++sector) {
    const auto found = pending_.find(sector);
    if (found == pending_.end()) continue;
    const std::uint64_t begin = sector * sector_bytes;
    const std::uint64_t from = std::max(begin, position);
    const std::uint64_t to = std::min(begin + sector_bytes, end);
    std::memcpy(out.data() + (from - position), found->second.back().bytes.data() + (from - begin),
                to - from);
  }
}

void WriteCache::write(std::uint64_t position, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const std::size_t at = position % sector_bytes;
    const std::size_t count = std::min(sector_bytes - at, bytes.size());
    add(position / sector_bytes, at, bytes.first(count));
    bytes = bytes.subspan(count);
    position += count;
  }
  ++next_write_;
}

void WriteCache::write_part(std::uint64_t position, std::span<const char> bytes,
                            std::mt19937_64& random) {
  while (!bytes.empty()) {
    const std::size_t at = position % sector_bytes;
    const std::size_t count = std::min(sector_bytes - at, bytes.size());
    if (random() % 2 == 0) add(position / sector_bytes, at, bytes.first(count));
    bytes = bytes.subspan(count);
    position += count;
  }
  ++next_write_;
}

void WriteCache::add(std::uint64_t sector, std::size_t at, std::span<const char> bytes) {
  Version version{next_write_, {}};
  if (bytes.size() < sector_bytes) version.bytes = current(sector);
  std::copy(bytes.begin(), bytes.end(), version.bytes.begin() + static_cast<std::ptrdiff_t>(at));
  pending_[sector].push_back(version);
}

void WriteCache::flush() {
  for (const auto& [sector, versions] : pending_) put(sector, versions.back().bytes);
  pending_.clear();
  next_write_ = 0;
}

std::uint64_t WriteCache::settle(Keep keep, std::mt19937_64& random) {
  // The moment up to which writes were kept; which writes were, for Keep::writes.
  const std::uint64_t moment = next_write_ == 0 ? 0 : random() % next_write_;
  std::vector<bool> kept_writes(next_write_);
  for (std::uint64_t i = 0; i < next_write_; ++i) kept_writes[i] = random() % 2 == 0;
  std::uint64_t kept = 0;
  for (const auto& [sector, versions] : pending_) {
    const Version* last = nullptr;
    for (const Version& version : versions) {
      const bool is_kept =
          keep == Keep::everything || (keep == Keep::prefix && version.write < moment) ||
          (keep == Keep::torn &&
           (version.write < moment || (version.write == moment && random() % 2 == 0))) ||
          (keep == Keep::writes && kept_writes[version.write]);
      if (is_kept) last = &version;
    }
    if (keep == Keep::sectors) {
      const std::uint64_t choice = random() % (versions.size() + 1);
      if (choice > 0) last = &versions[choice - 1];
    }
    if (last == nullptr) continue;
    put(sector, last->bytes);
    ++kept;
  }
  pending_.clear();
  next_write_ = 0;
  return kept;
}

WriteCache::Sector WriteCache::current(std::uint64_t sector) const {
  const auto found = pending_.find(sector);
  return found == pending_.end() ? durable(sector) : found->second.back().bytes;
}

WriteCache::Sector WriteCache::durable(std::uint64_t sector) const {
  Sector bytes;
  const auto at = static_cast<off_t>(sector * sector_bytes);
  if (pread(descriptor_, bytes.data(), sector_bytes, at) != sector_bytes) fail("read");
  return bytes;
}

void WriteCache::put(std::uint64_t sector, const Sector& bytes) const {
  const auto at = static_cast<off_t>(sector * sector_bytes);
  if (pwrite(descriptor_, bytes.data(), sector_bytes, at) != sector_bytes) fail("write");
}

}  // namespace millrace::torture
