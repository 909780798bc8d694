#include "storage/segment_seal.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"

namespace millrace {

SegmentSeal::SegmentSeal(Disk& disk, SlabPool& slabs, SegmentPool& pool, SegmentRef segment,
                         FileId file, std::string index_path, IndexFile index,
                         std::function<void()> done)
    : disk_(disk),
      slabs_(slabs),
      pool_(pool),
      segment_(std::move(segment)),
      file_(file),
      index_path_(std::move(index_path)),
      index_(std::move(index)),
      done_(std::move(done)),
      io_(this, Completion::to<&SegmentSeal::step, SegmentSeal>()) {}

void SegmentSeal::start() {
  stage_ = Stage::set_length;
  disk_.set_length(io_, file_, segment_->end_position.value);
}

void SegmentSeal::step(IoResult) {
  switch (stage_) {
    case Stage::set_length: stage_ = Stage::close; return disk_.close(io_, file_);
    case Stage::close:
      write_ = std::make_unique<IndexWrite>(disk_, slabs_, pool_, index_path_, index_,
                                            [this] { call_last(done_); });
      return write_->start();
    case Stage::idle: break;
  }
  UNREACHABLE("a seal completed an I/O it never started");
}

}  // namespace millrace
