// A file that was set aside lost its old name durably, and its new one only for as long as the
// power stayed: then it was gone altogether.
#include "storage/format/segment_layout.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-10 ST-30 a file that was set aside is still there after a loss of power") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  const auto path = f.storage.segment_path(2);
  auto bytes = f.storage.disk().read_file(path);
  const MutableBytes block(bytes.data(), segment_layout::header_bytes);
  auto header = decode_segment_header(block);
  REQUIRE(header);
  header->topic_id.bytes[3] ^= 1;
  encode_segment_header(*header, block);
  f.storage.disk().write_file(path, bytes);
  (void)f.storage.open();
  f.storage.crash(CrashPolicy::none());
  const auto files = f.storage.disk().files();
  REQUIRE(std::any_of(files.begin(), files.end(),
                      [&](const auto& file) { return file.second == bytes; }));
}
