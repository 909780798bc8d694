#include "tests/torture/fault_plan.h"

#include <catch2/catch.hpp>

#include <cerrno>

namespace millrace::torture {
namespace {

const std::string everywhere = "18446744073709551615";

void add(FaultPlan& plan, std::vector<std::string> words) { plan.add(words); }

TEST_CASE("a fault hits its kind of call, in its range, as often as it says") {
  FaultPlan plan;
  std::mt19937_64 random(1);
  add(plan, {"write", "EIO", "1000", "4096", "8192", "2"});
  CHECK(plan.decide(DiskCall::read, 4'096, 512, random) == 0);
  CHECK(plan.decide(DiskCall::write, 0, 4'096, random) == 0);
  CHECK(plan.decide(DiskCall::write, 8'192, 512, random) == 0);
  CHECK(plan.decide(DiskCall::write, 0, 4'097, random) == EIO);
  CHECK(plan.decide(DiskCall::write, 8'191, 1, random) == EIO);
  CHECK(plan.decide(DiskCall::write, 4'096, 512, random) == 0);
  CHECK(plan.injected() == 2);
}

TEST_CASE("a chance is of a thousand, and lifted faults are over") {
  FaultPlan plan;
  std::mt19937_64 random(1);
  add(plan, {"flush", "ENOSPC", "100", "0", everywhere, "0"});
  int failed = 0;
  for (int i = 0; i < 10'000; ++i) failed += plan.decide(DiskCall::flush, 0, 0, random) == ENOSPC;
  CHECK(failed > 800);
  CHECK(failed < 1'200);
  plan.lift();
  for (int i = 0; i < 1'000; ++i) REQUIRE(plan.decide(DiskCall::flush, 0, 0, random) == 0);
}

TEST_CASE("a fault that is not understood is refused") {
  FaultPlan plan;
  CHECK_THROWS(add(plan, {"write", "EIO", "1000", "0", everywhere}));
  CHECK_THROWS(add(plan, {"seek", "EIO", "1000", "0", everywhere, "0"}));
  CHECK_THROWS(add(plan, {"write", "EINTR", "1000", "0", everywhere, "0"}));
  CHECK_THROWS(add(plan, {"write", "EIO", "often", "0", everywhere, "0"}));
}

}  // namespace
}  // namespace millrace::torture
