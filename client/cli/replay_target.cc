#include "replay_target.h"

#include "event_printer.h"
#include "millrace/admin.h"
#include "millrace/producer.h"
#include "text_table.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>

namespace millrace::cli {
namespace {

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

class TopicTarget final : public ReplayTarget {
 public:
  TopicTarget(std::string topic, Producer producer, bool same_partitions)
      : topic_(std::move(topic)),
        producer_(std::move(producer)),
        same_partitions_(same_partitions) {}

  bool put(const EventView& event) override {
    std::vector<HeaderField> headers;
    if (!event.raw_headers.empty()) headers = event.headers();
    const Event copy{
        .key = event.key, .payload = event.payload, .headers = headers, .time_ns = event.time_ns};
    const auto delivery =
        same_partitions_ ? producer_.send(event.partition, copy) : producer_.send(copy);
    if (!delivery) {
      failure_ = error_line(fmt::format("cannot send {}/{} offset {} to {}", event.topic,
                                        event.partition, event.offset, topic_),
                            delivery.error());
      return false;
    }
    return !refused(*delivery, event.payload.size());
  }

  int finish(bool) override {
    const auto unacked = producer_.close();
    std::uint64_t count = 0;
    for (const Unacked& u : unacked) count += u.event_count;
    if (!failure_.empty()) say(failure_);
    if (count > 0)
      report(fmt::format("{} {} not acked by {}", human_count(count, "event"),
                         count == 1 ? "was" : "were", topic_),
             unacked.front().error);
    return failure_.empty() && count == 0 ? exit_code::done : exit_code::failed;
  }

 private:
  // Looks at one delivery per quarter MiB, without waiting.
  bool refused(const Delivery& delivery, std::size_t bytes) {
    bytes_ += bytes;
    if (bytes_ < 256 * 1024) return false;
    bytes_ = 0;
    watched_.push_back(delivery);
    while (!watched_.empty()) {
      const auto fate = watched_.front().poll();
      if (!fate) return false;
      watched_.pop_front();
      if (!fate->has_value()) return true;
    }
    return false;
  }

  std::string topic_;
  Producer producer_;
  bool same_partitions_;
  std::string failure_;
  std::size_t bytes_ = 0;
  std::deque<Delivery> watched_;
};

class OutputTarget final : public ReplayTarget {
 public:
  explicit OutputTarget(EventFormat format) : printer_(std::move(format), STDOUT_FILENO) {}
  bool put(const EventView& event) override {
    printer_.print(event);
    return !printer_.stopped();
  }
  void flush() override { printer_.flush(); }
  int finish(bool) override { return printer_.finish(exit_code::done); }

 private:
  EventPrinter printer_;
};

// Written under a temporary name beside the file, synced, then renamed: a file of that name is
// whole.
class FileTarget final : public ReplayTarget {
 public:
  FileTarget(std::string path, std::string temporary, int descriptor, EventFormat format)
      : path_(std::move(path)),
        temporary_(std::move(temporary)),
        descriptor_(descriptor),
        printer_(std::in_place, std::move(format), descriptor) {}
  ~FileTarget() override {
    printer_.reset();
    ::close(descriptor_);
    if (!kept_) ::unlink(temporary_.c_str());
  }

  bool put(const EventView& event) override {
    printer_->print(event);
    return !printer_->stopped();
  }

  int finish(bool whole) override {
    const int code = printer_->finish(exit_code::done);
    if (code != exit_code::done || !whole) return code;
    if (::fsync(descriptor_) != 0) return failed("sync");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed("rename");
    kept_ = true;
    return sync_directory();
  }

 private:
  int failed(const char* step) {
    return report(fmt::format("cannot {} {}", step, path_), std::strerror(errno));
  }

  int sync_directory() {
    const std::string directory = directory_of(path_);
    const int opened = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return failed("sync the directory of");
    const int answer = ::fsync(opened);
    const int code = answer == 0 ? exit_code::done : failed("sync the directory of");
    ::close(opened);
    return code;
  }

