// A disk with a volatile write cache: writes are seen at once, but survive a loss of power for sure
// only after a flush.
//
//   durable file   what the platter holds; changed by flush() and by what a cut happens to keep
//   pending        for each sector of 512 bytes all versions written since the last flush, oldest
//   first
//
// Without a flush the device owes nothing: of each pending sector any version may be found after a
// cut, or the old one, in whatever order they were written.
//
// Owner and thread: the one of the file system that shows it (cut_disk.cc).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::torture {

// Which of the pending sectors are found on the platter.
enum class Keep : std::uint8_t {
  nothing,
  everything,
  prefix,   // the writes before some moment, in their order
  torn,     // so, and of the write at that moment some sectors
  writes,   // some writes whole, in any order
  sectors,  // of each sector any version
};
// Throws std::invalid_argument.
Keep parse_keep(std::string_view text);

class WriteCache {
 public:
  static constexpr std::size_t sector_bytes = 512;

  // A file that is there, of a whole number of sectors. Throws std::system_error.
  explicit WriteCache(const std::string& durable_path);
  WriteCache(const WriteCache&) = delete;
  WriteCache& operator=(const WriteCache&) = delete;
  ~WriteCache();

  std::uint64_t size() const { return size_; }
  std::uint64_t pending_sectors() const { return pending_.size(); }
  std::uint64_t pending_writes() const { return next_write_; }

  // Within size().
  void read(std::uint64_t position, std::span<char> out) const;
  void write(std::uint64_t position, std::span<const char> bytes);
  // Only some sectors of it, as when a write fails.
  void write_part(std::uint64_t position, std::span<const char> bytes, std::mt19937_64& random);
  void flush();
  // What is pending becomes durable as `keep` says, or is lost. Answers how many sectors were kept
  // in some new version.
  std::uint64_t settle(Keep keep, std::mt19937_64& random);

 private:
  using Sector = std::array<char, sector_bytes>;
  struct Version {
    std::uint64_t write = 0;
    Sector bytes;
  };

  Sector current(std::uint64_t sector) const;
  Sector durable(std::uint64_t sector) const;
  void put(std::uint64_t sector, const Sector& bytes) const;
  void add(std::uint64_t sector, std::size_t at, std::span<const char> bytes);

  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t next_write_ = 0;  // since the last flush
  std::unordered_map<std::uint64_t, std::vector<Version>> pending_;
};

}  // namespace millrace::torture
