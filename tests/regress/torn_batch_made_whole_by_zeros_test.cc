// Of a commit that was torn by a loss of power the header was there, and what was missing behind
// the file's end were zeros. It was refused and not cut off; blocks reserved for what was to come
// made it whole, and after the next restart it was there.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-01 G5 a torn batch that was refused does not come back when the file grows") {
  LogFixture f;
  f.put(make_batch_of_bytes(6000, '\0'));
  const auto [path, position] = f.place_of(Offset{0});
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  auto& segment = files.at(path);
  const std::size_t end = position + f.known.back().sent.size();
  segment.resize(end);
  while (segment.back() == std::byte{0}) segment.pop_back();
  REQUIRE(segment.size() < end);
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{0});
  // The same file, longer.
  f.storage.crash(CrashPolicy::none());
  auto bytes = f.storage.disk().read_file(path);
  bytes.resize(position + 16 * KiB);
  f.storage.disk().write_file(path, bytes);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{0});
}
