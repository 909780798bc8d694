// What every fuzzer of this folder is made of: a Unit takes bytes that may come from anywhere,
// hands them to one parser of the product, and CHECKs what must hold of the answer.
//
// A file UNIT_fuzz.cc defines one Unit and registers it. Two programs drive units: libFuzzer
// (libfuzzer_main.cc, one program per unit, clang only) and fuzz_replay (replay_main.cc, all units,
// any compiler), which the test suite runs over the corpora of tests/fuzz/corpus/UNIT.
//
// Thread: one. Fails: by stopping the process, as a CHECK, a sanitizer or a signal does.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/random.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::fuzz {

using Bytes = std::vector<std::byte>;

struct Seed {
  std::string name;
  Bytes bytes;
};

// How a structure-aware mutator changes the parts that it picked.
class Mutation {
 public:
  // Answers the new length of the `length` bytes at `data`, at most `capacity`.
  using Engine = std::size_t (*)(std::uint8_t* data, std::size_t length, std::size_t capacity);

  // Without an engine, a simple one of this folder is used.
  Mutation(std::uint64_t seed, Engine engine) : random(seed), engine_(engine) {}

  // Changes bytes, and the length up to `bytes_max`.
  void change(Bytes& part, std::size_t bytes_max);
  // Changes bytes of [begin, end) and no length.
  void change_in_place(MutableBytes part);

  Random random;

 private:
  std::size_t run(std::byte* data, std::size_t length, std::size_t capacity);
  Engine engine_;
};

struct Unit {
  std::string_view name;
  void (*run)(ByteView input);
  // Changes `input` with knowledge of its format, so that it gets past checksums; null: none.
  void (*mutate)(Bytes& input, std::size_t bytes_max, Mutation& mutation) = nullptr;
  // What the corpus begins with, made by the product's own writers; the same at every call.
  std::vector<Seed> (*seeds)() = nullptr;
};

// All units that are linked in.
std::vector<Unit>& units();

struct Register {
  explicit Register(const Unit& unit) { units().push_back(unit); }
};

// Mutates with the unit's own mutator, or without one.
void mutate(const Unit& unit, Bytes& input, std::size_t bytes_max, Mutation& mutation);

// Reads fields from the front of an input; zeros behind its end.
class Input {
 public:
  explicit Input(ByteView bytes) : rest_(bytes) {}
  template <class T>
  T take() {
    std::byte field[sizeof(T)] = {};
    const ByteView bytes = take_bytes(sizeof(T));
    std::copy(bytes.begin(), bytes.end(), field);
    return load_le<T>(field);
  }
  // As many as there are.
  ByteView take_bytes(std::size_t count) {
    const ByteView out = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(out.size());
    return out;
  }
  ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
};

void append_bytes(Bytes& out, ByteView bytes);
template <class T>
void append(Bytes& out, T value) {
  std::byte field[sizeof(T)];
  store_le(field, value);
  append_bytes(out, field);
}

// Makes the compiler believe that what was read is wanted.
void keep(std::uint64_t read);

// A copy on an 8-byte boundary whose end is the end of its memory, so that the address sanitizer
// sees a read behind it.
Bytes copy_of(ByteView bytes);

}  // namespace millrace::fuzz
