#include "storage/inspect/directory_check.h"

#include "storage/data_directory.h"
#include "storage/inspect/file_reader.h"
#include "storage/inspect/partition_check.h"
#include "storage/inspect/topic_meta_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace millrace::inspect {
namespace {

constexpr const char* topics_directory = "topics";

// Whether a broker holds the lock at this moment.
bool is_in_use(const std::string& path) {
  const int lock = ::open((path + "/lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (lock < 0) return false;
  const bool taken = ::flock(lock, LOCK_SH | LOCK_NB) != 0;
  ::close(lock);
  return taken;
}

std::optional<TopicMetaFile> read_topic_meta(Inspection& inspection, const std::string& directory,
                                             const TopicId& id) {
  std::optional<TopicMetaFile> best;
  for (std::size_t copy = 0; copy < 2; ++copy) {
    const std::string file = fmt::format("{}/topic.meta.{}", directory, copy);
    const auto reader = FileReader::open(inspection.full_path(file));
    if (!reader) {
      inspection.fault(file, reader.error().text);
      continue;
    }
    const auto bytes = reader->read_front(topic_meta_file_bytes_max);
    auto meta = bytes ? decode_topic_meta_file(*bytes) : Result<TopicMetaFile>(fail(bytes.error()));
    if (!meta) {
      inspection.fault(file, 0, meta.error().text);
    } else if (meta->id != id) {
      inspection.fault(file, 0, fmt::format("belongs to topic {}", meta->id.to_hex()));
    } else if (!best || meta->generation > best->generation) {
      best = std::move(*meta);
    }
  }
  if (!best)
    inspection.fault(directory, "no copy of topic.meta counts; name and settings are not known");
  return best;
}

std::optional<PartitionIndex> parse_partition(const std::string& name) {
  PartitionIndex value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
  if (error != std::errc{} || end != name.data() + name.size() || std::to_string(value) != name)
    return std::nullopt;
  return value;
}

void check_topic(Inspection& inspection, const ClusterId& cluster, const TopicId& id) {
  const std::string directory = fmt::format("{}/{}", topics_directory, id.to_hex());
  TopicReport topic;
  topic.id = id.to_hex();
  const auto meta = read_topic_meta(inspection, directory, id);
  if (meta) {
    topic.name = meta->name;
    topic.partitions = meta->partitions;
    topic.created_ns = meta->created.ns;
    topic.settings = meta->settings;
    for (PartitionIndex p = 0; p < meta->partitions; ++p) {
      const std::string partition = fmt::format("{}/{}", directory, p);
      if (!is_directory(inspection.full_path(partition)))
        inspection.fault(partition, "the partition is missing");
    }
  }
  const auto names = list_directory(inspection.full_path(directory));
  if (!names) return inspection.fault(directory, names.error().text);
  std::vector<PartitionIndex> partitions;
  for (const std::string& name : *names) {
    const std::string file = fmt::format("{}/{}", directory, name);
    const auto partition = parse_partition(name);
    if (partition && is_directory(inspection.full_path(file))) {
      if (meta && *partition >= meta->partitions)
        inspection.fault(file,
                         fmt::format("not a partition of its topic, whose partitions end before {}",
                                     meta->partitions));
      partitions.push_back(*partition);
    } else if (!name.starts_with("topic.meta")) {
      inspection.note(file, "not a file of this topic");
    }
  }
  std::sort(partitions.begin(), partitions.end());
  for (const PartitionIndex p : partitions) {
    if (inspection.stopped()) break;
    PartitionCheck check(inspection, {cluster, id, p}, fmt::format("{}/{}", directory, p));
    topic.partition_reports.push_back(check.run());
  }
  inspection.report.topics.push_back(std::move(topic));
}

void check_topics(Inspection& inspection, const ClusterId& cluster) {
  const auto names = list_directory(inspection.full_path(topics_directory));
  if (!names) return inspection.fault(topics_directory, names.error().text);
  for (const std::string& name : *names) {
    const std::string file = fmt::format("{}/{}", topics_directory, name);
    TopicId id;
    if (inspection.stopped()) break;
    if (Uuid::from_hex(name, id) && is_directory(inspection.full_path(file))) {
      check_topic(inspection, cluster, id);
    } else if (name.ends_with(".creating")) {
      inspection.note(file, "a topic whose creation was cut short; a broker removes it");
    } else if (name.ends_with(".deleted")) {
      inspection.note(file, "a topic that was deleted; a broker finishes its removal");
    } else {
      inspection.note(file, "not a topic");
    }
  }
  std::sort(inspection.report.topics.begin(), inspection.report.topics.end(),
            [](const TopicReport& a, const TopicReport& b) { return a.name < b.name; });
}

}  // namespace

Result<DirectoryReport> inspect_directory(const std::string& path, Depth depth,
                                          ProgressSink progress) {
  if (!is_directory(path))
    return fail(Errc::not_found,
                fmt::format("{} is not a directory; name the data directory of a broker", path));
  Inspection inspection(path, depth, std::move(progress));
  inspection.report.path = path;
  ClusterId cluster;
  const auto reader = FileReader::open(path + "/identity");
  if (!reader && reader.error().code == Errc::not_found &&
      !is_directory(path + "/" + topics_directory))
    return fail(
        Errc::data_dir_refused,
        fmt::format("{} has no identity and no topics: it is not a data directory; name that of a "
                    "broker",
                    path));
  if (!reader) {
    inspection.fault("identity", reader.error().text);
  } else {
    const auto block = reader->read_front(identity_layout::block_bytes);
    const auto identity =
        block ? decode_identity(*block) : Result<DataDirectoryIdentity>(fail(block.error()));
    if (!identity) {
      inspection.fault("identity", 0, identity.error().text);
    } else {
      cluster = identity->cluster_id;
      inspection.report.cluster_id = cluster.to_hex();
      inspection.report.created_ns = identity->created.ns;
    }
  }
  if (is_in_use(path))
    inspection.note("lock",
                    "the lock is held: a broker is running here, or ended just now; what it writes "
                    "meanwhile may look torn");
  if (is_directory(path + "/quarantine"))
    inspection.note("quarantine", "files that a broker set aside lie here");
  check_topics(inspection, cluster);
  return std::move(inspection.report);
}

}  // namespace millrace::inspect
