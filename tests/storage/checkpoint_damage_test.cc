#include "storage/format/checkpoint_layout.h"
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A log with several checkpoints behind it, stopped by a crash or by a close.
struct Checkpointed {
  explicit Checkpointed(bool clean) {
    for (int i = 0; i < 4; ++i) {
      f.put_many(8, 3000);
      f.storage.advance(seconds(2));
      older.push_back(f.storage.disk().read_file(path()));
    }
    f.put_many(3, 3000);
    if (clean) {
      f.close();
    } else {
      f.storage.crash(CrashPolicy::none());
    }
    files = f.storage.disk().files();
  }
  std::string path() const { return f.storage.path("checkpoint"); }
  template <class Damage>
  void require_harmless(Damage damage) {
    f.storage.disk().restore(files);
    damage(f.storage.disk());
    for (int round = 0; round < 2; ++round) {
      f.open();
      REQUIRE(f.storage.log().refusal().empty());
      REQUIRE(f.storage.log().durable_end() == f.known.back().offsets.end);
      REQUIRE(f.storage.log().start_offset() == Offset{0});
      f.require_all(true);
      if (round == 0) f.storage.crash(CrashPolicy::none());
    }
    f.put(make_batch("goes on"));
    f.require_all();
    f.known.pop_back();
    f.close();
    f.acked_end = f.known.back().offsets.end;
  }

  LogFixture f;
  std::vector<Bytes> older;
  SimDisk::Files files;
};

}  // namespace

TEST_CASE("ST-08 without a checkpoint everything is found by a scan") {
  for (const bool clean : {false, true}) {
    Checkpointed c(clean);
    c.require_harmless([&](SimDisk& disk) { disk.remove_file(c.path()); });
    c.require_harmless([&](SimDisk& disk) { disk.write_file(c.path(), {}); });
    c.require_harmless(
        [&](SimDisk& disk) { disk.write_file(c.path(), Bytes(disk.read_file(c.path()).size())); });
    c.require_harmless([&](SimDisk& disk) {
      Random random(1);
      disk.write_file(c.path(), random_bytes(random, 8192));
    });
  }
}

TEST_CASE("ST-08 one slot that is damaged costs nothing, both cost a scan") {
  for (const bool clean : {false, true}) {
    Checkpointed c(clean);
    for (std::size_t at = 0; at < 112; at += 7) {
      INFO(at);
      c.require_harmless([&](SimDisk& disk) { disk.corrupt(c.path(), at, 4); });
      if (c.files.at(c.path()).size() <= checkpoint_layout::slot_bytes + at) continue;
      c.require_harmless(
          [&](SimDisk& disk) { disk.corrupt(c.path(), checkpoint_layout::slot_bytes + at, 4); });
      c.require_harmless([&](SimDisk& disk) {
        disk.corrupt(c.path(), at, 4);
        disk.corrupt(c.path(), checkpoint_layout::slot_bytes + at, 4);
      });
    }
  }
}

TEST_CASE("ST-08 a checkpoint cut at any length costs nothing") {
  Checkpointed c(false);
  const auto size = c.files.at(c.path()).size();
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, std::size_t{4095},
                                  std::size_t{4096}, size / 2, size - 1}) {
    INFO(bytes);
    c.require_harmless([&](SimDisk& disk) { disk.cut_file(c.path(), std::min(bytes, size)); });
  }
}

TEST_CASE("ST-08 a checkpoint older than the log costs nothing") {
  for (const bool clean : {false, true}) {
    Checkpointed c(clean);
    for (const auto& old : c.older)
      c.require_harmless([&](SimDisk& disk) { disk.write_file(c.path(), old); });
  }
}

TEST_CASE("ST-08 the checkpoint of another log is not believed") {
  Checkpointed c(false);
  const auto size = c.files.at(c.path()).size();
  for (std::size_t slot = 0; slot * checkpoint_layout::slot_bytes < size; ++slot) {
    const auto bytes = ByteView(c.files.at(c.path())).subspan(slot * checkpoint_layout::slot_bytes);
    auto decoded = decode_checkpoint(
        bytes.first(std::min<std::size_t>(bytes.size(), checkpoint_layout::slot_bytes)));
    if (!decoded) continue;
    decoded->generation += 10;
    decoded->topic_id.bytes[0] ^= 1;
    decoded->start_offset = Offset{20};
    c.require_harmless(
        [&](SimDisk& disk) { disk.write_file(c.path(), encode_checkpoint(*decoded)); });
  }
}

TEST_CASE(
    "ST-08 a start that was moved survives the loss of the newest checkpoint or is said to be "
    "gone") {
  LogFixture f;
  f.put_segments(4);
  REQUIRE(LogFixture::reason(f.storage.trim(f.known[f.known.size() / 2].offsets.begin)) == "");
  const auto first_segment_left = Offset{std::stoull(f.storage.files_ending(".segment").front())};
  f.close();
  f.storage.disk().remove_file(f.storage.path("checkpoint"));
  f.open();
  // Whole segments below it are gone for good; nothing acked above it is.
  REQUIRE(f.storage.log().start_offset() >= first_segment_left);
  REQUIRE(f.storage.log().durable_end() == f.known.back().offsets.end);
  f.require_all(true);
}
