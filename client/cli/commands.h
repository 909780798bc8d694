// Every command: what its arguments say, and the function that does it. arguments.cc fills the
// structs, one file per command has the function. All functions answer an exit code (context.h).
#pragma once

#include "context.h"
#include "millrace/options.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cli {

struct TopicCreateArguments {
  std::string name;
  std::uint32_t partitions = 1;
  std::vector<std::string> settings;  // "key=value"
};
struct TopicTrimArguments {
  std::string name;
  std::string before;  // OFFSET or @TIME
  std::optional<std::uint32_t> partition;
};
int topic_create(const Context& context, const TopicCreateArguments& arguments);
int topic_list(const Context& context);
int topic_describe(const Context& context, const std::string& name);
int topic_delete(const Context& context, const std::string& name);
int topic_trim(const Context& context, const TopicTrimArguments& arguments);

int ping(const Context& context);

struct ProduceArguments {
  std::string topic;
  std::vector<std::string> files;  // empty or "-": standard input
  std::string key;                 // of every event
  std::string key_separator;       // one character, as typed; \t is a tab
  std::string key_field;
  std::optional<std::uint32_t> partition;
  std::vector<std::string> headers;  // "name=value"
  bool raw = false;
  bool create = false;
  std::optional<std::uint32_t> create_partitions;  // 1 unless said
  ProducerOptions producer;
};
int produce(const Context& context, const ProduceArguments& arguments);
// As --ack takes it.
const char* name_of(AckLevel ack);
// As --compression takes it.
const char* name_of(Compression compression);

struct ConsumeArguments {
  std::string topic;  // TOPIC or TOPIC/PARTITION
  std::string offset = "start";
  std::optional<std::uint64_t> count;
  bool stop_at_end = false;
  std::string format;  // empty: %v\n
};
int consume(const Context& context, const ConsumeArguments& arguments);

struct TailArguments {
  std::string topic;
  std::optional<std::uint64_t> count;
  std::string format;
};
int tail(const Context& context, const TailArguments& arguments);

struct ReplayArguments {
  std::string topic;  // TOPIC or TOPIC/PARTITION
  std::string range;  // BEGIN:END
  std::string to_topic;
  std::string to_file;
  std::string speed = "max";
  std::string format;
  bool dry_run = false;
  bool force = false;
  bool create = false;
};
int replay(const Context& context, const ReplayArguments& arguments);

int log_verify(const Context& context, const std::string& directory);
int log_describe(const Context& context, const std::string& directory);
struct LogDumpArguments {
  std::string segment;
  bool events = false;
  static constexpr const char* default_format = "%o\\t%T\\t%k\\t%v\\n";
  std::string format;
};
int log_dump(const Context& context, const LogDumpArguments& arguments);
struct LogRepairArguments {
  std::string directory;
  std::string partition;  // TOPIC/PARTITION; empty: say what could be done
  bool fence_missing = false;
  std::optional<std::uint64_t> cut_before, cut_from;
  std::optional<std::uint64_t> lose_events;
};
int log_repair(const Context& context, const LogRepairArguments& arguments);

struct BenchArguments {
  std::string topic;  // empty: one of its own, deleted at the end
  std::uint32_t partitions = 1;
  std::optional<std::uint64_t> events;
  std::optional<double> seconds;
  std::uint64_t event_bytes = 1024;
  std::uint32_t producers = 1;
  bool latency = false;  // one event in flight at a time
  ProducerOptions producer;
};
int bench_produce(const Context& context, const BenchArguments& arguments);
int bench_consume(const Context& context, const BenchArguments& arguments);

struct DoctorArguments {
  std::string data_dir = "./millrace-data";
  bool self_test = true;
};
int doctor(const Context& context, const DoctorArguments& arguments);

int completion_bash(const Context& context);

}  // namespace millrace::cli
