#include "schemas/batch_body.h"

#include "batch_generated.h"
#include "storage/format/batch_layout.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>

using namespace millrace;
using test::Bytes;

namespace {

struct FullEvent {
  std::string key, payload;
  Bytes headers;
  std::int64_t time = 0;
};

Bytes built(const std::vector<FullEvent>& events) {
  BatchBodyBuilder builder;
  for (const auto& e : events) builder.add(as_bytes(e.key), as_bytes(e.payload), e.headers, e.time);
  return builder.finish(0);
}

Bytes header_entry(std::string_view name, std::string_view value) {
  Bytes out;
  encode_header(name, as_bytes(value), out);
  return out;
}

void require_same(const BatchBodyView& view, const std::vector<FullEvent>& events) {
  REQUIRE(view.event_count() == events.size());
  for (std::uint32_t i = 0; i < view.event_count(); ++i) {
    REQUIRE(as_text(view.payload(i)) == events[i].payload);
    REQUIRE(as_text(view.key(i)) == events[i].key);
    const auto raw = view.raw_headers(i);
    REQUIRE(Bytes(raw.begin(), raw.end()) == events[i].headers);
    REQUIRE(view.time(i) == events[i].time);
  }
}

// Reads everything that a view offers, so that a sanitizer sees every byte that is reachable.
std::uint64_t touch(const BatchBodyView& view) {
  std::uint64_t sum = 0;
  std::vector<HeaderView> headers;
  for (std::uint32_t i = 0; i < view.event_count(); ++i) {
    for (const auto b : view.payload(i)) sum += static_cast<std::uint64_t>(b);
    for (const auto b : view.key(i)) sum += static_cast<std::uint64_t>(b);
    REQUIRE(decode_headers(view.raw_headers(i), headers));
    for (const auto& h : headers) sum += h.name.size() + h.value.size();
    sum += static_cast<std::uint64_t>(view.time(i));
  }
  return sum;
}

// Columns as somebody else's program may have put them together.
struct Columns {
  std::vector<std::uint8_t> payloads = {'a', 'b', 'c', 0, 0, 0, 0, 0, 'd'};
  std::vector<std::uint32_t> payload_ends = {3, 9};
  bool has_keys = false, has_key_ends = false;
  std::vector<std::uint8_t> keys;
  std::vector<std::uint32_t> key_ends;
  bool has_headers = false, has_header_ends = false;
  std::vector<std::uint8_t> headers;
  std::vector<std::uint32_t> header_ends;
  bool has_deltas = false;
  std::vector<std::int64_t> deltas;
  bool aligned = true;
};

Bytes assembled(const Columns& c) {
  flatbuffers::FlatBufferBuilder b;
  flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> keys, headers;
  flatbuffers::Offset<flatbuffers::Vector<std::uint32_t>> key_ends, header_ends;
  flatbuffers::Offset<flatbuffers::Vector<std::int64_t>> deltas;
  if (c.has_keys) keys = b.CreateVector(c.keys);
  if (c.has_key_ends) key_ends = b.CreateVector(c.key_ends);
  if (c.has_headers) headers = b.CreateVector(c.headers);
  if (c.has_header_ends) header_ends = b.CreateVector(c.header_ends);
  if (c.has_deltas) deltas = b.CreateVector(c.deltas);
  const auto payload_ends = b.CreateVector(c.payload_ends);
  b.ForceVectorAlignment(c.payloads.size(), 1, 8);
  auto payloads = b.CreateVector(c.payloads);
  if (!c.aligned) {
    // Four bytes more behind the vector move it off its boundary.
    b.PushElement(std::uint32_t{0});
    payloads = b.CreateVector(c.payloads);
    if (payloads.o % 8 == 4) {
      b.PushElement(std::uint32_t{0});
      payloads = b.CreateVector(c.payloads);
    }
  }
  wire::BatchBodyBuilder body(b);
  body.add_base_time(5);
  body.add_payloads(payloads);
  body.add_payload_ends(payload_ends);
  if (c.has_keys) body.add_keys(keys);
  if (c.has_key_ends) body.add_key_ends(key_ends);
  if (c.has_headers) body.add_headers(headers);
  if (c.has_header_ends) body.add_header_ends(header_ends);
  if (c.has_deltas) body.add_time_deltas(deltas);
  wire::FinishBatchBodyBuffer(b, body.Finish());
  const auto* data = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  return Bytes(data, data + b.GetSize());
}

// The text of the refusal, or "accepted".
std::string verdict(const Columns& columns, std::uint32_t event_count = 2) {
  const Bytes body = assembled(columns);
  const auto view = BatchBodyView::parse(body, event_count);
  if (view) {
    touch(*view);
    return "accepted";
  }
  REQUIRE(view.error().code == Errc::bad_batch);
  return view.error().text;
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::vector<FullEvent> random_full_events(Random& random) {
  std::vector<FullEvent> events(1 + random.below(20));
  const bool with_keys = random.chance(1, 2), with_headers = random.chance(1, 2);
  const bool one_time = random.chance(1, 3);
  for (auto& e : events) {
    e.payload = std::string(as_text(test::random_bytes(random, random.below(70))));
    if (with_keys && random.chance(2, 3))
      e.key = std::string(as_text(test::random_bytes(random, random.below(20))));
    if (with_headers) {
      for (std::uint64_t n = random.below(3); n > 0; --n) {
        encode_header("name" + std::to_string(n), test::random_bytes(random, random.below(9)),
                      e.headers);
      }
    }
    e.time = one_time ? 77 : static_cast<std::int64_t>(random.next());
  }
  return events;
}

}  // namespace

TEST_CASE("a body gives back its events") {
  const std::vector<FullEvent> events{
      {"user-1", "hello", header_entry("trace", "abc"), 100},
      {"", "", {}, 50},
      {"user-2", "a longer payload of this batch", header_entry("a", ""), 200},
  };
  const Bytes body = built(events);
  const auto view = BatchBodyView::parse(body, 3);
  REQUIRE(view);
  require_same(*view, events);
}

TEST_CASE("random events come back as they went in, whatever columns they need") {
  Random random(11);
  for (int round = 0; round < 500; ++round) {
    const auto events = random_full_events(random);
    const Bytes body = built(events);
    const auto view = BatchBodyView::parse(body, static_cast<std::uint32_t>(events.size()));
    INFO("round " << round);
    REQUIRE(view);
    require_same(*view, events);
  }
}

TEST_CASE("every payload lies on an 8-byte boundary of the body") {
  Random random(12);
  for (int round = 0; round < 50; ++round) {
    const auto events = random_full_events(random);
    const Bytes body = built(events);
    const auto view = BatchBodyView::parse(body, static_cast<std::uint32_t>(events.size()));
    REQUIRE(view);
    for (std::uint32_t i = 0; i < view->event_count(); ++i) {
      REQUIRE((view->payload(i).data() - body.data()) % 8 == 0);
    }
  }
}

TEST_CASE("columns that nobody needs are absent") {
  const Bytes body = built({{"", "a", {}, 9}, {"", "b", {}, 9}});
  const auto* root = wire::GetBatchBody(body.data());
  REQUIRE(root->keys() == nullptr);
  REQUIRE(root->key_ends() == nullptr);
  REQUIRE(root->headers() == nullptr);
  REQUIRE(root->header_ends() == nullptr);
  REQUIRE(root->time_deltas() == nullptr);
  REQUIRE(root->base_time() == 9);
}

TEST_CASE("a builder says beforehand how large the body will be, and never too little") {
  Random random(13);
  for (int round = 0; round < 200; ++round) {
    BatchBodyBuilder builder;
    std::size_t promised = 0;
    for (std::uint64_t n = 1 + random.below(30); n > 0; --n) {
      const Bytes key = test::random_bytes(random, random.below(9));
      const Bytes payload = test::random_bytes(random, random.below(99));
      promised = builder.body_bytes_with(key.size(), payload.size(), 0);
      builder.add(key, payload, {}, static_cast<std::int64_t>(random.below(3)));
    }
    const std::size_t size = builder.finish(0).size();
    REQUIRE(size <= promised);
    REQUIRE(size <= builder.body_bytes());
  }
}

TEST_CASE("a builder is used again after clear") {
  BatchBodyBuilder builder;
  builder.add(as_bytes("key"), as_bytes("one"), {}, 100);
  builder.add({}, as_bytes("two"), {}, 300);
  REQUIRE(builder.max_time() == 300);
  builder.clear();
  REQUIRE(builder.empty());
  builder.add({}, as_bytes("three"), {}, 7);
  REQUIRE(builder.max_time() == 7);
  const Bytes body = builder.finish(batch_layout::header_bytes);
  const auto view = BatchBodyView::parse(ByteView(body).subspan(batch_layout::header_bytes), 1);
  REQUIRE(view);
  require_same(*view, {{"", "three", {}, 7}});
}

TEST_CASE("PR-13 a count that is not the columns' is refused") {
  Columns columns;
  REQUIRE(verdict(columns, 2) == "accepted");
  for (const std::uint32_t count : {0u, 1u, 3u, 0xFFFFFFFFu})
    REQUIRE(verdict(columns, count) != "accepted");
}

TEST_CASE("PR-13 payload ends that fall, overlap, overshoot or stop short are refused") {
  const auto with = [](std::vector<std::uint32_t> ends) {
    Columns columns;
    columns.payload_ends = std::move(ends);
    return verdict(columns);
  };
  REQUIRE(with({3, 9}) == "accepted");
  REQUIRE(with({8, 9}) == "accepted");
  REQUIRE(mentions(with({9, 3}), "event 1"));
  REQUIRE(mentions(with({3, 7}), "event 1"));  // begins at 8, after its end
  REQUIRE(mentions(with({3, 8}), "9 bytes"));  // a byte belongs to nobody
  REQUIRE(mentions(with({3, 10}), "event 1"));
  REQUIRE(mentions(with({10, 9}), "event 0"));
  REQUIRE(mentions(with({3, 0xFFFFFFFF}), "event 1"));
  REQUIRE(mentions(with({0xFFFFFFFF, 9}), "event 0"));
  REQUIRE(mentions(with({0xFFFFFFF9, 0xFFFFFFFF}), "event 0"));
  REQUIRE(mentions(with({3}), "has 1"));
  REQUIRE(mentions(with({3, 9, 9}), "has 3"));
}

TEST_CASE("PR-13 key ends that lie are refused") {
  Columns columns;
  columns.has_keys = columns.has_key_ends = true;
  columns.keys = {'k', 'e', 'y'};
  columns.key_ends = {0, 3};
  REQUIRE(verdict(columns) == "accepted");
  columns.key_ends = {4, 3};
  REQUIRE(mentions(verdict(columns), "keys"));
  columns.key_ends = {2, 2};
  REQUIRE(mentions(verdict(columns), "keys"));
  columns.key_ends = {2, 1};
  REQUIRE(mentions(verdict(columns), "keys"));
  columns.key_ends = {3};
  REQUIRE(mentions(verdict(columns), "keys"));
  columns.has_key_ends = false;
  REQUIRE(mentions(verdict(columns), "key_ends"));
  columns.has_keys = false;
  columns.has_key_ends = true;
  REQUIRE(mentions(verdict(columns), "key_ends"));
}

TEST_CASE("PR-13 headers that are not whole entries are refused") {
  const auto with = [](const Bytes& raw) {
    Columns columns;
    columns.has_headers = columns.has_header_ends = true;
    for (const auto b : raw) columns.headers.push_back(static_cast<std::uint8_t>(b));
    columns.header_ends = {0, static_cast<std::uint32_t>(raw.size())};
    return verdict(columns);
  };
  const Bytes whole = header_entry("name", "value");
  REQUIRE(with(whole) == "accepted");
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    REQUIRE(mentions(with(part), "headers of event 1"));
  }
  REQUIRE(mentions(with(header_entry("", "value")), "headers of event 1"));
  Bytes huge = whole;
  store_le(huge.data(), std::uint32_t{0xFFFFFFFF});
  REQUIRE(mentions(with(huge), "headers of event 1"));
  huge = whole;
  store_le(huge.data() + 4, std::uint32_t{0xFFFFFFFF});
  REQUIRE(mentions(with(huge), "headers of event 1"));
  Columns columns;
  columns.has_headers = true;
  REQUIRE(mentions(verdict(columns), "header_ends"));
}

