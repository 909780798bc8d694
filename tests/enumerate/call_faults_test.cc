#include "tests/enumerate/call_faults.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

TEST_CASE("ST-14 ST-15 a fault is told, repeated and survived") {
  const CallFault fault{sim::Call::synced_write, Errc::storage_error, 5, false,
                        CallFault::End::lift};
  const std::string text = to_string("log-appends", 1, fault);
  REQUIRE(text == "log-appends 1 synced_write:storage_error:5:once:lift");
  const auto again = parse_call_fault(text.substr(text.rfind(' ') + 1));
  REQUIRE(again.call == fault.call);
  REQUIRE(again.nth == 5);
  REQUIRE(again.end == CallFault::End::lift);
  const auto outcome = run_with_fault(workload_named("log-appends"), 1, again);
  REQUIRE(outcome.faults_hit >= 1);
  REQUIRE(outcome.sites.size() == outcome.faults_hit);
}

TEST_CASE("ST-12 after a full disk a log and a shard show that they are alive without a restart") {
  for (const char* workload : {"log-appends", "shard-service"}) {
    for (const bool for_ever : {false, true}) {
      const CallFault fault{sim::Call::synced_write, Errc::storage_full, 9, for_ever,
                            CallFault::End::lift};
      REQUIRE(run_with_fault(workload_named(workload), 1, fault).resumed);
    }
  }
}

TEST_CASE("a fault that is none is refused") {
  for (const char* text : {"", "write", "fly:storage_error:1:once:stop", "write:ok:1:once:stop",
                           "write:storage_error:1:once:fly"})
    REQUIRE_THROWS_AS(parse_call_fault(text), std::invalid_argument);
}

TEST_CASE("a disk answers with what the system can answer") {
  REQUIRE(can_answer(sim::Call::open, Errc::overloaded));
  REQUIRE_FALSE(can_answer(sim::Call::read, Errc::storage_full));
  REQUIRE_FALSE(can_answer(sim::Call::synced_write, Errc::overloaded));
}
