// A loss of power left a part of a commit in a file that ended inside of that commit's block. The
// part was not cut off, because only whole blocks were looked at; the log went on in the next
// block, and when that commit was torn as well, the old part was taken for proof that acked batches
// were damaged.
#include "storage/batch_scan.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-01 a torn commit is cut off also where the file ends inside of its block") {
  LogFixture f;
  f.put_many(2, 700);
  const auto [path, position] = f.place_of(f.known.back().offsets.begin);
  f.storage.crash(CrashPolicy::none());
  SimDisk& disk = f.storage.disk();
  auto file = disk.read_file(path);
  const std::uint64_t end = position + f.known.back().sent.size();
  const std::uint64_t tail = align_up(end, 8);
  // The head of the next batch of the commit, and of its block no more than two sectors.
  file.resize(align_up(end, 512) + 1024);
  std::fill(file.begin() + static_cast<std::ptrdiff_t>(tail), file.end(), std::byte{0});
  std::copy_n(f.known.back().sent.begin(), 64, file.begin() + static_cast<std::ptrdiff_t>(tail));
  REQUIRE(file.size() % 4096 != 0);
  disk.write_file(path, file);
  f.open();
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  f.put_many(1, 700);
  f.require_all(true);
  f.close();
  const auto after = disk.read_file(path);
  REQUIRE(all_zero(ByteView(after).subspan(tail, align_up(tail, 4096) - tail)));
}
