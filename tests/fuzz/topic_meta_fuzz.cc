// A topic.meta file: the broker's reader, the offline tools' reader, and writing it again must
// agree.
#include "broker/meta/catalog_codec.h"
#include "storage/base/check.h"
#include "storage/inspect/topic_meta_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sealing.h"

namespace millrace::fuzz {
namespace {

void run(ByteView input) {
  const Bytes bytes = copy_of(input);
  const auto meta = decode_topic_meta(bytes);
  const auto file = inspect::decode_topic_meta_file(bytes);
  CHECK(meta.has_value() == file.has_value(), "broker and tools accept a topic.meta, or neither");
  if (!meta) {
    CHECK(meta.error().code == file.error().code, "broker and tools refuse for the same reason");
    return;
  }
  CHECK(meta->id == file->id && meta->name == file->name && meta->partitions == file->partitions &&
            meta->created == file->created && meta->generation == file->generation &&
            meta->settings == file->settings,
        "broker and tools read the same");
  CHECK(meta->partitions > 0 && !meta->name.empty() && meta->name.size() <= 200,
        "an accepted topic is one that could have been made");
  const Bytes written = encode_topic_meta(*meta);
  const auto again = decode_topic_meta(written);
  CHECK(again.has_value() && *again == *meta, "a topic.meta comes out as it went in");
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  constexpr std::size_t length_at = 12, header_bytes = 32;
  Random& random = mutation.random;
  if (random.chance(1, 4)) {
    mutation.change(input, bytes_max);
  } else if (input.size() > header_bytes) {
    mutation.change_in_place(MutableBytes(input).subspan(random.chance(1, 8) ? 0 : header_bytes));
  }
  if (random.chance(1, 8) && input.size() >= header_bytes)
    store_le(input.data() + length_at, static_cast<std::uint32_t>(input.size() - header_bytes));
  if (random.chance(7, 8)) seal_topic_meta_again(input);
}

std::vector<Seed> seeds() {
  TopicMeta meta;
  meta.id.bytes.fill(7);
  meta.name = "orders";
  meta.partitions = 4;
  meta.created = WallTime{1'700'000'000'000'000'000};
  std::vector<Seed> out;
  out.push_back({"plain", encode_topic_meta(meta)});
  meta.settings = {"live=false", "retention_age=7 days", "segment_bytes=1 MiB"};
  meta.generation = 2;
  out.push_back({"settings", encode_topic_meta(meta)});
  meta.name = std::string(200, 'x');
  out.push_back({"long-name", encode_topic_meta(meta)});
  return out;
}

const Register registered({"topic_meta", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
