// A truncation lowers the checkpoint before it cuts. Refused because its end lay inside a batch, or
// cut short by a loss of power, it left a log with all its batches and a memory of producers that
// ended at the place of the cut: a retried batch was taken a second time.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A producer whose batches of two events lie in the segments before the last.
void put_session(LogFixture& f) {
  for (std::uint64_t i = 0; i < 20; ++i) {
    TestSession session;
    session.producer_id = 77;
    session.sequence = 2 * i;
    f.put(make_batch({{"", std::string(3000, 'p')}, {"", "x"}}, session));
  }
  f.put_segments(4);
}

// Its sequences are its offsets.
void require_session(LogFixture& f) {
  const auto* state = f.storage.log().producers().find(77);
  REQUIRE(state != nullptr);
  REQUIRE(state->next_sequence() ==
          std::min<std::uint64_t>(40, f.storage.log().durable_end().value));
}

}  // namespace

TEST_CASE("G4 a truncation that is refused forgets no producer") {
  LogFixture f;
  put_session(f);
  const auto refused = f.storage.truncate(Offset{11});
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().code == Errc::bad_request);
  f.require_all(true);
  require_session(f);
  f.crash();
  require_session(f);
  f.require_alive();
}

TEST_CASE("G4 a truncation that a loss of power cut short forgets no producer of what is left") {
  std::uint64_t crashes = 0;
  for (std::uint64_t operation = 1; crashes + 1 == operation; ++operation) {
    INFO("power lost at operation " << operation);
    LogFixture f;
    put_session(f);
    f.storage.settle();
    f.storage.disk().crash_at(operation, CrashPolicy::none());
    (void)f.storage.truncate(Offset{10});
    if (f.storage.disk().has_power()) break;
    ++crashes;
    REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::none())) == "");
    require_session(f);
  }
  REQUIRE(crashes > 20);
}
