#include "broker/meta/topic_create.h"

#include "broker/meta/catalog_codec.h"
#include "broker/meta/topic_paths.h"

namespace millrace {

TopicCreate::TopicCreate(Disk& disk, const TopicMeta& meta, Done done)
    : disk_(disk),
      meta_(meta),
      done_(std::move(done)),
      building_(topic_path(meta.id, TopicDirectory::creating)),
      bytes_(encode_topic_meta(meta)),
      io_(this, Completion::to<&TopicCreate::step, TopicCreate>()) {}

void TopicCreate::start() {
  stage_ = Stage::make_directory;
  disk_.make_directory(io_, building_);
}

void TopicCreate::step(IoResult io) {
  if (stage_ == Stage::close_failed) return finish(fail(error_));
  if (!io) return fail_with(io.error());
  switch (stage_) {
    case Stage::make_directory: return next_partition();
    case Stage::make_partition: ++partition_; return next_partition();
    case Stage::open_meta: {
      file_ = FileId{static_cast<std::int32_t>(*io)};
      stage_ = Stage::write_meta;
      const ByteView slices[] = {bytes_};
      return disk_.write(io_, file_, Position{0}, slices, WriteSync::yes);
    }
    case Stage::write_meta:
      stage_ = Stage::close_meta;
      return disk_.close(io_, std::exchange(file_, FileId{}));
    case Stage::close_meta: ++copy_; return next_copy();
    case Stage::sync_inside:
      stage_ = Stage::rename;
      return disk_.rename(io_, building_, topic_path(meta_.id));
    case Stage::rename:
      stage_ = Stage::sync_names;
      return disk_.sync_directory(io_, topics_directory);
    case Stage::sync_names: return finish({});
    case Stage::close_failed:
    case Stage::idle: break;
  }
  UNREACHABLE("a topic creation completed an I/O it never started");
}

void TopicCreate::next_partition() {
  if (partition_ == meta_.partitions) return next_copy();
  stage_ = Stage::make_partition;
  disk_.make_directory(io_, partition_path(building_, partition_));
}

void TopicCreate::next_copy() {
  if (copy_ == topic_meta_copies) {
    stage_ = Stage::sync_inside;
    return disk_.sync_directory(io_, building_);
  }
  stage_ = Stage::open_meta;
  disk_.open(io_, topic_meta_path(building_, copy_), OpenMode::create, Disk::Access::buffered);
}

void TopicCreate::fail_with(const Error& error) {
  error_ = error;
  if (!file_.is_open()) return finish(fail(error_));
  stage_ = Stage::close_failed;
  disk_.close(io_, std::exchange(file_, FileId{}));
}

void TopicCreate::finish(Result<void> result) {
  stage_ = Stage::idle;
  done_(*this, std::move(result));
}

}  // namespace millrace
