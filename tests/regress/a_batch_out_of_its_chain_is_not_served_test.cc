// A read takes the batch that it begins with without the one before it. That a segment's first
// batch does not follow what its header names was seen by a scan, but not by a read: the same event
// was fenced after a crash and served after a clean stop.
#include "storage/format/segment_layout.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-35 G7 a segment whose first batch does not follow the one before it is not read") {
  LogFixture f;
  f.put_segments(2);
  f.put_many(3);
  f.close();
  const std::string path = f.storage.segment_path(1);
  auto files = f.storage.disk().files();
  Bytes& file = files.at(path);
  const MutableBytes block = MutableBytes(file).first(segment_layout::header_bytes);
  auto header = decode_segment_header(block);
  REQUIRE(header.has_value());
  header->previous_crc ^= 1;
  encode_segment_header(*header, block);
  f.storage.disk().restore(files);
  f.open();
  const Offset first = header->base_offset;
  const auto read = f.storage.read_disk(first);
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().code == Errc::corrupt);
  CHECK(read.error().range_begin == first.value);
  CHECK(read.error().range_end == first.value + 1);
  CHECK(f.storage.read_disk(first + 1).has_value());
}
