#include "storage/base/crc32c.h"
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

enum class Stop { closed, crashed };

// A log of three segments with damage done to it while it is down.
struct Damaged {
  explicit Damaged(Stop s) : stop(s) {
    f.put_segments(3, 3000);
    f.put_many(4, 3000);
    if (stop == Stop::closed) {
      f.close();
    } else {
      f.storage.crash(CrashPolicy::none());
    }
    files = f.storage.disk().files();
    end = f.known.back().offsets.end;
    f.open();
    for (const auto& batch : f.known) places.push_back(f.place_of(batch.offsets.begin));
    f.close();
  }
  void restart_with(const std::function<void(SimDisk&)>& damage) {
    f.storage.disk().restore(files);
    damage(f.storage.disk());
    f.open();
  }
  void flip(std::size_t batch, std::size_t byte, std::uint8_t bits) {
    restart_with([&](SimDisk& disk) {
      disk.corrupt(places[batch].first, places[batch].second + byte, bits);
    });
  }
  // Nothing was forgotten, the batch is fenced, all else is there.
  void require_fenced(std::size_t batch) {
    REQUIRE(f.storage.log().durable_end() == end);
    f.require_all_but({f.known[batch].offsets}, true);
    f.require_all_but({f.known[batch].offsets}, false);
  }

  Stop stop;
  LogFixture f;
  SimDisk::Files files;
  Offset end;
  std::vector<std::pair<std::string, std::uint64_t>> places;
};

}  // namespace

TEST_CASE("ST-04 a flipped header below the durable end fences one batch and nothing is cut") {
  for (const auto stop : {Stop::closed, Stop::crashed}) {
    Damaged d(stop);
    // In the first segment, in the middle of a sealed one, and in the active one with commits
    // behind it.
    for (const std::size_t batch :
         {std::size_t{0}, std::size_t{5}, d.f.known.size() / 2, d.f.known.size() - 3}) {
      for (std::size_t byte = 0; byte < batch_layout::header_bytes; byte += 5) {
        INFO((stop == Stop::closed ? "closed" : "crashed")
             << ", batch " << batch << " byte " << byte);
        d.flip(batch, byte, 0x10);
        d.require_fenced(batch);
        d.f.close();
      }
    }
  }
}

TEST_CASE("ST-04 the log goes on behind a fenced range and the fence stays through crashes") {
  Damaged d(Stop::crashed);
  const std::size_t batch = d.f.known.size() - 3;
  d.flip(batch, 8, 1);
  d.require_fenced(batch);
  d.f.put_many(30, 3000);
  d.f.require_all_but({d.f.known[batch].offsets}, true);
  d.f.crash(CrashPolicy::random());
  d.f.require_all_but({d.f.known[batch].offsets}, true);
  d.f.reopen();
  d.f.require_all_but({d.f.known[batch].offsets}, true);
}

TEST_CASE("ST-05 a flipped payload is never delivered and its batch is named") {
  for (const auto stop : {Stop::closed, Stop::crashed}) {
    Damaged d(stop);
    for (const std::size_t batch : {std::size_t{0}, std::size_t{7}, d.f.known.size() - 3}) {
      for (std::size_t byte = batch_layout::header_bytes; byte < 2990; byte += 241) {
        INFO((stop == Stop::closed ? "closed" : "crashed")
             << ", batch " << batch << " byte " << byte);
        d.flip(batch, byte, 0x01);
        d.require_fenced(batch);
        d.f.close();
      }
    }
  }
}

TEST_CASE("ST-05 damage that comes while the log is open is found by the read") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(3, 3000);
  const auto [path, at] = f.place_of(Offset{4});
  f.storage.disk().corrupt(path, at + 500, 0x80);
  f.require_all_but({f.known[4].offsets}, true);
  REQUIRE_FALSE(f.storage.log().corrupt_ranges().empty());
  f.storage.disk().corrupt(path, at + 500, 0x80);
}

TEST_CASE("ST-04 several damaged batches are several holes, or one that covers them") {
  Damaged d(Stop::closed);
  d.restart_with([&](SimDisk& disk) {
    for (const std::size_t batch : {3u, 4u, 9u})
      disk.corrupt(d.places[batch].first, d.places[batch].second + 40, 2);
  });
  REQUIRE(d.f.storage.log().durable_end() == d.end);
  const auto contents = d.f.read_all(true, 1 * MiB);
  std::uint64_t lost = 0;
  for (const auto& hole : contents.holes) lost += hole.count();
  REQUIRE(lost == 3);
  d.f.require_known(contents, contents.holes);
}

