// The one unit of this program, driven by libFuzzer.
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "tests/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t length,
                                        std::size_t capacity);
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t bytes,
                                               std::size_t bytes_max, unsigned seed);

namespace {

using namespace millrace::fuzz;

const Unit& unit() {
  CHECK(units().size() == 1, "a libFuzzer program has one unit");
  return units().front();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  // What is wrong with every input is not to be read by anybody.
  millrace::diag::configure(millrace::diag::Level::off, millrace::diag::Style::text);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  unit().run({reinterpret_cast<const std::byte*>(data), bytes});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t bytes,
                                               std::size_t bytes_max, unsigned seed) {
  const auto* from = reinterpret_cast<const std::byte*>(data);
  Bytes input(from, from + bytes);
  Mutation mutation(seed, LLVMFuzzerMutate);
  mutate(unit(), input, bytes_max, mutation);
  std::memcpy(data, input.data(), input.size());
  return input.size();
}
