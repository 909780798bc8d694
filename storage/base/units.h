// Byte and time units. Durations and instants are counted in nanoseconds in 64 bits.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace millrace {

inline constexpr std::uint64_t KiB = 1024;
inline constexpr std::uint64_t MiB = 1024 * KiB;
inline constexpr std::uint64_t GiB = 1024 * MiB;

struct Duration {
  std::int64_t ns = 0;
  friend auto operator<=>(const Duration&, const Duration&) = default;
  friend Duration operator*(Duration d, std::int64_t n) { return Duration{d.ns * n}; }
};

inline constexpr Duration microseconds(std::int64_t n) { return Duration{n * 1'000}; }
inline constexpr Duration milliseconds(std::int64_t n) { return Duration{n * 1'000'000}; }
inline constexpr Duration seconds(std::int64_t n) { return Duration{n * 1'000'000'000}; }

// A moment of the monotonic clock; only differences mean something.
struct Instant {
  std::int64_t ns = 0;
  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend Instant operator+(Instant i, Duration d) { return Instant{i.ns + d.ns}; }
  friend Duration operator-(Instant a, Instant b) { return Duration{a.ns - b.ns}; }
};

inline constexpr Instant instant_never{INT64_MAX};

// Nanoseconds since 1970-01-01T00:00:00Z, as stored in batches.
struct WallTime {
  std::int64_t ns = 0;
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

inline constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}
inline constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) {
  return value / alignment * alignment;
}

}  // namespace millrace
