// An index file (ST-07): what is accepted is written again as it was, and a lookup in it stays
// inside.
#include "storage/base/check.h"
#include "storage/format/index_layout.h"
#include "storage/segment_index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sealing.h"

namespace millrace::fuzz {
namespace {

void check_lookups(const IndexFile& file) {
  SegmentIndex index;
  index.assign(file.entries);
  const IndexEntry first{file.base_offset, Position{4096}, WallTime{0}};
  const auto check = [&](Offset offset) {
    const IndexEntry found = index.floor(offset, first);
    const IndexEntry* best = &first;
    for (const IndexEntry& entry : file.entries)
      if (entry.offset <= offset) best = &entry;
    CHECK(found == *best, "the last entry at or before an offset is found");
  };
  check(Offset{0});
  check(Offset{UINT64_MAX});
  for (const IndexEntry& entry : file.entries) {
    check(entry.offset);
    check(Offset{entry.offset.value - 1});
    check(Offset{entry.offset.value + 1});
    // Times need not rise in a forged file; the answer is one of the entries all the same.
    const IndexEntry before = index.before(entry.append_time, first);
    CHECK(before == first || std::count(file.entries.begin(), file.entries.end(), before) == 1,
          "a search by time answers an entry");
  }
}

void run(ByteView input) {
  const Bytes bytes = copy_of(input);
  const auto index = decode_index(bytes);
  if (!index) {
    CHECK(index.error().code == Errc::corrupt || index.error().code == Errc::unsupported,
          "an index is refused as what it is");
    return;
  }
  CHECK(index->entries.size() <= bytes.size() / index_layout::entry_bytes,
        "there are as many entries as there are bytes for");
  const Bytes written = encode_index(*index);
  CHECK(written.size() >= index_layout::header_bytes, "an index has a header");
  const std::size_t length =
      index_layout::header_bytes + index->entries.size() * index_layout::entry_bytes;
  CHECK(std::equal(written.begin(), written.begin() + static_cast<std::ptrdiff_t>(length),
                   bytes.begin()),
        "what was accepted is written again as it was");
  if (index->entries.size() <= 200) check_lookups(*index);
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  if (mutation.random.chance(1, 2)) {
    mutation.change(input, bytes_max);
  } else {
    mutation.change_in_place(MutableBytes(input));
  }
  if (mutation.random.chance(7, 8)) seal_index_again(input);
}

std::vector<Seed> seeds() {
  IndexFile file;
  file.segment_id = 0x1122334455667788;
  file.base_offset = Offset{1000};
  file.end_offset = Offset{1100};
  file.end_position = Position{262'144};
  file.last_append_time = WallTime{1'700'000'000'000'000'009};
  file.last_crc = 0xABCDEF01;
  std::vector<Seed> out;
  out.push_back({"empty", encode_index(file)});
  for (std::uint64_t i = 0; i < 4; ++i)
    file.entries.push_back({Offset{1000 + 25 * i}, Position{4096 + 65'536 * i},
                            WallTime{1'700'000'000'000'000'000 + static_cast<std::int64_t>(i)}});
  out.push_back({"four", encode_index(file)});
  Bytes padded = encode_index(file);
  padded.resize(4096);
  out.push_back({"padded", padded});
  return out;
}

const Register registered({"index", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
