#include "inbox_reader.h"
#include "live_endpoint.h"
#include "live_feed.h"
#include "millrace/reader.h"
#include "places.h"
#include "reader_options.h"

#include <fmt/core.h>

#include <condition_variable>

namespace millrace {

using detail::refuse;

namespace detail {

// The user's side of a LiveReader.
//
// Thread: any; calls are taken one at a time.
class LiveReaderCore {
 public:
  LiveReaderCore(const Client& client, const Topic& topic, std::string endpoint,
                 ReaderOptions options)
      : client_(client),
        feed_(std::make_shared<LiveFeed>(*client.connection(), topic, std::move(endpoint),
                                         options.credit_bytes)),
        reader_(topic.key.name, options.batch_bytes_max, [this](std::uint32_t, std::size_t bytes) {
          client_.connection()->post([feed = feed_, bytes] { feed->grant(bytes); });
        }) {}
  ~LiveReaderCore() {
    client_.connection()->post([feed = feed_] { feed->stop(); });
  }

  // Waits for the feed's connection, then asks where each partition ends: what is behind that, by
  // then or later, is seen.
  Outcome<void> start(const Topic& topic) {
    struct Wait {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
    };
    auto wait = std::make_shared<Wait>();
    client_.connection()->post([feed = feed_, wait] {
      feed->start([wait] {
        std::lock_guard lock(wait->mutex);
        wait->done = true;
        wait->changed.notify_one();
      });
    });
    {
      std::unique_lock lock(wait->mutex);
      wait->changed.wait(lock, [&] { return wait->done; });
    }
    std::vector<PlaceQuestion> questions;
    for (std::uint32_t i = 0; i < topic.partitions; ++i)
      questions.push_back({i, Place::from_end()});
    auto ends = resolve_places(*client_.connection(), topic.key, questions);
    if (!ends) return refuse(std::move(ends.error()));
    std::vector<std::uint64_t> offsets;
    for (std::uint32_t i = 0; i < topic.partitions; ++i) {
      offsets.push_back((*ends)[i].end_offset);
      reader_.add({i, offsets[i], UINT64_MAX});
    }
    client_.connection()->post(
        [feed = feed_, offsets = std::move(offsets)] { feed->begin(offsets); });
    return {};
  }

  Outcome<EventBatch> next(std::chrono::milliseconds wait) {
    const TimePoint until = SteadyClock::now() + wait;
    std::lock_guard lock(mutex_);
    return reader_.next(feed_->inbox(), until);
  }

  std::vector<LiveGap> take_gaps() { return feed_->take_gaps(); }

 private:
  Client client_;  // the feed runs on its thread
  std::mutex mutex_;
  std::shared_ptr<LiveFeed> feed_;
  InboxReader reader_;  // a slot is a partition
};

}  // namespace detail

Outcome<LiveReader> LiveReader::open(const Client& client, std::string topic,
                                     ReaderOptions options) {
  if (auto fault = detail::fault_of(options)) return refuse(Errc::bad_usage, std::move(*fault));
  auto found = detail::fetch_topic(*client.connection(), topic);
  if (!found) return refuse(std::move(found.error()));
  std::string endpoint = client.options().live_endpoint;
  if (endpoint.empty()) {
    auto info = Client(client).ping();
    if (!info) return refuse(std::move(info.error()));
    if (info->live_endpoint.empty())
      return refuse(Errc::unsupported,
                    "this broker has no live feed; start it with one (--live), or read the log");
    endpoint = detail::reachable_live_endpoint(info->live_endpoint, client.options().endpoint);
  }
  auto core =
      std::make_unique<detail::LiveReaderCore>(client, *found, std::move(endpoint), options);
  if (auto started = core->start(*found); !started) return refuse(std::move(started.error()));
  return LiveReader(std::move(core));
}

LiveReader::LiveReader(std::unique_ptr<detail::LiveReaderCore> core) : core_(std::move(core)) {}
LiveReader::LiveReader(LiveReader&&) noexcept = default;
LiveReader& LiveReader::operator=(LiveReader&&) noexcept = default;
LiveReader::~LiveReader() = default;

Outcome<EventBatch> LiveReader::next(std::chrono::milliseconds wait) { return core_->next(wait); }
std::vector<LiveGap> LiveReader::take_gaps() { return core_->take_gaps(); }

}  // namespace millrace
