// A truncation cut files that were being read. The read told of damage where the cut had been, or
// delivered events that were no longer in the log; and while the files were being cut, memory went
// on answering with what was about to go.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <optional>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE(
    "G6 G7 a truncation waits for the reads in flight, and takes no others until it is done") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_many(50, 4000);
  f.storage.settle();
  Log& log = f.storage.log();
  f.storage.disk().hold(Call::read);
  std::optional<Result<ReadResult>> read;
  std::optional<Result<void>> truncated;
  const auto reading = log.read(Offset{13}, 1, [&](Result<ReadResult> result) {
    REQUIRE_FALSE(truncated.has_value());
    read = std::move(result);
  });
  for (int i = 0; i < 5; ++i) f.storage.turn();
  log.truncate(Offset{10}, [&](Result<void> result) { truncated = std::move(result); });

  std::optional<Error> late_read, late_search;
  const auto second = log.read(Offset{3}, 1, [&](Result<ReadResult> r) { late_read = r.error(); });
  const auto third = log.find_time(WallTime{0}, [&](Result<Offset> r) { late_search = r.error(); });
  bool must_read = true;
  const auto cached = log.read_cached(Offset{49}, 1, must_read);
  REQUIRE_FALSE(cached);
  REQUIRE(cached.error().code == Errc::shutting_down);
  REQUIRE_FALSE(must_read);

  // Not so much as a file is closed.
  const auto started = f.storage.disk().started();
  for (int i = 0; i < 60; ++i) f.storage.turn();
  REQUIRE(f.storage.disk().started() == started);
  REQUIRE(late_read.has_value());
  REQUIRE(late_read->code == Errc::shutting_down);
  REQUIRE(late_search.has_value());
  REQUIRE(late_search->code == Errc::shutting_down);

  f.storage.disk().release(Call::read);
  REQUIRE(f.storage.run_until([&] { return truncated.has_value(); }));
  REQUIRE(*truncated);
  REQUIRE(read.has_value());
  REQUIRE(*read);
  REQUIRE((*read)->next_offset == Offset{14});
  REQUIRE(log.durable_end() == Offset{10});
  REQUIRE(log.corrupt_ranges().empty());
  f.known.resize(10);
  f.acked_end = Offset{10};
  // The end that was told to the test's listener is not the log's any more.
  f.reopen();
  f.put_many(5, 4000);
  f.require_all(true);
}
