#include "tests/fuzz/fuzz.h"

#include <array>

namespace millrace::fuzz {
namespace {

// Numbers at which comparisons tip over.
constexpr std::array<std::uint64_t, 14> borders = {
    0,          1,          7,          8,          0x7F,       0xFF,  0xFFFF,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1ull << 62, 1ull << 63, ~0ull, 4096};

void put_number(std::byte* data, std::size_t length, Random& random) {
  const std::size_t width = std::min<std::size_t>(std::size_t{1} << random.below(4), length);
  const std::size_t at = random.below(length - width + 1);
  std::uint64_t number = borders[random.below(borders.size())];
  if (random.chance(1, 2)) number += random.below(5) - 2;
  std::memcpy(data + at, &number, width);
}

void copy_within(std::byte* data, std::size_t length, Random& random) {
  const std::size_t from = random.below(length), to = random.below(length);
  std::memmove(data + to, data + from, 1 + random.below(length - std::max(from, to)));
}

std::size_t change_length(std::byte* data, std::size_t length, std::size_t capacity,
                          Random& random) {
  const std::size_t at = random.below(length + 1);
  if (length < capacity && random.chance(1, 2)) {
    const std::size_t count = 1 + random.below(std::min<std::size_t>(capacity - length, 16));
    std::memmove(data + at + count, data + at, length - at);
    for (std::size_t i = 0; i < count; ++i)
      data[at + i] = static_cast<std::byte>(random.below(256));
    return length + count;
  }
  const std::size_t count = random.below(length - at + 1);
  std::memmove(data + at, data + at + count, length - at - count);
  return length - count;
}

// A plain engine for builds without libFuzzer.
std::size_t simple_engine(std::byte* data, std::size_t length, std::size_t capacity,
                          Random& random) {
  if (length == 0) return change_length(data, length, capacity, random);
  for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
    const std::size_t at = random.below(length);
    switch (random.below(4)) {
      case 0: data[at] ^= static_cast<std::byte>(1u << random.below(8)); break;
      case 1: data[at] = static_cast<std::byte>(random.below(256)); break;
      case 2: put_number(data, length, random); break;
      default: copy_within(data, length, random); break;
    }
  }
  return random.chance(1, 4) ? change_length(data, length, capacity, random) : length;
}

}  // namespace

std::size_t Mutation::run(std::byte* data, std::size_t length, std::size_t capacity) {
  if (engine_ == nullptr) return simple_engine(data, length, capacity, random);
  return engine_(reinterpret_cast<std::uint8_t*>(data), length, capacity);
}

void Mutation::change(Bytes& part, std::size_t bytes_max) {
  const std::size_t length = std::min(part.size(), bytes_max);
  part.resize(std::max<std::size_t>(bytes_max, 1));
  part.resize(bytes_max == 0 ? 0 : run(part.data(), length, bytes_max));
}

void Mutation::change_in_place(MutableBytes part) {
  if (part.empty()) return;
  // The engine may shorten: then the front is new and the rest stays.
  run(part.data(), part.size(), part.size());
}

std::vector<Unit>& units() {
  static std::vector<Unit> all;
  return all;
}

void mutate(const Unit& unit, Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  if (unit.mutate != nullptr && !mutation.random.chance(1, 8)) {
    unit.mutate(input, bytes_max, mutation);
    if (input.size() > bytes_max) input.resize(bytes_max);
  } else {
    mutation.change(input, bytes_max);
  }
}

void keep(std::uint64_t read) { asm volatile("" : : "r"(read)); }

void append_bytes(Bytes& out, ByteView bytes) {
  if (bytes.empty()) return;
  const std::size_t before = out.size();
  out.resize(before + bytes.size());
  std::memcpy(out.data() + before, bytes.data(), bytes.size());
}

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace millrace::fuzz