TEST_CASE(
    "ST-04 a zeroed or garbled run over several batches of a sealed segment is fenced and nothing "
    "else") {
  Random random(8);
  for (int round = 0; round < 20; ++round) {
    Damaged d(round % 2 == 0 ? Stop::closed : Stop::crashed);
    const std::size_t first = 1 + random.below(6), count = 1 + random.below(4);
    d.restart_with([&](SimDisk& disk) {
      const auto& path = d.places[first].first;
      auto bytes = disk.read_file(path);
      const std::size_t begin = d.places[first].second, end = d.places[first + count].second;
      for (std::size_t i = begin; i < end; ++i) {
        bytes[i] = round % 3 == 0 ? std::byte{0} : static_cast<std::byte>(random.below(256));
      }
      disk.write_file(path, bytes);
    });
    INFO("round " << round << ": " << count << " batches from " << first);
    REQUIRE(d.places[first].first == d.places[first + count].first);
    REQUIRE(d.f.storage.log().durable_end() == d.end);
    const auto contents = d.f.read_all(true, 1 * MiB);
    std::uint64_t lost = 0;
    for (const auto& hole : contents.holes) lost += hole.count();
    REQUIRE(lost == count);
    d.f.require_known(contents, contents.holes);
    d.f.close();
  }
}

TEST_CASE("ST-04 a segment whose header block is damaged loses no acked event silently") {
  for (const auto stop : {Stop::closed, Stop::crashed}) {
    Damaged d(stop);
    d.f.open();
    const auto segments = d.f.storage.files_ending(".segment");
    d.f.close();
    for (std::size_t i = 0; i < segments.size(); ++i) {
      INFO((stop == Stop::closed ? "closed" : "crashed") << ", segment " << i);
      d.f.storage.disk().restore(d.files);
      d.f.storage.disk().corrupt(d.f.storage.path(segments[i]), 50, 1);
      const auto opened = d.f.storage.open();
      if (!opened) continue;  // a refusal forgets nothing
      // What is not readable is named, what is readable is right, and nothing overwrites what is
      // there.
      const auto contents = d.f.storage.read_all(1 * MiB, true);
      if (contents) d.f.require_known(*contents, contents->holes);
      if (d.f.storage.log().durable_end() < d.end)
        REQUIRE_FALSE(d.f.storage.log().refusal().empty());
      d.f.close();
    }
  }
}

TEST_CASE("ST-06 a length that lies under a valid checksum is not followed") {
  Damaged d(Stop::closed);
  for (const std::uint32_t lie : {97u, 4096u, 1'000'000u, batch_layout::body_bytes_limit}) {
    const std::size_t batch = 6;
    d.restart_with([&](SimDisk& disk) {
      const auto& [path, at] = d.places[batch];
      auto bytes = disk.read_file(path);
      std::byte* header = bytes.data() + at;
      store_le(header + batch_layout::body_bytes_at, lie);
      store_le(header + batch_layout::raw_bytes_at, lie);
      const auto parsed_id = load_le<std::uint64_t>(header + batch_layout::segment_id_at);
      const Offset base{load_le<std::uint64_t>(header + batch_layout::base_offset_at)};
      store_le(header + batch_layout::header_crc_at,
               crc32c(ByteView(header, batch_layout::header_crc_at)) ^ batch_seed(parsed_id, base));
      disk.write_file(path, bytes);
    });
    INFO(lie);
    REQUIRE(d.f.storage.log().durable_end() == d.end);
    const auto contents = d.f.read_all(true, 1 * MiB);
    REQUIRE(contents.holes.size() == 1);
    REQUIRE(contents.holes[0].begin == d.f.known[batch].offsets.begin);
    d.f.require_known(contents, contents.holes);
    d.f.close();
  }
}

TEST_CASE("ST-17 an unreadable sector fails the reads that need it and no others") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(3, 3000);
  const auto [path, at] = f.place_of(Offset{4});
  f.storage.disk().make_unreadable(path, at, at + 512);
  const auto failed = f.storage.read_disk(Offset{4}, 1);
  REQUIRE_FALSE(failed);
  REQUIRE((failed.error().code == Errc::storage_error || failed.error().code == Errc::corrupt));
  REQUIRE(f.storage.read_disk(f.known.back().offsets.begin, 1));
  f.storage.disk().lift_faults();
  f.require_alive();
}

TEST_CASE("ST-35 a batch that was lost on its way to the device is reported, not skipped") {
  Damaged d(Stop::closed);
  // The device kept zeros where a middle commit should be.
  const std::size_t batch = d.f.known.size() - 3;
  d.restart_with([&](SimDisk& disk) {
    const auto& [path, at] = d.places[batch];
    auto bytes = disk.read_file(path);
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 3000, std::byte{0});
    disk.write_file(path, bytes);
  });
  d.require_fenced(batch);
}