TEST_CASE("PR-13 times of another count are refused and extreme times are only strange") {
  Columns columns;
  columns.has_deltas = true;
  columns.deltas = {INT64_MAX, INT64_MIN};
  REQUIRE(verdict(columns) == "accepted");
  columns.deltas = {1};
  REQUIRE(mentions(verdict(columns), "time_deltas"));
  columns.deltas = {1, 2, 3};
  REQUIRE(mentions(verdict(columns), "time_deltas"));
}

TEST_CASE("PR-13 payloads that do not begin on an 8-byte boundary are refused") {
  Columns columns;
  columns.aligned = false;
  const Bytes body = assembled(columns);
  const auto* payloads = wire::GetBatchBody(body.data())->payloads();
  REQUIRE((reinterpret_cast<const std::byte*>(payloads->Data()) - body.data()) % 8 == 4);
  REQUIRE(mentions(verdict(columns), "boundary"));
}

TEST_CASE("PR-01 every truncation of a valid body is refused") {
  const Bytes body = built({{"key", "payload", header_entry("n", "v"), 1}, {"", "second", {}, 2}});
  for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
    const Bytes cut(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(bytes));
    INFO(bytes);
    const auto view = BatchBodyView::parse(cut, 2);
    if (view) touch(*view);  // only the padding at the very end may be missing
    REQUIRE((!view || bytes + 8 > body.size()));
  }
}

