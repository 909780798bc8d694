#include "broker/meta/topic_load.h"

#include "broker/meta/catalog_codec.h"
#include "broker/meta/topic_name.h"
#include "broker/meta/topic_paths.h"
#include "storage/base/diag.h"
#include "storage/format/segment_layout.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr std::string_view channel = "catalog";

}  // namespace

TopicLoad::TopicLoad(Disk& disk, const ClusterId& cluster_id, const TopicId& id, Done done)
    : disk_(disk),
      cluster_id_(cluster_id),
      id_(id),
      done_(std::move(done)),
      directory_(topic_path(id)),
      io_(this, Completion::to<&TopicLoad::step, TopicLoad>()) {}

void TopicLoad::start() {
  stage_ = Stage::list_topic;
  disk_.list(io_, directory_, entries_);
}

void TopicLoad::step(IoResult io) {
  switch (stage_) {
    case Stage::list_topic:
      if (!io) return done_(*this, fail(io.error()));
      note_directories();
      return next_copy();
    case Stage::open_copy: return on_copy_opened(io);
    case Stage::size_copy: return on_copy_sized(io);
    case Stage::read_copy: return on_copy_read(io);
    case Stage::close_copy: ++copy_; return next_copy();
    case Stage::list_partition:
      if (io) {
        for (const auto& entry : entries_) {
          if (parse_segment_file_name(entry.name)) segments_.push_back(entry.name);
        }
      }
      return next_segment();
    case Stage::open_segment:
      if (!io) return next_segment();
      file_ = FileId{static_cast<std::int32_t>(*io)};
      bytes_.assign(segment_layout::header_bytes, std::byte{0});
      stage_ = Stage::read_segment;
      return disk_.read(io_, file_, Position{0}, bytes_);
    case Stage::read_segment: return on_segment_read(io);
    case Stage::close_segment:
      if (!loaded_.meta.name.empty()) return finish();
      return next_segment();
    case Stage::remove_damaged: {
      stage_ = Stage::open_repair;
      return disk_.open(io_, topic_meta_path(directory_, copy_), OpenMode::create,
                        Disk::Access::buffered);
    }
    case Stage::open_repair: {
      if (!io) return finish();  // the other copy still stands
      file_ = FileId{static_cast<std::int32_t>(*io)};
      bytes_ = encode_topic_meta(loaded_.meta);
      stage_ = Stage::write_repair;
      const ByteView slices[] = {bytes_};
      return disk_.write(io_, file_, Position{0}, slices, WriteSync::yes);
    }
    case Stage::write_repair: return close(Stage::close_repair);
    case Stage::close_repair:
      stage_ = Stage::sync_repair;
      return disk_.sync_directory(io_, directory_);
    case Stage::sync_repair: return finish();
    case Stage::idle: break;
  }
  UNREACHABLE("a topic load completed an I/O it never started");
}

void TopicLoad::note_directories() {
  for (const auto& entry : entries_) {
    if (entry.kind != DirectoryEntry::Kind::directory) continue;
    if (const auto partition = parse_partition_directory(entry.name)) {
      partitions_.push_back(*partition);
    }
  }
  std::sort(partitions_.begin(), partitions_.end());
}

void TopicLoad::close(Stage stage) {
  stage_ = stage;
  disk_.close(io_, std::exchange(file_, FileId{}));
}

// -- the two copies
// ---------------------------------------------------------------------------------------------------

void TopicLoad::next_copy() {
  if (copy_ == topic_meta_copies) return choose();
  stage_ = Stage::open_copy;
  disk_.open(io_, topic_meta_path(directory_, copy_), OpenMode::read, Disk::Access::buffered);
}

void TopicLoad::on_copy_opened(const IoResult& io) {
  if (!io) {
    copy_damaged_[copy_] = io.error().code == Errc::not_found;
    copy_fault_[copy_] = io.error().to_string();
    ++copy_;
    return next_copy();
  }
  file_ = FileId{static_cast<std::int32_t>(*io)};
  stage_ = Stage::size_copy;
  disk_.file_size(io_, file_);
}

