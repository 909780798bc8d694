#include "tests/sim/simulation.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;

namespace {

struct Outcome {
  std::uint64_t digest;
  std::string finding;
  std::string counts;
};

Outcome outcome_of(std::uint64_t seed, const std::optional<FaultSet>& faults) {
  Simulation simulation(draw_options(seed, faults, std::nullopt));
  simulation.run();
  const auto& finding = simulation.finding();
  return {simulation.digest(), finding ? finding->promise + ": " + finding->text : "",
          simulation.counts().json_members()};
}

}  // namespace

TEST_CASE("a seed of the simulator repeats its run to the last operation of the disk") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    const Outcome first = outcome_of(seed, std::nullopt), second = outcome_of(seed, std::nullopt);
    REQUIRE(first.digest == second.digest);
    REQUIRE(first.counts == second.counts);
    REQUIRE(first.finding == second.finding);
  }
}

TEST_CASE("the classes that a failing seed prints repeat what the seed drew") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    const auto drawn = draw_options(seed, std::nullopt, std::nullopt).faults;
    const auto parsed = parse_fault_set(fault_set_text(drawn));
    REQUIRE(parsed == drawn);
    REQUIRE(outcome_of(seed, std::nullopt).digest == outcome_of(seed, parsed).digest);
  }
  REQUIRE_FALSE(parse_fault_set("power,no such class").has_value());
}

TEST_CASE("a run without faults promises much and breaks nothing") {
  const auto outcome = outcome_of(7, FaultSet{});
  REQUIRE(outcome.finding.empty());
  Simulation simulation(draw_options(7, FaultSet{}, std::nullopt));
  simulation.run();
  REQUIRE(simulation.counts().work_of("acks") > 0);
  REQUIRE(simulation.counts().work_of("deliveries") > 0);
  REQUIRE(simulation.counts().work_of("full reads") > 0);
  REQUIRE(simulation.counts().faults_total() == 0);
}
