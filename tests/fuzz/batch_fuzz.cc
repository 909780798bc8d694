// Batches one after the other, as in a fetch reply or a slab, and their bodies (PR-12, PR-13).
//
// The product's decoder and a naive one must agree on every byte; what they accept must survive
// being built anew and being stamped with a place.
#include "schemas/batch_body.h"
#include "storage/base/check.h"
#include "storage/format/batch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive_batch.h"
#include "tests/fuzz/sealing.h"
#include "tests/support/batch_maker.h"

namespace millrace::fuzz {
namespace {

NaiveEvent event_of(const BatchBodyView& body, std::uint32_t i) {
  return {std::string(as_text(body.key(i))), std::string(as_text(body.payload(i))),
          std::string(as_text(body.raw_headers(i))), body.time(i)};
}

void check_rebuilt(const BatchBodyView& body) {
  BatchBodyBuilder builder;
  for (std::uint32_t i = 0; i < body.event_count(); ++i)
    builder.add(body.key(i), body.payload(i), body.raw_headers(i), body.time(i));
  const std::vector<std::byte> built = builder.finish(0);
  CHECK(built.size() <= builder.body_bytes(), "the bound of a body's size is one");
  const auto again = BatchBodyView::parse(built, body.event_count());
  CHECK(again.has_value(), "a built body is accepted");
  for (std::uint32_t i = 0; i < body.event_count(); ++i)
    CHECK(event_of(*again, i) == event_of(body, i), "an event comes out as it went in");
}

void check_body(ByteView bytes, std::uint32_t event_count) {
  const Bytes copy = copy_of(bytes);
  const auto body = BatchBodyView::parse(copy, event_count);
  const auto naive = naive_events(copy, event_count);
  CHECK(body.has_value() == naive.has_value(), "both accept a body, or neither");
  if (!body) return;
  for (std::uint32_t i = 0; i < event_count; ++i)
    CHECK(event_of(*body, i) == (*naive)[i], "both read the same events");
  check_rebuilt(*body);
}

// A batch that moves keeps its body's sum.
void check_stamped(const BatchView& batch) {
  Bytes copy = copy_of(batch.bytes());
  BatchPlace place;
  place.base_offset = Offset{1'000'000};
  place.segment_id = 0x1234567890ABCDEF;
  place.position = 8192;
  stamp_batch(copy, batch.header(), place);
  const auto stamped = BatchView::parse(copy);
  CHECK(stamped.has_value(), "a stamped batch verifies");
  CHECK(body_checksum(stamped->header()) == body_checksum(batch.header()),
        "the body's sum is the same at every place");
}

void run(ByteView input) {
  const Bytes bytes = copy_of(input);
  BatchCursor cursor(bytes);
  std::size_t at = 0;
  while (true) {
    // What the cursor skips, the naive way.
    while (at + 8 <= bytes.size() && load_le<std::uint64_t>(bytes.data() + at) == 0) at += 8;
    const ByteView rest = ByteView(bytes).subspan(std::min(at, bytes.size()));
    const auto batch = cursor.next();
    if (!batch && batch.error().code == Errc::not_found) {
      CHECK(rest.size() < 8, "the end is the end of the bytes");
      return;
    }
    const auto naive = naive_batch(rest);
    CHECK(batch.has_value() == naive.has_value(), "both accept a batch, or neither");
    if (!batch) return;
    const BatchHeader& header = batch->header();
    CHECK(header.batch_bytes() == naive->bytes() && header.event_count == naive->event_count &&
              header.base_offset.value == naive->base_offset &&
              header.position == naive->position && header.segment_id == naive->segment_id &&
              header.previous_crc == naive->previous_crc &&
              header.durable_position == naive->durable_position &&
              static_cast<std::uint8_t>(header.codec) == naive->codec,
          "both read the same header");
    check_stamped(*batch);
    // A forged count costs the naive twin more than it is worth.
    if (header.codec == Codec::none && header.event_count <= bytes.size())
      check_body(batch->body(), header.event_count);
    at += header.padded_bytes();
  }
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  Random& random = mutation.random;
  if (random.chance(1, 16)) {
    mutation.change(input, bytes_max);
    seal_batch_again(input);
  } else if (random.chance(1, 16)) {
    shuffle_pieces(input, random);
  } else {
    change_batch_in_place(input, mutation);
  }
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  Random random(1);
  const Bytes one = test::make_batch("payload");
  const Bytes keyed = test::make_batch({{"key", "payload"}, {"", ""}, {"key", "third"}}, {9, 2, 7});
  BatchBodyBuilder builder;
  Bytes headers;
  encode_header("type", as_bytes("push"), headers);
  encode_header("empty", {}, headers);
  builder.add(as_bytes("k"), as_bytes("with headers"), headers, 5);
  builder.add({}, {}, {}, 7);
  Bytes with_headers = builder.finish(batch_layout::header_bytes);
  BatchDraft draft;
  draft.raw_bytes = static_cast<std::uint32_t>(with_headers.size() - batch_layout::header_bytes);
  draft.event_count = 2;
  seal_batch(with_headers, draft);
  Bytes row;
  for (const ByteView batch : {ByteView(one), ByteView(keyed), ByteView(with_headers)}) {
    append_bytes(row, batch);
    row.resize(align_up(row.size(), 8) + 16);
  }
  out.push_back({"one", one});
  out.push_back({"keyed", keyed});
  out.push_back({"headers", with_headers});
  out.push_back({"row", row});
  out.push_back({"many", test::make_batch(test::random_events(random, {40, 60}))});
  return out;
}

const Register registered({"batch", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
