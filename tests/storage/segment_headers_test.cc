#include "storage/segment_headers.h"

#include "storage/base/units.h"
#include "tests/sim/sim_disk.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using namespace millrace::sim;

namespace {

LogIdentity identity() {
  LogIdentity out;
  out.cluster_id.bytes[0] = 1;
  out.topic_id.bytes[0] = 2;
  out.topic_name = "orders";
  out.directory = "topics/orders/0";
  return out;
}

std::string file_of(Offset base) {
  const std::string digits = std::to_string(base.value);
  return identity().directory + "/" + std::string(20 - digits.size(), '0') + digits + ".segment";
}

SegmentHeader header_of(Offset base) {
  SegmentHeader header;
  header.cluster_id = identity().cluster_id;
  header.topic_id = identity().topic_id;
  header.topic_name = "orders";
  header.base_offset = base;
  header.segment_id = base.value + 1;
  return header;
}

// A directory with three segment files of one block more than their header, and a look at those
// that are there.
struct Headers {
  Headers() {
    for (const Offset base : bases) write(base, header_of(base));
  }
  void write(Offset base, const SegmentHeader& header) {
    std::vector<std::byte> bytes(2 * segment_layout::header_bytes, std::byte{7});
    encode_segment_header(header, {bytes.data(), segment_layout::header_bytes});
    disk.write_file(file_of(base), bytes);
  }
  Result<SegmentHeaders::Found> read() {
    std::optional<Result<SegmentHeaders::Found>> answer;
    const LogIdentity who = identity();
    std::vector<Offset> listed;
    for (const Offset base : bases)
      if (disk.exists(file_of(base))) listed.push_back(base);
    SegmentHeaders operation(disk, slabs, who, listed,
                             [&](auto found) { answer = std::move(found); });
    operation.start();
    REQUIRE_FALSE(answer.has_value());
    for (int i = 0; !answer.has_value() && i < 200; ++i) disk.reap();
    REQUIRE(answer.has_value());
    REQUIRE(disk.in_flight() == 0);
    return std::move(*answer);
  }
  bool somewhere(const std::vector<std::byte>& bytes) const {
    const auto files = disk.files();
    return std::any_of(files.begin(), files.end(),
                       [&](const auto& file) { return file.second == bytes; });
  }

  const std::vector<Offset> bases{Offset{0}, Offset{10}, Offset{25}};
  Random random{1};
  SimDisk disk{random};
  SlabPool slabs{1 * MiB};
};

}  // namespace

TEST_CASE("segments are what their headers say, in the order of their names") {
  Headers h;
  const auto found = h.read();
  REQUIRE(found);
  REQUIRE(found->left_in_place.empty());
  REQUIRE(found->segments.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const Segment& segment = *found->segments[i];
    REQUIRE(segment.readable);
    REQUIRE(segment.base() == h.bases[i]);
    REQUIRE(segment.header.segment_id == h.bases[i].value + 1);
    REQUIRE(segment.path == file_of(h.bases[i]));
    REQUIRE(segment.end_position.value == 2 * segment_layout::header_bytes);
  }
  REQUIRE(h.disk.open_files() == 0);
}

TEST_CASE("ST-04 a segment whose header does not verify stays, fenced") {
  Headers h;
  h.disk.corrupt(file_of(h.bases[1]), 40, 1);
  const auto found = h.read();
  REQUIRE(found);
  REQUIRE(found->segments.size() == 3);
  REQUIRE_FALSE(found->segments[1]->readable);
  REQUIRE(found->segments[1]->base() == h.bases[1]);
  REQUIRE(h.disk.exists(file_of(h.bases[1])));
}

TEST_CASE("ST-11 another log's file under our name is set aside, whole and durably") {
  Headers h;
  SegmentHeader foreign = header_of(h.bases[1]);
  foreign.topic_id.bytes[5] = 9;
  h.write(h.bases[1], foreign);
  const auto bytes = h.disk.read_file(file_of(h.bases[1]));
  const auto found = h.read();
  REQUIRE(found);
  REQUIRE(found->segments.size() == 2);
  h.disk.crash(CrashPolicy::none());
  h.disk.power_on();
  REQUIRE_FALSE(h.disk.exists(file_of(h.bases[1])));
  REQUIRE(h.somewhere(bytes));
}

TEST_CASE("ST-10 a foreign file that cannot be set aside stays and is named") {
  Headers h;
  h.write(h.bases[2], header_of(Offset{99}));
  SimDisk::Fault once;
  once.call = Call::rename;
  h.disk.inject(once);
  const auto found = h.read();
  REQUIRE(found);
  REQUIRE(found->segments.size() == 2);
  REQUIRE(found->left_in_place.size() == 1);
  REQUIRE(found->left_in_place[0].find(file_of(h.bases[2])) != std::string::npos);
  REQUIRE(h.disk.exists(file_of(h.bases[2])));
}

TEST_CASE("ST-17 what cannot be read now is not judged, and no file stays open") {
  for (const Call call : {Call::open, Call::file_size, Call::read}) {
    for (std::uint64_t nth = 1; nth <= 3; ++nth) {
      INFO(call_name(call) << " " << nth);
      Headers h;
      SimDisk::Fault once;
      once.call = call;
      once.nth = nth;
      h.disk.inject(once);
      REQUIRE_FALSE(h.read());
      REQUIRE(h.disk.open_files() == 0);
      for (const Offset base : h.bases) REQUIRE(h.disk.exists(file_of(base)));
      REQUIRE(h.read()->segments.size() == 3);
    }
  }
}

TEST_CASE("ST-30 a loss of power at any step of setting a file aside keeps the file") {
  for (const auto& policy : {CrashPolicy::none(), CrashPolicy::all(), CrashPolicy::random()}) {
    std::uint64_t crashes = 0;
    for (std::uint64_t operation = 1; operation == crashes + 1; ++operation) {
      INFO("operation " << operation << " keep " << policy.to_string());
      Headers h;
      SegmentHeader foreign = header_of(h.bases[0]);
      foreign.partition = 3;
      h.write(h.bases[0], foreign);
      const auto bytes = h.disk.read_file(file_of(h.bases[0]));
      h.disk.crash_at(operation, policy);
      (void)h.read();
      if (h.disk.has_power()) break;
      ++crashes;
      h.disk.power_on();
      REQUIRE(h.somewhere(bytes));
      REQUIRE(h.read()->segments.size() == 2);
      REQUIRE(h.somewhere(bytes));
    }
    REQUIRE(crashes >= 16);
  }
}
