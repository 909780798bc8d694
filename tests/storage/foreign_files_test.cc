#include "storage/base/crc32c.h"
#include "storage/format/segment_layout.h"
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

std::string file_name(Offset base, std::string_view suffix) {
  std::string digits = std::to_string(base.value);
  return std::string(20 - digits.size(), '0') + digits + std::string(suffix);
}

// A header that verifies and says something else.
template <class Change>
void change_header(SimDisk& disk, const std::string& path, Change change) {
  auto bytes = disk.read_file(path);
  const MutableBytes block(bytes.data(), segment_layout::header_bytes);
  auto header = decode_segment_header(block);
  REQUIRE(header);
  change(*header);
  encode_segment_header(*header, block);
  disk.write_file(path, bytes);
}

// All files under the root that hold these bytes: nothing of ours is ever unlinked for looking
// strange.
bool somewhere(const SimDisk& disk, const Bytes& bytes) {
  const auto files = disk.files();
  return std::any_of(files.begin(), files.end(),
                     [&](const auto& file) { return file.second == bytes; });
}

}  // namespace

TEST_CASE("ST-09 a missing middle segment makes the log read-only and its hole is named") {
  for (const bool clean : {true, false}) {
    LogFixture f;
    f.put_segments(4);
    if (clean) {
      f.close();
    } else {
      f.storage.crash(CrashPolicy::none());
    }
    const auto segments = f.storage.files_ending(".segment");
    const Offset begin{std::stoull(segments[1])}, end{std::stoull(segments[2])};
    f.storage.disk().remove_file(f.storage.path(segments[1]));
    f.open();
    INFO(f.storage.log().refusal());
    REQUIRE_FALSE(f.storage.log().refusal().empty());
    REQUIRE(f.storage.log().refusal().find(std::to_string(begin.value)) != std::string::npos);
    const auto refused = f.storage.append(make_batch("no"));
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().code == Errc::read_only);
    REQUIRE(f.storage.log().durable_end() == f.known.back().offsets.end);
    f.require_all_but({{begin, end}}, true);
    // Offsets keep their meaning after another start, too.
    f.reopen();
    REQUIRE_FALSE(f.storage.log().refusal().empty());
    f.require_all_but({{begin, end}}, true);
  }
}

TEST_CASE("ST-09 a missing first segment is not taken for a trimmed start without being said") {
  LogFixture f;
  f.put_segments(4);
  f.close();
  const auto segments = f.storage.files_ending(".segment");
  f.storage.disk().remove_file(f.storage.path(segments[0]));
  const auto opened = f.storage.open();
  if (!opened) return;
  const bool told = !f.storage.log().refusal().empty() || !f.storage.log().corrupt_ranges().empty();
  REQUIRE(told);
}

TEST_CASE("ST-09 a missing last segment does not make the log give its offsets away again") {
  LogFixture f;
  f.put_segments(4);
  f.close();
  const auto segments = f.storage.files_ending(".segment");
  f.storage.disk().remove_file(f.storage.path(segments.back()));
  const auto opened = f.storage.open();
  if (!opened) return;
  const auto refused = f.storage.append(make_batch("second value at an old offset"));
  if (refused) REQUIRE(refused->begin >= f.known.back().offsets.end);
}

TEST_CASE("ST-10 files that are not ours are left alone") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  auto& disk = f.storage.disk();
  const Bytes note = random_bytes(f.storage.random(), 100);
  for (const auto* name :
       {"00000000000000000007.segment.tmp", "x.tmp", "00000000000000000000.segment~", "README",
        "7.segment", "0000000000000000000x.segment", ".hidden", "999999999999999999999.segment",
        "99999999999999999999.segment.swp"}) {
    disk.write_file(f.storage.path(name), note);
  }
  disk.make_special(f.storage.path("pipe"));
  disk.make_path(f.storage.path("directory"));
  f.open();
  REQUIRE(f.storage.log().refusal().empty());
  f.require_all(true);
  f.require_alive();
  f.close();
  REQUIRE(disk.read_file(f.storage.path("README")) == note);
  REQUIRE(disk.exists(f.storage.path("pipe")));
}

TEST_CASE("ST-10 a directory or special file named like a segment does not stop the log") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  const Offset inside{f.known.back().offsets.begin.value - 1},
      beyond = f.known.back().offsets.end + 1000;
  f.storage.disk().make_path(f.storage.path(file_name(beyond, ".segment")));
  f.storage.disk().make_special(f.storage.path(file_name(inside, ".segment")));
  f.open();
  f.require_all(true);
}

