// The walk over a segment's bytes, in windows of any size, against the naive walk over all of them
// (ST-01 to ST-06).
//
// Input: u16 bytes of a window, then the file.
#include "storage/base/check.h"
#include "storage/batch_scan.h"
#include "storage/format/segment_layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive_batch.h"
#include "tests/fuzz/sealing.h"
#include "tests/support/batch_maker.h"

namespace millrace::fuzz {
namespace {

constexpr std::uint64_t segment_id = 0x5E5E5E5E5E5E5E5E;
constexpr std::uint64_t base_offset = 100;

void check_found(const Bytes& file, Position from) {
  const ScanWindow all{file, Position{0}};
  const auto found = find_batch(all, from, segment_id, Offset{base_offset});
  for (std::size_t at = align_up(from.value, 8); at + 96 <= file.size(); at += 8) {
    const auto naive = naive_header(ByteView(file).subspan(at));
    const bool fits = naive && naive->segment_id == segment_id && naive->position == at &&
                      naive->base_offset >= base_offset && naive->durable_position <= at;
    if (!fits) continue;
    CHECK(found && found->position.value == at, "the first header behind a place is found");
    return;
  }
  CHECK(!found, "no header is found where none is");
}

void run(ByteView input) {
  Input in(input);
  const std::size_t window_bytes = std::max<std::size_t>(in.take<std::uint16_t>(), 8);
  const Bytes file = copy_of(in.rest());
  const auto naive = naive_walk(file, segment_id, base_offset, 0);
  const Position file_end{file.size()};
  ScanExpectation expect{segment_id, Offset{base_offset}, 0};
  Position at = segment_layout::first_batch_position;
  std::size_t count = 0, bytes = window_bytes;
  for (std::size_t steps = 0;; ++steps) {
    CHECK(steps < 4 * (file.size() / 8 + 4), "a walk goes forward");
    // A window of its own, so that a read behind it is seen.
    const std::size_t begin = std::min<std::size_t>(at.value, file.size());
    const Bytes window =
        copy_of(ByteView(file).subspan(begin, std::min(bytes, file.size() - begin)));
    const ScanStep step = scan_batch({window, at}, at, file_end, expect);
    if (step.kind == ScanStep::Kind::no_batch) break;
    if (step.kind == ScanStep::Kind::need_more) {
      const std::size_t wanted = (step.position - at) + step.needed;
      CHECK(wanted > window.size(), "more is wanted than there is");
      CHECK(window.size() == bytes, "a window that reaches the end of the file is enough");
      bytes = wanted;
      continue;
    }
    CHECK(count < naive.size(), "a batch that the naive walk does not see");
    CHECK(step.position.value == naive[count].position &&
              step.header.header_crc == naive[count].batch.header_crc,
          "both walks see the same batch");
    expect = {segment_id, step.header.end_offset(), step.header.header_crc};
    at = step.next;
    bytes = window_bytes;
    ++count;
  }
  CHECK(count == naive.size(), "both walks end at the same place");
  if (file.size() <= 24 * KiB) check_found(file, at + 8);
}

// Batches that follow each other, each commit in blocks of its own.
Bytes segment_of(const std::vector<std::vector<Bytes>>& commits) {
  Bytes out(4096);
  Offset next{base_offset};
  std::uint32_t previous_crc = 0;
  for (const auto& commit : commits) {
    const auto durable = static_cast<std::uint32_t>(out.size());
    for (Bytes batch : commit) {
      BatchPlace place;
      place.base_offset = next;
      place.segment_id = segment_id;
      place.position = static_cast<std::uint32_t>(out.size());
      place.previous_crc = previous_crc;
      place.durable_position = durable;
      const auto header = stamp_batch(batch, test::view_of(batch).header(), place);
      previous_crc = header.header_crc;
      next = header.end_offset();
      append_bytes(out, batch);
      out.resize(align_up(out.size(), 8));
    }
    out.resize(align_up(out.size(), 4096));
  }
  return out;
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  Random& random = mutation.random;
  if (input.size() < 2 + 4096) return mutation.change(input, bytes_max);
  const MutableBytes file = MutableBytes(input).subspan(2);
  switch (random.below(6)) {
    case 0: mutation.change_in_place(MutableBytes(input).first(2)); break;
    case 1: shuffle_pieces(file, random); break;
    case 2: input.resize(2 + random.below(file.size() + 1)); break;
    case 3: mutation.change_in_place(file.subspan(4096)); break;
    default: change_batch_in_place(file, mutation); break;
  }
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  Random random(2);
  const Bytes small = test::make_batch("small");
  const Bytes large = test::make_batch_of_bytes(5'000);
  const auto add = [&](std::string name, std::uint16_t window, const Bytes& file) {
    Bytes input;
    append(input, window);
    append_bytes(input, file);
    out.push_back({std::move(name), std::move(input)});
  };
  const Bytes two = segment_of({{small, small}, {small}});
  add("commits", 4096, two);
  add("bytewise", 8, two);
  add("large", 1000, segment_of({{small, large}, {small}}));
  Bytes torn = segment_of({{small}, {large, small}, {small}});
  std::fill_n(torn.begin() + 8192 + 4096, 512, std::byte{0});
  add("torn", 4096, torn);
  Bytes preallocated = two;
  preallocated.resize(two.size() + 8192);
  add("preallocated", 8192, preallocated);
  return out;
}

const Register registered({"batch_scan", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