void TopicLoad::on_copy_sized(const IoResult& io) {
  if (!io) {
    copy_fault_[copy_] = io.error().to_string();
    return close(Stage::close_copy);
  }
  bytes_.assign(std::min(*io, topic_meta_bytes_max), std::byte{0});
  stage_ = Stage::read_copy;
  disk_.read(io_, file_, Position{0}, bytes_);
}

void TopicLoad::on_copy_read(const IoResult& io) {
  if (!io) {
    copy_fault_[copy_] = io.error().to_string();
    return close(Stage::close_copy);
  }
  auto meta = decode_topic_meta(ByteView(bytes_).first(std::min(*io, bytes_.size())));
  if (meta && meta->id != id_) meta = fail(Errc::corrupt, "it is another topic's");
  if (meta) {
    copies_[copy_] = std::move(*meta);
  } else {
    copy_damaged_[copy_] = meta.error().code == Errc::corrupt;
    copy_fault_[copy_] = meta.error().to_string();
  }
  close(Stage::close_copy);
}

void TopicLoad::choose() {
  for (std::size_t i = 0; i < topic_meta_copies; ++i) {
    if (!copies_[i]) {
      diag::warn(channel, "{}: {}", topic_meta_path(directory_, i), copy_fault_[i]);
      continue;
    }
    if (loaded_.meta.name.empty() || copies_[i]->generation > loaded_.meta.generation) {
      loaded_.meta = *copies_[i];
    }
  }
  if (loaded_.meta.name.empty()) return next_partition();
  repair();
}

// -- neither copy verifies: ask the segments
// --------------------------------------------------------------------------

void TopicLoad::next_partition() {
  if (at_partition_ == partitions_.size()) {
    return done_(*this, fail(Errc::corrupt,
                             fmt::format("{}: neither copy of topic.meta verifies and no segment "
                                         "header tells the topic's name; it is kept as it is",
                                         directory_)));
  }
  segments_.clear();
  stage_ = Stage::list_partition;
  disk_.list(io_, partition_path(directory_, partitions_[at_partition_]), entries_);
}

void TopicLoad::next_segment() {
  if (segments_.empty()) {
    ++at_partition_;
    return next_partition();
  }
  const auto path =
      join_path(partition_path(directory_, partitions_[at_partition_]), segments_.back());
  segments_.pop_back();
  stage_ = Stage::open_segment;
  disk_.open(io_, path, OpenMode::read, Disk::Access::buffered);
}

void TopicLoad::on_segment_read(const IoResult& io) {
  if (io && *io == bytes_.size()) adopt_header();
  close(Stage::close_segment);
}

void TopicLoad::adopt_header() {
  const auto header = decode_segment_header(bytes_);
  if (!header || header->topic_id != id_ || header->cluster_id != cluster_id_) return;
  if (!check_topic_name(header->topic_name)) return;
  loaded_.rebuilt = true;
  loaded_.meta.id = id_;
  loaded_.meta.name = header->topic_name;
  loaded_.meta.partitions = partitions_.back() + 1;
  loaded_.meta.created = header->created;
  diag::error(
      channel,
      "topic {}: both copies of topic.meta in {} are damaged; rebuilt from a segment header "
      "with {} partitions and default settings",
      quoted(loaded_.meta.name), directory_, loaded_.meta.partitions);
}

// -- the end
// ----------------------------------------------------------------------------------------------------------

void TopicLoad::repair() {
  const bool first = copies_[0].has_value(), second = copies_[1].has_value();
  copy_ = first ? 1 : 0;
  // A copy that could not be read now may be whole; it is left alone.
  if ((first && second) || !copy_damaged_[copy_]) return finish();
  stage_ = Stage::remove_damaged;
  disk_.remove(io_, topic_meta_path(directory_, copy_));
}

void TopicLoad::finish() {
  stage_ = Stage::idle;
  std::size_t at = 0;
  for (PartitionIndex i = 0; i < loaded_.meta.partitions; ++i) {
    while (at < partitions_.size() && partitions_[at] < i) ++at;
    if (at == partitions_.size() || partitions_[at] != i) loaded_.missing.push_back(i);
  }
  done_(*this, std::move(loaded_));
}

}  // namespace millrace
