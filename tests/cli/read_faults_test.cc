#include "client/cli/read_faults.h"

#include <catch2/catch.hpp>

namespace millrace::cli {
namespace {

ClientError hole(const std::string& text) {
  ClientError error;
  error.code = 62;  // corrupt
  error.name = "corrupt";
  error.text = text;
  error.range_begin = 14;
  error.range_end = 44;
  return error;
}

TEST_CASE("G7 holes at the same offsets of many partitions are all survived") {
  ReadFaults faults("orders");
  for (int partition = 0; partition < 10; ++partition)
    CHECK(faults.survives(hole("partition " + std::to_string(partition) + ": offsets [14, 44)")));
  CHECK(faults.any());
}

TEST_CASE("a hole that a reader does not get past ends the reading") {
  ReadFaults faults("orders");
  int survived = 0;
  while (survived < 100 && faults.survives(hole("partition 0: offsets [14, 44)"))) ++survived;
  CHECK(survived < 10);
}

}  // namespace
}  // namespace millrace::cli
