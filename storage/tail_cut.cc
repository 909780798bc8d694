#include "storage/tail_cut.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/units.h"

#include <cstring>
#include <utility>

namespace millrace {

namespace {
constexpr std::uint64_t block_bytes = Disk::direct_alignment;
}

TailCut::TailCut(Disk& disk, SlabPool& slabs)
    : disk_(disk), slabs_(slabs), io_(this, Completion::to<&TailCut::step, TailCut>()) {}

void TailCut::start(FileId file, Position end, Done done) {
  CHECK(!busy(), "one cut at a time");
  file_ = file;
  end_ = end;
  done_ = std::move(done);
  if (end_.value % block_bytes == 0) return cut();
  block_ = slabs_.take(block_bytes);
  if (block_.empty()) return finish(fail(Errc::overloaded, "no memory to cut a segment"));
  stage_ = Stage::read;
  disk_.read(io_, file_, Position{align_down(end_.value, block_bytes)},
             {block_.slab()->data(), block_bytes});
}

void TailCut::step(IoResult io) {
  if (!io) return finish(fail(io.error()));
  switch (stage_) {
    case Stage::read: return write_zeros();
    case Stage::write: return cut();
    case Stage::set_length: stage_ = Stage::sync; return disk_.sync_data(io_, file_);
    case Stage::sync: return finish({});
    case Stage::idle: break;
  }
  UNREACHABLE("a cut completed an I/O it never started");
}

void TailCut::write_zeros() {
  const std::size_t kept = end_.value % block_bytes;
  std::memset(block_.slab()->data() + kept, 0, block_bytes - kept);
  stage_ = Stage::write;
  const ByteView bytes = block_.bytes().first(block_bytes);
  disk_.write(io_, file_, Position{align_down(end_.value, block_bytes)}, {&bytes, 1},
              WriteSync::yes);
}

void TailCut::cut() {
  stage_ = Stage::set_length;
  disk_.set_length(io_, file_, align_up(end_.value, block_bytes));
}

void TailCut::finish(Result<void> outcome) {
  stage_ = Stage::idle;
  block_ = {};
  call_last(done_, std::move(outcome));
}

}  // namespace millrace
