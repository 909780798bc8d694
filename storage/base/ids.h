// Numbers that must not be mixed up, each its own type.
//
// Offset counts events of a partition; Position counts bytes of a file. Every end is exclusive.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace millrace {

// An event's number in its partition. The first event of a partition has offset 0.
struct Offset {
  std::uint64_t value = 0;
  friend auto operator<=>(const Offset&, const Offset&) = default;
  friend Offset operator+(Offset o, std::uint64_t count) { return Offset{o.value + count}; }
  friend std::uint64_t operator-(Offset a, Offset b) { return a.value - b.value; }
};

// The largest offset that is accepted anywhere; keeps every sum of offset and count in range.
inline constexpr Offset offset_max{(std::uint64_t{1} << 62) - 1};

// A byte place in a file.
struct Position {
  std::uint64_t value = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
  friend Position operator+(Position p, std::uint64_t bytes) { return Position{p.value + bytes}; }
  friend std::uint64_t operator-(Position a, Position b) { return a.value - b.value; }
};

// [begin, end) of offsets.
struct OffsetRange {
  Offset begin;
  Offset end;
  std::uint64_t count() const { return end - begin; }
  bool empty() const { return begin == end; }
  friend bool operator==(const OffsetRange&, const OffsetRange&) = default;
};

// Counts leaderships of a partition; stays 0 on a single node.
struct LeaderEpoch {
  std::uint32_t value = 0;
  friend auto operator<=>(const LeaderEpoch&, const LeaderEpoch&) = default;
};

// A random 128-bit identity: of a data directory ("cluster") or of a topic. All zero means "none".
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  bool is_none() const { return *this == Uuid{}; }
  // 32 lower-case hex digits.
  std::string to_hex() const;
  // Leaves `out` alone and answers false unless `hex` is exactly 32 hex digits.
  static bool from_hex(std::string_view hex, Uuid& out);
};

struct ClusterId : Uuid {};
struct TopicId : Uuid {};

using PartitionIndex = std::uint32_t;

}  // namespace millrace

template <>
struct std::hash<millrace::TopicId> {
  std::size_t operator()(const millrace::TopicId& id) const noexcept {
    std::size_t h = 1469598103934665603ull;
    for (auto b : id.bytes) h = (h ^ b) * 1099511628211ull;
    return h;
  }
};
