#include "storage/base/crc32c.h"
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A log that stopped between two commits: the files before the last one, the segment after it, and
// where that lies.
struct LastCommit {
  SimDisk::Files before;
  std::string path;
  Bytes after;
  std::size_t begin = 0, end = 0;
  std::vector<KnownBatch> known;  // with those of the last commit
  std::size_t acked_batches = 0;  // without
};

LastCommit last_commit_of(LogFixture& f, const std::vector<Bytes>& batches) {
  LastCommit out;
  f.put_many(5, 700);
  out.acked_batches = f.known.size();
  out.before = f.files_after_crash();
  f.storage.crash(CrashPolicy::none());
  f.storage.disk().restore(out.before);
  f.open();
  for (const auto& batch : batches) f.stage(batch);
  f.commit();
  out.path = f.storage.segment_path(0);
  out.after = f.storage.disk().read_file(out.path);
  out.known = f.known;
  const auto& old = out.before.at(out.path);
  out.begin = std::size_t{f.place_of(out.known[out.acked_batches].offsets.begin).second};
  out.begin = align_down(out.begin, 4096);
  out.end = out.after.size();
  while (out.end > out.begin &&
         (out.end > old.size() || old[out.end - 1] == out.after[out.end - 1])) {
    if (out.end <= old.size()) {
      --out.end;
      continue;
    }
    if (out.after[out.end - 1] != std::byte{0}) break;
    --out.end;
  }
  f.storage.crash(CrashPolicy::none());
  return out;
}

// Opens a log whose last commit is `image`: all that was acked must be there, of the rest any
// number from the front.
void require_recovers(LogFixture& f, const LastCommit& last, const Bytes& image, bool go_on) {
  auto files = last.before;
  files[last.path] = image;
  f.storage.disk().restore(files);
  f.known = last.known;
  f.acked_end = f.known[last.acked_batches - 1].offsets.end;
  f.open();
  f.adopt();
  f.require_all(true);
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  const auto end = f.storage.log().durable_end();
  if (go_on) {
    // What was cut off never comes back, neither at once nor behind new data.
    f.put(make_batch("new"));
    f.crash();
    REQUIRE(f.storage.log().durable_end() == end + 1);
    f.require_all(true);
  } else {
    f.crash();
    REQUIRE(f.storage.log().durable_end() == end);
  }
  f.storage.crash(CrashPolicy::none());
}

}  // namespace

TEST_CASE("ST-01 a last batch cut at any byte is cut off and all before it stays") {
  LogFixture f;
  const auto last = last_commit_of(f, {make_batch_of_bytes(400, 'L')});
  const auto& old = last.before.at(last.path);
  REQUIRE(last.end - last.begin > 300);
  REQUIRE(last.end - last.begin <= 4096);
  for (std::size_t cut = last.begin; cut <= last.end; ++cut) {
    Bytes image = old;
    image.resize(std::max(old.size(), last.after.size()));
    std::copy(last.after.begin() + static_cast<std::ptrdiff_t>(last.begin),
              last.after.begin() + static_cast<std::ptrdiff_t>(cut),
              image.begin() + static_cast<std::ptrdiff_t>(last.begin));
    INFO("cut at " << cut - last.begin);
    require_recovers(f, last, image, cut % 16 == 0);
  }
}

TEST_CASE("ST-01 a file cut short inside its last commit loses that commit at most") {
  LogFixture f;
  const auto last =
      last_commit_of(f, {make_batch_of_bytes(5000, 'L'), make_batch_of_bytes(300, 'M')});
  for (std::size_t bytes = last.begin; bytes <= last.end; bytes += 177) {
    Bytes image(last.after.begin(), last.after.begin() + static_cast<std::ptrdiff_t>(bytes));
    INFO("cut to " << bytes);
    require_recovers(f, last, image, true);
  }
}

TEST_CASE("ST-01 sectors of a last commit that arrived in any order lose it from some batch on") {
  LogFixture f;
  const auto last =
      last_commit_of(f, {make_batch_of_bytes(5000, 'L'), make_batch_of_bytes(300, 'M'),
                         make_batch_of_bytes(4000, 'N')});
  const auto& old = last.before.at(last.path);
  const std::size_t sectors = (last.end - last.begin + 511) / 512;
  REQUIRE(sectors >= 18);
  Random random(3);
  for (int round = 0; round < 250; ++round) {
    Bytes image = old;
    image.resize(std::max(old.size(), last.after.size()));
    for (std::size_t s = 0; s < sectors; ++s) {
      // The first rounds: one sector missing, then one sector alone.
      const auto r = static_cast<std::size_t>(round);
      const bool kept = r < sectors       ? s != r
                        : r < 2 * sectors ? s == r - sectors
                                          : random.chance(1, 2);
      if (!kept) continue;
      const std::size_t from = last.begin + s * 512, to = std::min(from + 512, last.after.size());
      std::copy(last.after.begin() + static_cast<std::ptrdiff_t>(from),
                last.after.begin() + static_cast<std::ptrdiff_t>(to),
                image.begin() + static_cast<std::ptrdiff_t>(from));
    }
    INFO("round " << round);
    require_recovers(f, last, image, round % 2 == 0);
  }
}

