#include "storage/format/index_layout.h"
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A closed log of four segments whose indexes are damaged in some way before it is opened.
struct Indexed {
  explicit Indexed(std::uint64_t seed = 1) : f(seed) {
    while (f.storage.log().segment_count() < 4) {
      times.push_back(f.storage.clock().wall());
      f.put_many(1, 2500);
      f.storage.clock().advance(seconds(1));
    }
    f.reopen();
    f.close();
    indexes = f.storage.files_ending(".index");
    REQUIRE(indexes.size() >= 3);
    files = f.storage.disk().files();
  }
  template <class Damage>
  void require_harmless(Damage damage) {
    f.storage.disk().restore(files);
    damage(f.storage.disk());
    f.open();
    check();
    // And after a second start, whatever was rebuilt.
    f.crash();
    check();
    f.close();
  }
  void check() {
    REQUIRE(f.storage.log().refusal().empty());
    REQUIRE(f.storage.log().durable_end() == f.known.back().offsets.end);
    f.require_all(true);
    for (const auto& batch : f.known) {
      const auto piece = f.storage.read_disk(batch.offsets.begin, 1);
      REQUIRE(piece);
      REQUIRE(piece->next_offset >= batch.offsets.end);
    }
    REQUIRE(*f.storage.find_time(WallTime{0}) == f.storage.log().start_offset());
    for (std::size_t i = 0; i < times.size(); ++i) {
      INFO("search for the time of batch " << i);
      REQUIRE(*f.storage.find_time(times[i]) == f.known[i].offsets.begin);
    }
    REQUIRE(f.storage.log().corrupt_ranges().empty());
  }
  std::string path(std::size_t i) { return f.storage.path(indexes[i]); }

  LogFixture f;
  std::vector<WallTime> times;  // when each batch was appended
  std::vector<std::string> indexes;
  SimDisk::Files files;
};

}  // namespace

TEST_CASE("ST-07 an index that is missing is rebuilt") {
  Indexed x;
  x.require_harmless([&](SimDisk& disk) { disk.remove_file(x.path(1)); });
  x.require_harmless([&](SimDisk& disk) {
    for (std::size_t i = 0; i < x.indexes.size(); ++i) disk.remove_file(x.path(i));
  });
}

TEST_CASE("ST-07 an index with a flipped bit is rebuilt") {
  Indexed x;
  const auto size = x.files.at(x.path(1)).size();
  for (std::size_t at = 0; at < std::min<std::size_t>(size, 200); at += 9) {
    INFO(at);
    x.require_harmless([&](SimDisk& disk) {
      disk.corrupt(x.path(1), at, static_cast<std::uint8_t>(1u << (at % 8)));
    });
  }
}

TEST_CASE("ST-07 an index that is cut short, empty or longer than it should be is rebuilt") {
  Indexed x;
  const auto size = x.files.at(x.path(0)).size();
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64},
                                  std::size_t{70}, size - 1}) {
    x.require_harmless([&](SimDisk& disk) { disk.cut_file(x.path(0), bytes); });
  }
  x.require_harmless([&](SimDisk& disk) {
    auto bytes = disk.read_file(x.path(0));
    bytes.resize(bytes.size() + 100'000, std::byte{0x5A});
    disk.write_file(x.path(0), bytes);
  });
}

TEST_CASE("ST-07 indexes that were swapped are rebuilt") {
  Indexed x;
  x.require_harmless([&](SimDisk& disk) {
    const auto a = disk.read_file(x.path(0)), b = disk.read_file(x.path(1));
    disk.write_file(x.path(0), b);
    disk.write_file(x.path(1), a);
  });
}

TEST_CASE("ST-07 an index that lies under a valid checksum misleads nobody") {
  Indexed x;
  const auto decoded = decode_index(x.files.at(x.path(1)));
  REQUIRE(decoded);
  const auto with = [&](auto change) {
    IndexFile index = *decoded;
    change(index);
    x.require_harmless([&](SimDisk& disk) { disk.write_file(x.path(1), encode_index(index)); });
  };
  with([](IndexFile& i) { i.segment_id ^= 1; });
  with([](IndexFile& i) {
    for (auto& e : i.entries) e.position.value += 8;
  });
  with([](IndexFile& i) {
    for (auto& e : i.entries) e.offset.value += 1;
  });
  with([](IndexFile& i) {
    if (i.entries.size() > 1) i.entries.back().position = Position{1 << 30};
  });
  with([](IndexFile& i) { i.entries.clear(); });
  with([](IndexFile& i) {
    for (auto& e : i.entries) e.append_time.ns = 0;
  });
}

TEST_CASE("ST-07 an index that says less of the segment than there is hides nothing") {
  Indexed x;
  const auto decoded = decode_index(x.files.at(x.path(1)));
  REQUIRE(decoded);
  IndexFile stale = *decoded;
  stale.entries.resize(1);
  x.require_harmless([&](SimDisk& disk) { disk.write_file(x.path(1), encode_index(stale)); });
}

TEST_CASE("ST-07 an index's name taken by a directory or a special file does not stop the log") {
  Indexed x;
  x.require_harmless([&](SimDisk& disk) {
    disk.remove_file(x.path(1));
    disk.make_path(x.path(1));
  });
}
