#include "storage/log.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("a new log is empty") {
  LogFixture f;
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  REQUIRE(f.storage.log().durable_end() == Offset{0});
  REQUIRE(f.storage.log().appended_end() == Offset{0});
  REQUIRE(f.storage.log().refusal().empty());
  f.require_all();
  f.reopen();
  REQUIRE(f.storage.log().durable_end() == Offset{0});
}

TEST_CASE("a clean close and open scans no batches and reads little") {
  LogFixture f;
  f.put_segments(4);
  f.close();
  const auto reads = f.storage.disk().started(Call::read);
  f.open();
  // A header and an index for each segment, a checkpoint slot or two.
  REQUIRE(f.storage.disk().started(Call::read) - reads <= 2 * 4 + 4);
  f.require_all();
  f.require_alive();
}

// A file that was another segment before holds its bytes behind the end: each start looked through
// 64 MiB of them for what would prove that they are damage.
TEST_CASE("G9 a restart in a recycled segment looks one commit behind its end") {
  auto log = small_log_options();
  log.segment_bytes = 32 * MiB;
  log.batch_bytes_max = 64 * KiB;
  LogFixture f(1, {.log = log, .pool_bytes = 128 * MiB});
  const auto fill = [&] {
    const auto segments = f.storage.files_ending(".segment").size();
    while (f.storage.files_ending(".segment").size() == segments)
      f.put(make_batch_of_bytes(60 * KiB));
  };
  f.put(make_batch("first"));
  fill();
  REQUIRE(LogFixture::reason(f.storage.trim(f.known.back().offsets.begin)) == "");
  f.known.erase(f.known.begin(), f.known.end() - 1);
  f.storage.settle();
  fill();
  const auto newest = f.storage.path(f.storage.files_ending(".segment").back());
  REQUIRE(f.storage.disk().read_file(newest).size() >= 31 * MiB);  // recycled
  const bool killed = GENERATE(false, true);
  killed ? static_cast<void>(f.storage.crash(CrashPolicy::none())) : f.close();
  const auto before = f.storage.disk().bytes_read();
  f.open();
  REQUIRE(f.storage.disk().bytes_read() - before <= 10 * MiB);
  f.adopt();
  f.require_all(true);
  f.require_alive();
}

// What a lost write leaves in a recycled file is no zeros.
TEST_CASE(
    "G1 G7 ST-05 a lost commit of the longest kind shows by the next one, whatever lies there") {
  auto log = small_log_options();
  log.segment_bytes = 32 * MiB;
  log.batch_bytes_max = 1 * MiB;
  log.staged_bytes_max = 16 * MiB;
  log.checkpoint_idle = seconds(1'000'000);
  const bool zeros = GENERATE(false, true);
  LogFixture f(1, {.log = log, .cache_bytes = 32 * MiB});
  f.put(make_batch("A"));
  for (int i = 0; i < 8; ++i) f.stage(make_batch_of_bytes(1020 * KiB));
  f.commit();
  f.put(make_batch("B"));
  const auto [path, begin] = f.place_of(Offset{1});
  const auto end = f.place_of(Offset{9}).second;
  REQUIRE(end - begin > 7 * MiB);
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  auto& bytes = files.at(path);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
            bytes.begin() + static_cast<std::ptrdiff_t>(end),
            static_cast<std::byte>(zeros ? 0 : 0x5a));
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{10});
  REQUIRE(f.read_all(true, 2 * MiB).holes == std::vector<OffsetRange>{{Offset{1}, Offset{9}}});
}

TEST_CASE("a batch that is longer than its segment says begins the next segment") {
  auto log = small_log_options();
  log.segment_bytes = 16 * MiB;
  log.batch_bytes_max = 64 * KiB;
  LogFixture f(1, {.log = log});
  f.put_many(3);
  log.batch_bytes_max = 128 * KiB;
  f.storage.log().set_options(log);
  f.put_many(3);
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  f.put(make_batch_of_bytes(100 * KiB));
  REQUIRE(f.storage.files_ending(".segment").size() == 2);
  f.put(make_batch_of_bytes(100 * KiB));
  REQUIRE(f.storage.files_ending(".segment").size() == 2);
  f.reopen();
  f.require_all(true);
}

// The next segment would have had the same base and the same file, which went with the empty one.
TEST_CASE("G1 G2 an empty segment takes a batch that is longer than its header says") {
  auto log = small_log_options();
  log.segment_bytes = 16 * MiB;
  log.batch_bytes_max = 64 * KiB;
  LogFixture f(1, {.log = log});
  f.put_many(3);
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  f.require_end_alone();
  log.batch_bytes_max = 128 * KiB;
  f.storage.options().log.batch_bytes_max = 128 * KiB;
  SECTION("set while it runs") { f.storage.log().set_options(log); }
  SECTION("set at a restart") { f.reopen(); }
  f.put(make_batch_of_bytes(100 * KiB));
  f.storage.settle();
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  f.require_all(true);
  f.crash(CrashPolicy::none());
  REQUIRE(f.storage.log().refusal() == "");
  f.require_all(true);
}

TEST_CASE("G1 G7 ST-05 a commit that was lost behind a clean start shows by the next one") {
  auto log = small_log_options();
  log.segment_bytes = 32 * MiB;
  log.batch_bytes_max = 1 * MiB;
  log.staged_bytes_max = 16 * MiB;
  log.checkpoint_idle = seconds(1'000'000);
  LogFixture f(1, {.log = log, .cache_bytes = 32 * MiB});
  f.put(make_batch("A"));
  f.reopen();
  for (int i = 0; i < 7; ++i) f.stage(make_batch_of_bytes(1020 * KiB));
  f.commit();
  f.put(make_batch("B"));
  const auto [path, begin] = f.place_of(Offset{1});
  const auto end = f.place_of(Offset{8}).second;
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  auto& bytes = files.at(path);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
            bytes.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
  f.storage.disk().restore(files);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{9});
}

TEST_CASE(
    "close makes what was staged durable or leaves it unacked, and refuses appends from then on") {
  LogFixture f;
  f.put_many(3);
  f.stage(make_batch("last"));
  f.close();
  f.open();
  REQUIRE(f.storage.log().durable_end() >= Offset{3});
  f.adopt();
  f.require_all();
  REQUIRE(f.storage.disk().open_files() <= 8);
}

TEST_CASE("a closed log leaves no file open") {
  LogFixture f;
  f.put_segments(3);
  f.require_all(true);
  f.close();
  REQUIRE(f.storage.disk().open_files() == 0);
}

TEST_CASE("a segment that cannot be opened at the start is left where it is") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  for (std::uint64_t nth = 1; nth <= 6; ++nth) {
    SimDisk::Fault once;
    once.call = Call::open;
    once.error = Errc::overloaded;
    once.nth = nth;
    f.storage.disk().inject(once);
    if (!f.storage.open()) continue;
    f.close();
  }
  f.open();
  REQUIRE(f.storage.log().refusal().empty());
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  f.require_all(true);
}