TEST_CASE("ST-01 garbage where a commit was under way is cut off") {
  LogFixture f;
  const auto last = last_commit_of(f, {make_batch_of_bytes(6000, 'L')});
  Random random(4);
  for (int round = 0; round < 60; ++round) {
    Bytes image = last.before.at(last.path);
    image.resize(std::max(image.size(), last.end));
    const Bytes noise = random_bytes(random, last.end - last.begin);
    std::copy(noise.begin(), noise.end(), image.begin() + static_cast<std::ptrdiff_t>(last.begin));
    if (round % 2 == 0) {
      // A header that verifies over a body that does not.
      std::copy_n(last.after.begin() + static_cast<std::ptrdiff_t>(last.begin), 96,
                  image.begin() + static_cast<std::ptrdiff_t>(last.begin));
    }
    INFO("round " << round);
    require_recovers(f, last, image, true);
  }
}

TEST_CASE("ST-02 zeros behind the last batch are no batches, however many") {
  LogFixture f;
  f.put_many(5);
  f.storage.crash(CrashPolicy::none());
  const auto path = f.storage.segment_path(0);
  for (const std::size_t more : {1u, 511u, 4096u, 100'000u}) {
    auto bytes = f.storage.disk().read_file(path);
    bytes.resize(bytes.size() + more);
    f.storage.disk().write_file(path, bytes);
    f.open();
    REQUIRE(f.storage.log().durable_end() == Offset{5});
    f.require_all(true);
    f.storage.crash(CrashPolicy::none());
  }
  f.open();
  f.require_alive();
}

TEST_CASE("ST-03 whole valid batches of this segment at a wrong place are not taken") {
  LogFixture f;
  f.put_many(6, 700);
  const auto [path, first_at] = f.place_of(Offset{2});
  const auto [last_path, last_at] = f.place_of(Offset{5});
  REQUIRE(last_path == path);
  const auto files = f.files_after_crash();
  f.storage.crash(CrashPolicy::none());
  // Each batch of the log, copied to where the next commit would begin.
  for (std::uint64_t from = 0; from < 6; ++from) {
    f.storage.disk().restore(files);
    f.open();
    const auto source = f.place_of(Offset{from}).second;
    f.storage.crash(CrashPolicy::none());
    auto bytes = f.storage.disk().read_file(path);
    const std::size_t tail = align_up(last_at + 700, 4096);
    bytes.resize(std::max(bytes.size(), tail + 4096));
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(source), 700,
                bytes.begin() + static_cast<std::ptrdiff_t>(tail));
    f.storage.disk().write_file(path, bytes);
    INFO("a copy of batch " << from);
    f.open();
    REQUIRE(f.storage.log().durable_end() == Offset{6});
    f.require_all(true);
    f.put(make_batch("new"));
    f.crash();
    REQUIRE(f.storage.log().durable_end() == Offset{7});
    f.require_all(true);
    f.known.pop_back();
    f.acked_end = Offset{6};
    f.storage.crash(CrashPolicy::none());
  }
  f.open();
}

TEST_CASE("ST-03 a recycled segment's old batches are never taken for new ones") {
  auto options = small_log_options();
  options.retention_bytes = 130 * KiB;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    LogFixture f(seed, {.log = options});
    // All batches have one size, so that old and new ones begin at the same positions.
    for (int i = 0; i < 8; ++i) {
      f.put_many(20, 4000);
      f.storage.log().apply_retention();
      f.storage.settle();
    }
    REQUIRE(f.storage.log().start_offset() > Offset{0});
    for (int i = 0; i < 24; ++i) {
      f.put_many(1, 4000);
      const auto end = f.storage.log().durable_end();
      f.crash(i % 2 == 0 ? CrashPolicy::none() : CrashPolicy::random());
      INFO("seed " << seed << " round " << i);
      REQUIRE(f.storage.log().durable_end() == end);
      f.require_all(true);
    }
  }
}

TEST_CASE(
    "ST-40 what a killed program left in the cache is durable before the next one delivers it") {
  std::size_t survived = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    LogFixture f(seed);
    f.put_many(3);
    f.storage.disk().hold(Call::synced_write);
    f.stage(make_batch("in flight when the program was killed"));
    for (int i = 0; i < 3; ++i) f.storage.turn();
    f.crash(CrashPolicy::kill());
    if (f.storage.log().durable_end() == Offset{4}) ++survived;
    // Whoever read it would miss it after the power cut.
    f.crash(CrashPolicy::none());
    f.require_all(true);
  }
  REQUIRE(survived > 0);
}