TEST_CASE("PR-01 every single-byte change of a valid body is refused or read safely") {
  const Bytes body = built(
      {{"key", "payload", header_entry("n", "v"), 1}, {"k2", "second", {}, 2}, {"", "", {}, 3}});
  std::size_t refused = 0;
  for (std::size_t at = 0; at < body.size(); ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      Bytes changed = body;
      changed[at] = static_cast<std::byte>(value);
      const auto view = BatchBodyView::parse(changed, 3);
      if (view) {
        touch(*view);
      } else {
        ++refused;
        REQUIRE(view.error().code == Errc::bad_batch);
      }
    }
  }
  REQUIRE(refused > body.size() * 64);
}

TEST_CASE("PR-01 random bytes are refused or read safely") {
  Random random(14);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = test::random_bytes(random, random.below(200));
    if (bytes.size() >= 8) std::memcpy(bytes.data() + 4, "MRBB", 4);
    if (bytes.size() >= 8) store_le(bytes.data(), static_cast<std::uint32_t>(random.below(64)));
    const auto view = BatchBodyView::parse(bytes, static_cast<std::uint32_t>(random.below(5)));
    if (view) touch(*view);
  }
}

TEST_CASE("PR-01 many changed bytes of a valid body are refused or read safely") {
  Random random(15);
  for (int round = 0; round < 20'000; ++round) {
    const auto events = random_full_events(random);
    Bytes body = built(events);
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
      body[random.below(body.size())] = static_cast<std::byte>(random.below(256));
    }
    const auto view = BatchBodyView::parse(body, static_cast<std::uint32_t>(events.size()));
    if (view) touch(*view);
  }
}

