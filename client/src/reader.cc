#include "millrace/reader.h"

#include "errors.h"
#include "inbox_reader.h"
#include "places.h"
#include "reader_feed.h"
#include "reader_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace millrace {

using detail::refuse;

namespace detail {

// The user's side of a Reader: takes from the inbox, shows events, gives credit back.
//
// Thread: any; calls are taken one at a time.
class ReaderCore {
 public:
  ReaderCore(const Client& client, const Topic& topic, const std::vector<FeedStart>& starts,
             ReaderOptions options)
      : client_(client),
        grant_bytes_(options.credit_bytes / 4),
        feed_(std::make_shared<ReaderFeed>(*client.connection(), topic, starts,
                                           options.credit_bytes)),
        reader_(topic.key.name, options.batch_bytes_max,
                [this](std::uint32_t slot, std::size_t bytes) { used_up(slot, bytes); }) {
    for (const FeedStart& start : starts) reader_.add({start.partition, start.begin, start.end});
    used_bytes_.resize(starts.size());
    client_.connection()->post([feed = feed_] { feed->start(); });
  }
  ~ReaderCore() {
    client_.connection()->post([feed = feed_] { feed->stop(); });
  }

  Outcome<EventBatch> next(std::chrono::milliseconds wait) {
    const TimePoint until = SteadyClock::now() + wait;
    std::lock_guard lock(mutex_);
    return reader_.next(feed_->inbox(), until);
  }

  bool finished() const {
    std::lock_guard lock(mutex_);
    return reader_.all_finished();
  }
  std::uint64_t position(std::uint32_t partition) const {
    std::lock_guard lock(mutex_);
    for (const ReadCursor& cursor : reader_.cursors()) {
      if (cursor.partition == partition) return cursor.position;
    }
    return 0;
  }

 private:
  void used_up(std::uint32_t slot, std::size_t bytes) {
    std::size_t& used = used_bytes_[slot];
    used += bytes;
    if (used < grant_bytes_) return;
    client_.connection()->post(
        [feed = feed_, slot, granted = std::exchange(used, 0)] { feed->grant(slot, granted); });
  }

  Client client_;  // the feed runs on its thread
  mutable std::mutex mutex_;
  std::vector<std::size_t> used_bytes_;  // per slot, not granted again yet
  const std::uint32_t grant_bytes_;      // credit is given back in steps of this
  std::shared_ptr<ReaderFeed> feed_;
  InboxReader reader_;
};

}  // namespace detail

namespace {

std::optional<std::string> fault_of(const std::vector<ReadFrom>& wishes) {
  if (wishes.empty()) return std::string("a reader needs at least one partition");
  std::vector<std::uint32_t> partitions;
  for (const ReadFrom& wish : wishes) partitions.push_back(wish.partition);
  std::sort(partitions.begin(), partitions.end());
  const auto twice = std::adjacent_find(partitions.begin(), partitions.end());
  if (twice != partitions.end()) return fmt::format("partition {} is named twice", *twice);
  return std::nullopt;
}

enum class Side { begin, end };

// An offset that was asked for as a number is taken at its word: nothing else is read in its place,
// neither what is left of a range that was removed nor what comes at the end some day.
std::optional<ClientError> fault_of(const std::string& topic, std::uint32_t partition,
                                    const Place& place, Side side,
                                    const detail::PlaceAnswer& answer) {
  if (place.kind != Place::Kind::offset) return std::nullopt;
  const auto offset = static_cast<std::uint64_t>(place.value);
  const bool below = offset < answer.start_offset;
  if (!below && offset <= answer.end_offset) return std::nullopt;
  ClientError error = detail::client_error(
      Errc::offset_out_of_range,
      fmt::format("{} {} of {}/{} is {}; allowed is {} to {}, or say start or end",
                  side == Side::begin ? "offset" : "the range's end", offset, topic, partition,
                  below ? "below its start" : "beyond its end", answer.start_offset,
                  answer.end_offset));
  error.range_begin = answer.start_offset;
  error.range_end = answer.end_offset;
  return error;
}

Outcome<std::vector<detail::FeedStart>> starts_of(detail::Connection& connection,
                                                  const detail::Topic& topic,
                                                  const std::vector<ReadFrom>& wishes) {
  std::vector<detail::PlaceQuestion> questions;
  for (const ReadFrom& wish : wishes) {
    questions.push_back({wish.partition, wish.begin});
    if (wish.end) questions.push_back({wish.partition, *wish.end});
  }
  auto answers = detail::resolve_places(connection, topic.key, questions);
  if (!answers) return refuse(std::move(answers.error()));
  std::vector<detail::FeedStart> starts;
  auto answer = answers->begin();
  const auto take = [&](const ReadFrom& wish, const Place& place,
                        Side side) -> Outcome<std::uint64_t> {
    if (auto fault = fault_of(topic.key.name, wish.partition, place, side, *answer))
      return refuse(std::move(*fault));
    return (answer++)->offset;
  };
  for (const ReadFrom& wish : wishes) {
    detail::FeedStart start;
    start.partition = wish.partition;
    const auto begin = take(wish, wish.begin, Side::begin);
    if (!begin) return refuse(begin.error());
    start.begin = *begin;
    if (wish.end) {
      const auto end = take(wish, *wish.end, Side::end);
      if (!end) return refuse(end.error());
      start.end = *end;
    }
    starts.push_back(start);
  }
  return starts;
}

Outcome<std::unique_ptr<detail::ReaderCore>> open_core(const Client& client,
                                                       const detail::Topic& topic,
                                                       const std::vector<ReadFrom>& wishes,
                                                       ReaderOptions options) {
  for (const auto& fault : {detail::fault_of(options), fault_of(wishes)}) {
    if (fault) return refuse(Errc::bad_config, *fault);
  }
  for (const ReadFrom& wish : wishes) {
    if (wish.partition >= topic.partitions)
      return refuse(Errc::unknown_partition,
                    fmt::format("topic '{}' has partitions 0 to {}, not {}", topic.key.name,
                                topic.partitions - 1, wish.partition));
  }
  auto starts = starts_of(*client.connection(), topic, wishes);
  if (!starts) return refuse(std::move(starts.error()));
  return std::make_unique<detail::ReaderCore>(client, topic, *starts, options);
}

}  // namespace

Outcome<Reader> Reader::open(const Client& client, std::string topic, Place begin,
                             std::optional<Place> end, ReaderOptions options) {
  auto found = detail::fetch_topic(*client.connection(), topic);
  if (!found) return refuse(std::move(found.error()));
  std::vector<ReadFrom> wishes;
  for (std::uint32_t i = 0; i < found->partitions; ++i) wishes.push_back({i, begin, end});
  auto core = open_core(client, *found, wishes, options);
  if (!core) return refuse(std::move(core.error()));
  return Reader(std::move(*core));
}

Outcome<Reader> Reader::open(const Client& client, std::string topic,
                             std::vector<ReadFrom> partitions, ReaderOptions options) {
  auto found = detail::fetch_topic(*client.connection(), topic);
  if (!found) return refuse(std::move(found.error()));
  auto core = open_core(client, *found, partitions, options);
  if (!core) return refuse(std::move(core.error()));
  return Reader(std::move(*core));
}

Reader::Reader(std::unique_ptr<detail::ReaderCore> core) : core_(std::move(core)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Outcome<EventBatch> Reader::next(std::chrono::milliseconds wait) { return core_->next(wait); }
bool Reader::finished() const { return core_->finished(); }
std::uint64_t Reader::position(std::uint32_t partition) const { return core_->position(partition); }

}  // namespace millrace
