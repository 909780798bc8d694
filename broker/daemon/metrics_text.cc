#include "broker/daemon/metrics_text.h"

#include "broker/daemon/process_watch.h"

#include <fmt/core.h>

#include <iterator>

namespace millrace {
namespace {

// Writes one family after the other; every line of a family stands under its head.
class Text {
 public:
  void head(std::string_view name, std::string_view type, std::string_view help) {
    print("# HELP millrace_{} {}\n# TYPE millrace_{} {}\n", name, help, name, type);
  }
  template <class Value>
  void one(std::string_view name, std::string_view type, std::string_view help, Value value) {
    head(name, type, help);
    print("millrace_{} {}\n", name, value);
  }
  void counter(std::string_view name, std::string_view help, const Counter& counter) {
    one(name, "counter", help, counter.get());
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    one(name, "gauge", help, value);
  }
  void histogram(std::string_view name, std::string_view help, const LatencyHistogram& values);
  void reasons(std::string_view name, std::string_view help,
               const std::array<Counter, ShardMetrics::reasons>& counters);
  template <class Pick>
  void per_partition(std::string_view name, std::string_view type, std::string_view help,
                     const ShardStatus& status, Pick pick) {
    head(name, type, help);
    for (const PartitionStatus& row : status.partitions)
      print("millrace_{}{{topic=\"{}\",partition=\"{}\"}} {}\n", name, row.topic, row.partition,
            pick(row));
  }
  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Bucket i holds values below 2^i µs.
void Text::histogram(std::string_view name, std::string_view help, const LatencyHistogram& values) {
  head(name, "histogram", help);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i + 1 < LatencyHistogram::buckets; ++i) {
    below += values.count(i);
    print("millrace_{}_bucket{{le=\"{}\"}} {}\n", name,
          static_cast<double>(std::uint64_t{1} << i) / 1e6, below);
  }
  below += values.count(LatencyHistogram::buckets - 1);
  print("millrace_{}_bucket{{le=\"+Inf\"}} {}\n", name, below);
  print("millrace_{}_sum {}\nmillrace_{}_count {}\n", name,
        static_cast<double>(values.sum_us()) / 1e6, name, below);
}

void Text::reasons(std::string_view name, std::string_view help,
                   const std::array<Counter, ShardMetrics::reasons>& counters) {
  head(name, "counter", help);
  for (std::size_t i = 1; i < counters.size(); ++i) {
    if (counters[i].get() == 0) continue;
    print("millrace_{}{{reason=\"{}\"}} {}\n", name, errc_name(static_cast<Errc>(i)),
          counters[i].get());
  }
}

void append_partitions(Text& text, const ShardStatus& status) {
  using Row = PartitionStatus;
  text.per_partition("events_appended_total", "counter",
                     "Events appended since the broker started.", status,
                     [](const Row& row) { return row.events_appended; });
  text.per_partition("partition_start_offset", "gauge", "Oldest offset that can be read.", status,
                     [](const Row& row) { return row.start_offset.value; });
  text.per_partition("partition_end_offset", "gauge", "Offset that the next event gets.", status,
                     [](const Row& row) { return row.appended_end.value; });
  text.per_partition("partition_durable_offset", "gauge", "Events below this offset are on disk.",
                     status, [](const Row& row) { return row.durable_end.value; });
  text.per_partition("partition_bytes", "gauge", "Bytes on disk, reserved space not counted.",
                     status, [](const Row& row) { return row.bytes; });
  text.per_partition("segments", "gauge", "Segments on disk.", status,
                     [](const Row& row) { return row.segments; });
  text.per_partition("partition_corrupt_events", "gauge",
                     "Events whose stored bytes do not verify.", status,
                     [](const Row& row) { return row.corrupt_events; });
  text.per_partition("partition_healthy", "gauge",
                     "1: reads and appends work; 0: see topic describe.", status,
                     [](const Row& row) { return row.state == "ok" ? 1 : 0; });
}

// Under the names that Prometheus' own clients use.
void append_process(Text& text) {
  const ProcessStatus status = read_process_status();
  text.print(
      "# HELP process_resident_memory_bytes Resident memory of the broker.\n"
      "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {}\n",
      status.resident_bytes);
  text.print(
      "# HELP process_open_fds Descriptors that are open, at least.\n"
      "# TYPE process_open_fds gauge\nprocess_open_fds {}\n",
      status.descriptors);
  text.print(
      "# HELP process_max_fds Descriptors that may be open.\n"
      "# TYPE process_max_fds gauge\nprocess_max_fds {}\n",
      status.descriptors_max);
}

}  // namespace

std::string metrics_text(const ShardMetrics& m, const ShardStatus& status) {
  Text text;
  text.counter("requests_total", "Requests of all kinds.", m.requests);
  text.reasons("rejected_total",
               "Requests that were answered with an error or could not be answered.", m.rejected);
  append_partitions(text, status);
  text.counter("append_bytes_total", "Bytes of batches appended.", m.append_bytes);
  text.reasons("append_rejected_total", "Produce requests that were refused.", m.append_rejected);
  text.histogram("append_latency_seconds", "From a produce request to its answer.",
                 m.append_latency);
  text.histogram("sync_latency_seconds", "One commit: written and synced.", m.sync_latency);
  text.head("sync_batch_events", "summary", "Events that one commit made durable.");
  text.print("millrace_sync_batch_events_sum {}\nmillrace_sync_batch_events_count {}\n",
             m.commit_events.get(), m.commits.get());
  text.counter("events_fetched_total", "Events sent to readers.", m.events_fetched);
  text.counter("fetch_bytes_total", "Bytes of batches sent to readers.", m.fetch_bytes);
  text.histogram("fetch_latency_seconds",
                 "From a fetch request to its answer, waiting for events included.",
                 m.fetch_latency);
  text.counter("live_published_total", "Batches published on the live feed.", m.live_published);
  text.counter("live_bytes_total", "Bytes of batches published on the live feed.", m.live_bytes);
  text.counter("live_dropped_total",
               "Batches not published because too many bytes waited; drops for one slow subscriber "
               "are not counted.",
               m.live_dropped);
  text.counter("replies_undeliverable_total", "Replies whose client was gone.",
               m.replies_undeliverable);
  text.counter("connections_refused_total",
               "Connections that were closed at once for want of descriptors.",
               m.connections_refused);
  text.gauge("connections", "Clients that were heard of and not found gone.", status.connections);
  text.gauge("subscriptions", "Open subscriptions.", m.subscriptions.get());
  text.gauge("parked_fetches", "Fetches that wait for events.", m.parked_fetches.get());
  text.gauge("staged_bytes", "Appends that wait for the disk.", m.staged_bytes.get());
  text.gauge("reply_bytes", "Replies with data that wait for their clients.", m.reply_bytes.get());
  text.gauge("corrupt_ranges", "Ranges of offsets whose stored bytes do not verify.",
             m.corrupt_ranges.get());
  text.gauge("corrupt_events", "Events in those ranges.", m.corrupt_events.get());
  text.counter("scrubbed_bytes_total", "Bytes of batches read again in the background.",
               m.scrubbed_bytes);
  text.counter("scrub_passes_total", "Passes over all partitions that came to their end.",
               m.scrub_passes);
  text.counter("scrub_faults_total", "Places that a pass could not read or verify.",
               m.scrub_faults);
  text.gauge("disk_free_bytes", "Free space of the file system.", m.disk_free_bytes.get());
  text.gauge("disk_total_bytes", "Size of the file system.", m.disk_total_bytes.get());
  text.gauge("disk_watermark_state", "0: fine; 1: warned; 2: produce is refused.",
             m.disk_watermark_state.get());
  text.gauge("appends_paused",
             "1: batches are refused for want of space, by disk.refuse_percent or because writes "
             "meet no space left.",
             m.appends_paused.get());
  text.gauge("io_in_flight", "Disk operations in flight.", m.io_in_flight.get());
  append_process(text);
  text.head("io_backend", "gauge", "How the disk is driven.");
  text.print("millrace_io_backend{{backend=\"{}\"}} 1\n", status.io_backend);
  text.histogram("loop_turn_seconds", "Work of one turn of the broker's loop, sleep not counted.",
                 m.loop_turn);
  return text.take();
}

}  // namespace millrace
