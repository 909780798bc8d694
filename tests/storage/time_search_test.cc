#include "storage/time_search.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("a search by time finds the first batch appended then") {
  LogFixture f;
  std::vector<WallTime> times;
  for (int i = 0; i < 60; ++i) {
    times.push_back(f.storage.clock().wall());
    f.put(make_batch_of_bytes(4000));
    f.storage.advance(seconds(10));
  }
  const auto check = [&] {
    for (std::size_t i = 0; i < times.size(); ++i) {
      INFO(i);
      REQUIRE(*f.storage.find_time(times[i]) == Offset{i});
      REQUIRE(*f.storage.find_time(WallTime{times[i].ns + 1}) == Offset{i + 1});
    }
    REQUIRE(*f.storage.find_time(WallTime{0}) == Offset{0});
    REQUIRE(*f.storage.find_time(WallTime{INT64_MAX}) == f.storage.log().durable_end());
  };
  check();
  f.reopen();
  check();
  f.crash();
  check();
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{30})) == "");
  REQUIRE(*f.storage.find_time(WallTime{0}) == Offset{30});
  REQUIRE(*f.storage.find_time(times[40]) == Offset{40});
}
