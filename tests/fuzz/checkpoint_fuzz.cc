// One slot of a checkpoint file (ST-08): what is accepted keeps the bounds that the page names and
// comes out the same when it is written and read again.
#include "storage/base/check.h"
#include "storage/format/checkpoint_layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sealing.h"

namespace millrace::fuzz {
namespace {

void run(ByteView input) {
  const Bytes bytes = copy_of(input);
  const auto checkpoint = decode_checkpoint(bytes);
  if (!checkpoint) {
    CHECK(checkpoint.error().code == Errc::corrupt || checkpoint.error().code == Errc::unsupported,
          "a checkpoint is refused as what it is");
    return;
  }
  CHECK(checkpoint->start_offset <= checkpoint->durable_end, "a log does not end before it starts");
  CHECK(checkpoint->durable_end <= offset_max, "an end is an offset");
  CHECK(checkpoint->producers.size() <= checkpoint_layout::producers_limit,
        "no more sessions than the page allows");
  const Bytes written = encode_checkpoint(*checkpoint);
  const auto again = decode_checkpoint(written);
  CHECK(again.has_value() && *again == *checkpoint, "a checkpoint comes out as it went in");
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  constexpr std::size_t length_at = 16, producers_at = 108;
  Random& random = mutation.random;
  if (random.chance(1, 3)) {
    mutation.change(input, bytes_max);
  } else {
    mutation.change_in_place(MutableBytes(input));
  }
  if (input.size() >= checkpoint_layout::header_bytes) {
    if (random.chance(1, 8))
      store_le(input.data() + length_at, static_cast<std::uint32_t>(input.size()));
    if (random.chance(1, 16))
      store_le(input.data() + producers_at, static_cast<std::uint32_t>(random.below(400)));
  }
  if (random.chance(7, 8)) seal_checkpoint_again(input);
}

std::vector<Seed> seeds() {
  Checkpoint state;
  state.generation = 7;
  state.topic_id.bytes.fill(3);
  state.partition = 2;
  state.start_offset = Offset{10};
  state.durable_end = Offset{500};
  state.segment_base = Offset{400};
  state.segment_id = 0x1122334455667788;
  state.scan_position = Position{8192};
  state.last_append_time = WallTime{1'700'000'000'000'000'000};
  state.last_crc = 0xABCDEF01;
  std::vector<Seed> out;
  const auto add = [&](std::string name) {
    Bytes bytes = encode_checkpoint(state);
    // The padding says nothing.
    bytes.resize(load_le<std::uint32_t>(bytes.data() + 16));
    out.push_back({std::move(name), std::move(bytes)});
  };
  add("plain");
  state.clean = true;
  state.producers.push_back({9, 1, {{0, 2, 77, Offset{490}, WallTime{5}}}});
  state.producers.push_back({10, 0, {}});
  add("producers");
  for (std::uint64_t i = 0; i < checkpoint_layout::producers_limit - 2; ++i)
    state.producers.push_back({100 + i, 0, {}});
  add("all-producers");
  return out;
}

const Register registered({"checkpoint", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