TEST_CASE("F-9 a body of another file identifier is refused") {
  Bytes body = built({{"", "payload", {}, 1}});
  body[4] = std::byte{'X'};
  REQUIRE_FALSE(BatchBodyView::parse(body, 1));
}

TEST_CASE("PR-02 a body of the largest size is verified in bounded time") {
  // Columns as wide as the limit allows: the work is one pass over the ends, however the offsets
  // are shared.
  flatbuffers::FlatBufferBuilder b(64 * MiB);
  const std::uint32_t count = batch_layout::event_count_limit;
  const std::vector<std::uint32_t> zeros(count, 0);
  const auto shared = b.CreateVector(zeros);
  const auto payloads = b.CreateVector(std::vector<std::uint8_t>{});
  const auto headers = b.CreateVector(std::vector<std::uint8_t>{});
  wire::BatchBodyBuilder body(b);
  body.add_payloads(payloads);
  body.add_payload_ends(shared);
  body.add_keys(payloads);
  body.add_key_ends(shared);
  body.add_headers(headers);
  body.add_header_ends(shared);
  wire::FinishBatchBodyBuffer(b, body.Finish());
  const auto* data = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  const Bytes bytes(data, data + b.GetSize());
  // Of this thread alone, so that a busy machine does not count.
  const auto processor_seconds = [] {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
  };
  const double begin = processor_seconds();
  const auto view = BatchBodyView::parse(bytes, count);
  const double took = processor_seconds() - begin;
  if (view) REQUIRE(view->payload(count - 1).empty());
  // A few milliseconds when optimised; the bound has room for sanitizers.
  REQUIRE(took < 5);
}

TEST_CASE("header entries are split as they were encoded") {
  Bytes raw;
  encode_header("a", as_bytes("1"), raw);
  encode_header("name", {}, raw);
  std::vector<HeaderView> out;
  REQUIRE(decode_headers(raw, out));
  REQUIRE(out.size() == 2);
  REQUIRE(out[0].name == "a");
  REQUIRE(as_text(out[0].value) == "1");
  REQUIRE(out[1].name == "name");
  REQUIRE(out[1].value.empty());
  REQUIRE(decode_headers({}, out));
  REQUIRE(out.empty());
}