TEST_CASE("ST-10 a file with a segment's name and other contents is fenced, kept and not read") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  const Bytes noise = random_bytes(f.storage.random(), 9000);
  const Offset end = f.known.back().offsets.end;
  const auto path = f.storage.path(file_name(end + 500, ".segment"));
  f.storage.disk().write_file(path, noise);
  f.open();
  // It could be the damaged newest segment: no offset is given away until somebody has looked.
  REQUIRE(f.storage.log().refusal().find(path) != std::string::npos);
  REQUIRE_FALSE(f.storage.append(make_batch("no")));
  const auto contents = f.read_all(true, 1 * MiB);
  REQUIRE(contents.batches.size() == f.known.size());
  for (std::size_t i = 0; i < f.known.size(); ++i) {
    LogFixture::require_same(contents.batches[i], f.known[i]);
  }
  f.close();
  REQUIRE(f.storage.disk().read_file(path) == noise);
}

TEST_CASE("ST-11 a segment under a name that is not its own is not read as what the name says") {
  LogFixture f;
  f.put_segments(4);
  f.close();
  const auto segments = f.storage.files_ending(".segment");
  const auto bytes = f.storage.disk().read_file(f.storage.path(segments[1]));
  f.storage.disk().write_file(f.storage.path(file_name(f.known.back().offsets.end, ".segment")),
                              bytes);
  f.open();
  REQUIRE(f.storage.log().durable_end() == f.known.back().offsets.end);
  f.require_all(true);
  f.close();
  REQUIRE(somewhere(f.storage.disk(), bytes));
}

TEST_CASE(
    "ST-11 a segment of another cluster, topic or partition is refused by what it says inside") {
  const std::vector<std::function<void(SegmentHeader&)>> changes{
      [](SegmentHeader& h) { h.cluster_id.bytes[3] ^= 1; },
      [](SegmentHeader& h) { h.topic_id.bytes[3] ^= 1; },
      [](SegmentHeader& h) { h.partition += 1; },
      [](SegmentHeader& h) { h.base_offset = h.base_offset + 1; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    for (const std::size_t segment : {0u, 1u, 2u}) {
      INFO("change " << i << " of segment " << segment);
      LogFixture f;
      f.put_segments(3);
      f.close();
      const auto path = f.storage.segment_path(segment);
      change_header(f.storage.disk(), path, changes[i]);
      const auto bytes = f.storage.disk().read_file(path);
      const auto opened = f.storage.open();
      if (!opened) {
        REQUIRE(somewhere(f.storage.disk(), bytes));
        continue;
      }
      const auto contents = f.storage.read_all(1 * MiB, true);
      if (contents) f.require_known(*contents, contents->holes);
      // No offset is given twice.
      const auto appended = f.storage.append_and_commit(make_batch("new"));
      if (appended) REQUIRE(appended->begin >= f.known.back().offsets.end);
      f.close();
      REQUIRE(somewhere(f.storage.disk(), bytes));
    }
  }
}

TEST_CASE("ST-10 ST-12 a log with a foreign segment can be read where quarantine/ cannot be made") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  SimDisk& disk = f.storage.disk();
  change_header(disk, f.storage.segment_path(2),
                [](SegmentHeader& header) { header.partition = PartitionIndex{77}; });
  disk.inject({.call = Call::make_directory,
               .error = Errc::storage_full,
               .nth = 1,
               .for_ever = true,
               .path = "quarantine"});
  f.open();
  REQUIRE_FALSE(f.storage.log().refusal().empty());
  REQUIRE(f.storage.files_ending(".segment").size() == 3);
  REQUIRE_FALSE(f.read_all(true, 1 * MiB).batches.empty());
  f.close();
}

TEST_CASE("ST-03 a segment of an earlier incarnation of the same topic name is not read") {
  LogFixture f;
  f.put_segments(2);
  f.close();
  const auto files = f.storage.disk().files();
  // The topic was deleted and created anew, and somebody copied the old files back.
  f.storage.identity().topic_id.bytes[0] ^= 0xFF;
  const auto opened = f.storage.open();
  if (opened) {
    const auto contents = f.storage.read_all(1 * MiB, true);
    REQUIRE(contents);
    REQUIRE(contents->batches.empty());
  }
  REQUIRE(f.storage.close());
  for (const auto& [path, bytes] : files) {
    if (path.ends_with(".segment") && path.find("pool") == std::string::npos) {
      INFO(path);
      REQUIRE(somewhere(f.storage.disk(), bytes));
    }
  }
}