  std::string path_;
  std::string temporary_;
  int descriptor_;
  bool kept_ = false;
  std::optional<EventPrinter> printer_;
};

class CountingTarget final : public ReplayTarget {
 public:
  bool put(const EventView&) override { return true; }
  int finish(bool) override { return exit_code::done; }
};

// -- what may keep a target from being used; false after a report

// `error` is the errno of what failed beside or in the place of the file.
void report_cannot_create(const std::string& path, int error) {
  const std::string directory = directory_of(path);
  struct stat status = {};
  const bool is_missing = error == ENOENT && ::stat(directory.c_str(), &status) != 0;
  report(fmt::format("cannot create {}", path),
         fmt::format("{}; name a file in a directory that is there and may be written",
                     is_missing ? fmt::format("there is no directory {}", directory)
                                : std::string(std::strerror(error))));
}

bool can_create_beside(const std::string& path) {
  if (::access(directory_of(path).c_str(), W_OK | X_OK) == 0) return true;
  report_cannot_create(path, errno);
  return false;
}

// Whether the file is not there, or may be replaced.
bool may_replace(const ReplayArguments& arguments) {
  struct stat status = {};
  if (::stat(arguments.to_file.c_str(), &status) != 0) return true;
  // Renaming over a device or a pipe would put a file in its place.
  const char* fault = !S_ISREG(status.st_mode) ? "it is no regular file; name another, or leave "
                                                 "--to-file out and redirect standard output"
                      : !arguments.force       ? "the file is there already; --force replaces it"
                                               : nullptr;
  if (fault != nullptr) report(fmt::format("cannot write {}", arguments.to_file), fault);
  return fault == nullptr;
}

// Whether the topic is there, or may be created.
bool has_topic(const Client& client, const ReplayArguments& arguments) {
  static constexpr std::uint16_t unknown_topic = 20;
  const auto topic = Admin(client).describe_topic(arguments.to_topic);
  if (topic || (arguments.create && topic.error().code == unknown_topic)) return true;
  report(fmt::format("cannot produce to {}", arguments.to_topic), topic.error());
  return false;
}

}  // namespace

std::unique_ptr<ReplayTarget> open_topic_target(const Client& client,
                                                const ReplayArguments& arguments,
                                                std::uint32_t source_partitions) {
  static constexpr std::uint16_t topic_exists = 22;
  if (arguments.create) {
    const auto topic = Admin(client).create_topic(arguments.to_topic, source_partitions);
    if (!topic && topic.error().code != topic_exists) {
      report(fmt::format("cannot create topic {}", arguments.to_topic), topic.error());
      return nullptr;
    }
  }
  auto producer = Producer::open(client, arguments.to_topic);
  if (!producer) {
    report(fmt::format("cannot produce to {}", arguments.to_topic), producer.error());
    return nullptr;
  }
  const bool same_partitions = producer->partitions() == source_partitions;
  return std::make_unique<TopicTarget>(arguments.to_topic, std::move(*producer), same_partitions);
}

std::unique_ptr<ReplayTarget> open_file_target(const ReplayArguments& arguments,
                                               EventFormat format) {
  if (!may_replace(arguments)) return nullptr;
  const std::string& path = arguments.to_file;
  const std::string temporary = fmt::format("{}.part-{}", path, ::getpid());
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    report_cannot_create(path, errno);
    return nullptr;
  }
  return std::make_unique<FileTarget>(path, temporary, descriptor, std::move(format));
}

std::unique_ptr<ReplayTarget> make_output_target(EventFormat format) {
  return std::make_unique<OutputTarget>(std::move(format));
}

std::unique_ptr<ReplayTarget> open_counting_target(const Client& client,
                                                   const ReplayArguments& arguments) {
  if (!arguments.to_topic.empty() && !has_topic(client, arguments)) return nullptr;
  if (!arguments.to_file.empty() &&
      !(may_replace(arguments) && can_create_beside(arguments.to_file)))
    return nullptr;
  return std::make_unique<CountingTarget>();
}

}  // namespace millrace::cli
