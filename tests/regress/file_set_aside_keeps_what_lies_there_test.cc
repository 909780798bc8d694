// A foreign file under a segment's name was set aside under a name that came from our log and the
// offset alone. What lay in quarantine/ by that name was replaced: an earlier foreign file, or the
// only copy of the events that a repair had cut off. With the header's id in the name it was so
// still for two copies of one segment: an older, shorter one replaced the longer one.
#include "storage/format/segment_layout.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// As the newest segment's file has it, of another topic's log and with another id.
Bytes foreign_file(LogFixture& f, std::uint8_t other) {
  Bytes bytes = f.storage.disk().read_file(f.storage.segment_path(2));
  const MutableBytes block(bytes.data(), segment_layout::header_bytes);
  auto header = decode_segment_header(block);
  REQUIRE(header);
  header->topic_id.bytes[3] ^= other;
  header->segment_id += other;
  encode_segment_header(*header, block);
  return bytes;
}

std::size_t in_quarantine(const SimDisk& disk, const Bytes& bytes) {
  const auto files = disk.files();
  return static_cast<std::size_t>(std::count_if(files.begin(), files.end(), [&](const auto& file) {
    return file.first.starts_with("quarantine/") && file.second == bytes;
  }));
}

}  // namespace

TEST_CASE("ST-10 ST-11 two foreign files by one name, one after the other, are both kept") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  const auto path = f.storage.segment_path(2);
  const Bytes first = foreign_file(f, 1), second = foreign_file(f, 2);
  for (const Bytes* file : {&first, &second}) {
    f.storage.disk().write_file(path, *file);
    f.open();
    f.close();
    REQUIRE_FALSE(f.storage.disk().exists(path));
  }
  REQUIRE(in_quarantine(f.storage.disk(), first) == 1);
  REQUIRE(in_quarantine(f.storage.disk(), second) == 1);
}

TEST_CASE("ST-10 ST-11 two copies of one foreign segment, a long and a short one, are both kept") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  const auto path = f.storage.segment_path(2);
  const Bytes whole = foreign_file(f, 1);
  const Bytes backup(whole.begin(), whole.begin() + segment_layout::header_bytes);
  for (const Bytes* file : {&whole, &backup, &whole}) {
    f.storage.disk().write_file(path, *file);
    f.open();
    f.close();
    REQUIRE_FALSE(f.storage.disk().exists(path));
  }
  REQUIRE(in_quarantine(f.storage.disk(), whole) == 2);
  REQUIRE(in_quarantine(f.storage.disk(), backup) == 1);
}

TEST_CASE("G1 ST-10 a foreign file does not replace what a repair put into quarantine") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  const auto path = f.storage.segment_path(2);
  const Bytes events = f.storage.disk().read_file(path), foreign = foreign_file(f, 1);
  const auto& identity = f.storage.identity();
  f.storage.disk().make_path("quarantine");
  f.storage.disk().write_file("quarantine/" + identity.topic_id.to_hex() + "-" +
                                  std::to_string(identity.partition) + "-" +
                                  path.substr(path.rfind('/') + 1),
                              events);
  f.storage.disk().write_file(path, foreign);
  f.open();
  f.close();
  REQUIRE(in_quarantine(f.storage.disk(), events) == 1);
  REQUIRE(in_quarantine(f.storage.disk(), foreign) == 1);
}
